//! The live stream: nothing skipped, whatever the order of the commits, whichever console one listens to.

use crate::{Bench, second_console};
use bagua_core::events::{NewEvent, record};
use bagua_core::{LiveEvent, LiveHub};
use bagua_model::text::Text;
use bagua_testkit::PATIENCE;
use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::macros::datetime;
use tokio_util::sync::CancellationToken;

type Stream = BoxStream<'static, Arc<LiveEvent>>;

async fn tell(db: &mut PgConnection, subject: &str) -> anyhow::Result<()> {
    let event = NewEvent {
        at: datetime!(2026-11-22 20:00:00 UTC),
        kind: "test.event".to_owned(),
        topic: "alerts".to_owned(),
        environment: None,
        region: None,
        subject: subject.to_owned(),
        text: Text::verbatim(subject),
        operation: None,
    };
    Ok(record(db, &event).await?)
}

async fn next(stream: &mut Stream) -> anyhow::Result<Arc<LiveEvent>> {
    let event = tokio::time::timeout(PATIENCE, stream.next()).await?;
    event.ok_or_else(|| anyhow::anyhow!("the stream ended"))
}

fn subject(event: &LiveEvent) -> &str {
    event.message.subject.as_deref().unwrap_or_default()
}

/// Reads until `last` has been heard; everything heard.
async fn hear(stream: &mut Stream, last: &str) -> anyhow::Result<Vec<Arc<LiveEvent>>> {
    let mut heard = Vec::new();
    loop {
        let event = next(stream).await?;
        let done = subject(&event) == last;
        heard.push(event);
        if done {
            return Ok(heard);
        }
    }
}

fn subjects(events: &[Arc<LiveEvent>]) -> BTreeSet<&str> {
    events.iter().map(|event| subject(event)).collect()
}

struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn run(live: &LiveHub) -> anyhow::Result<Running> {
    let stop = CancellationToken::new();
    let (running, token) = (live.clone(), stop.clone());
    let task = tokio::spawn(async move { running.run(token).await });
    bagua_testkit::eventually("the hub", || async { Ok(live.is_ready().then_some(())) }).await?;
    Ok(Running { stop, task })
}

impl Running {
    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_not_skipped_and_delays_nobody() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let running = run(&bench.console.live).await?;
    tell(&mut *bench.db.owner.acquire().await?, "0").await?;
    let mut stream = bench.console.live.subscribe(None).await;
    bagua_testkit::eventually("the hub to be ready", || async {
        Ok((bench.console.live.cursor() != "0-0").then_some(()))
    })
    .await?;
    // The first transaction writes first and commits last.
    let mut late = bench.db.owner.begin().await?;
    tell(&mut late, "late").await?;
    let began = Instant::now();
    tell(&mut *bench.db.owner.acquire().await?, "early").await?;
    let heard = hear(&mut stream, "early").await?;
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "it waited for the open transaction"
    );
    let early = heard.last().cloned().ok_or_else(|| anyhow::anyhow!("nothing"))?;
    late.commit().await?;
    hear(&mut stream, "late").await?;
    // Whoever saw only the early one and comes back must hear of the late one: on this console and on another.
    let other = second_console("two", &bench.db, &bench.clock, &bench.outside);
    let also = run(&other.live).await?;
    bagua_testkit::eventually("the other hub", || async {
        Ok((other.live.cursor() != "0-0").then_some(()))
    })
    .await?;
    tell(&mut *bench.db.owner.acquire().await?, "end").await?;
    for live in [&bench.console.live, &other.live] {
        let mut again = live.subscribe(Some(&early.cursor)).await;
        let heard = hear(&mut again, "end").await?;
        assert!(subjects(&heard).contains("late"), "{heard:?}");
        assert!(
            heard.iter().all(|event| event.message.topic != "reset"),
            "{heard:?}"
        );
    }
    running.end().await?;
    also.end().await
}

#[tokio::test]
async fn whatever_the_order_of_commits_a_listener_that_comes_and_goes_misses_nothing() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let other = second_console("two", &bench.db, &bench.clock, &bench.outside);
    let (one, two) = (run(&bench.console.live).await?, run(&other.live).await?);
    tell(&mut *bench.db.owner.acquire().await?, "begin").await?;
    for live in [&bench.console.live, &other.live] {
        bagua_testkit::eventually("the hubs", || async {
            Ok((live.cursor() != "0-0").then_some(()))
        })
        .await?;
    }
    let mut cursor = bench.console.live.cursor();
    // Three writers whose transactions overlap: each waits for another before it commits.
    let writers = {
        let pool = bench.db.owner.clone();
        tokio::spawn(async move {
            for round in 0..30 {
                let mut a = pool.begin().await?;
                let mut b = pool.begin().await?;
                tell(&mut a, &format!("a{round}")).await?;
                tell(&mut b, &format!("b{round}")).await?;
                tell(&mut a, &format!("c{round}")).await?;
                b.commit().await?;
                tell(&mut *pool.acquire().await?, &format!("d{round}")).await?;
                a.commit().await?;
            }
            tell(&mut *pool.acquire().await?, "end").await?;
            anyhow::Ok(())
        })
    };
    let mut heard = BTreeSet::new();
    let mut turn = 0;
    'all: loop {
        // Now here, now there, a few messages at a time, always from the last cursor.
        let live = if turn % 2 == 0 {
            &bench.console.live
        } else {
            &other.live
        };
        turn += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut stream = live.subscribe(Some(&cursor)).await;
        for _ in 0..5 {
            let event = next(&mut stream).await?;
            assert_ne!(event.message.topic, "reset");
            cursor.clone_from(&event.cursor);
            heard.insert(subject(&event).to_owned());
            if heard.len() == 121 {
                break 'all;
            }
            anyhow::ensure!(turn < 20_000, "it goes round in circles: {} heard", heard.len());
        }
    }
    writers.await??;
    assert!(turn > 5);
    one.end().await?;
    two.end().await
}

#[tokio::test]
async fn resuming_replays_from_memory_or_the_database_or_says_reset() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let one = run(&bench.console.live).await?;
    let mut db = bench.db.owner.acquire().await?;
    tell(&mut db, "first").await?;
    let mut stream = bench.console.live.subscribe(None).await;
    tell(&mut db, "second").await?;
    hear(&mut stream, "second").await?;
    let cursor = bench.console.live.cursor();
    for n in 0..1_200 {
        tell(&mut db, &format!("many-{n}")).await?;
    }
    tell(&mut db, "last").await?;
    hear(&mut stream, "last").await?;
    // Further back than memory, and more than a replay carries: ask for everything.
    let mut again = bench.console.live.subscribe(Some(&cursor)).await;
    assert_eq!(next(&mut again).await?.message.topic, "reset");
    for wrong in ["", "x", "1", "999-", "7-7"] {
        let mut stream = bench.console.live.subscribe(Some(wrong)).await;
        assert_eq!(next(&mut stream).await?.message.topic, "reset", "{wrong}");
    }
    // A console that has just started knows the last thousand.
    let other = second_console("two", &bench.db, &bench.clock, &bench.outside);
    let two = run(&other.live).await?;
    // Told is not yet settled: transactions of other tests hold the cursor back.
    let newest: String = sqlx::query_scalar("SELECT concat(xid, '-', id) FROM events WHERE subject = 'last'")
        .fetch_one(&bench.db.owner)
        .await?;
    let recent = bagua_testkit::eventually("the other hub to know as much", || async {
        Ok(Some(other.live.cursor()).filter(|cursor| *cursor == newest))
    })
    .await?;
    tell(&mut db, "after").await?;
    let mut resumed = other.live.subscribe(Some(&recent)).await;
    assert_eq!(
        subjects(&hear(&mut resumed, "after").await?),
        BTreeSet::from(["after"])
    );
    // A hub that has read nothing replays from the database.
    let third = second_console("three", &bench.db, &bench.clock, &bench.outside);
    let mut resumed = third.live.subscribe(Some(&recent)).await;
    assert_eq!(subject(&*next(&mut resumed).await?), "after");
    one.end().await?;
    two.end().await
}

#[tokio::test]
async fn news_without_a_row_are_told_and_told_again_to_whoever_resumes() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let live = &bench.console.live;
    let mut stream = live.subscribe(None).await;
    live.publish_volatile("regions", Some("eu-west-1"));
    let event = next(&mut stream).await?;
    assert_eq!(
        (event.message.topic.as_str(), event.message.region.as_deref()),
        ("regions", Some("eu-west-1"))
    );
    let mut resumed = live.subscribe(Some(&event.cursor)).await;
    let topics = [
        next(&mut resumed).await?.message.topic.clone(),
        next(&mut resumed).await?.message.topic.clone(),
    ];
    assert!(topics.contains(&"regions".to_owned()), "{topics:?}");
    Ok(())
}

#[tokio::test]
async fn from_the_commit_to_the_listener_takes_a_few_milliseconds() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let running = run(&bench.console.live).await?;
    let mut db = bench.db.owner.acquire().await?;
    let mut stream = bench.console.live.subscribe(None).await;
    tell(&mut db, "warm").await?;
    hear(&mut stream, "warm").await?;
    let mut times = Vec::new();
    for n in 0..40 {
        let name = format!("n{n}");
        tell(&mut db, &name).await?;
        let began = Instant::now();
        hear(&mut stream, &name).await?;
        times.push(began.elapsed());
    }
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "commit to listener: median {median:?}, worst {:?}",
        times[times.len() - 1]
    );
    // Far below the poll of one second; the bound leaves room for a machine that compiles beside the test.
    assert!(median < Duration::from_millis(100), "{median:?}");
    running.end().await
}

#[tokio::test]
async fn an_event_of_a_transaction_that_rolls_back_is_never_told() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let running = run(&bench.console.live).await?;
    let mut stream = bench.console.live.subscribe(None).await;
    let mut tx = bench.db.owner.begin().await?;
    tell(&mut tx, "never").await?;
    tx.rollback().await?;
    tell(&mut *bench.db.owner.acquire().await?, "told").await?;
    let heard = hear(&mut stream, "told").await?;
    assert_eq!(subjects(&heard), BTreeSet::from(["told"]));
    running.end().await
}

#[tokio::test]
async fn the_stream_comes_back_after_its_connections_were_cut() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let running = run(&bench.console.live).await?;
    let mut stream = bench.console.live.subscribe(None).await;
    tell(&mut *bench.db.owner.acquire().await?, "before").await?;
    hear(&mut stream, "before").await?;
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bagua_app' AND datname = current_database()")
        .execute(&bench.db.owner)
        .await?;
    for n in 0..20 {
        let name = format!("after-{n}");
        tell(&mut *bench.db.owner.acquire().await?, &name).await?;
        hear(&mut stream, &name).await?;
    }
    running.end().await
}
