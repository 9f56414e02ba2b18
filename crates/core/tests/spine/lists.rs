//! Pages, filters, memory, and what goes on while the database is away.

use crate::Bench;
use bagua_core::{Clock, Console, ConsoleParts};
use bagua_model::failure::FailureKind;
use bagua_model::notices::{ListNotices, Source};
use bagua_model::operation::{ListAudit, ListOperations, OperationState, RecentEvents, Submission};
use bagua_model::region::{Environment, RegionId};
use bagua_testkit::people::{operator, operator_in, system};
use bagua_testkit::probe::Probe;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_double() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let mut submitted = Vec::new();
    for n in 0..7 {
        bench.clock.advance(time::Duration::milliseconds(2));
        submitted.insert(0, bench.submit(Probe::new(&format!("t{n}"), &["tx-1"])).await?);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = bench
            .console
            .ask(
                &system(),
                ListOperations {
                    limit: 3,
                    after,
                    ..Default::default()
                },
            )
            .await?;
        assert!(page.rows.len() <= 3);
        seen.extend(page.rows.iter().map(|row| row.operation));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, submitted);
    let (mut count, mut after) = (0, None);
    loop {
        let page = bench
            .console
            .ask(
                &system(),
                ListAudit {
                    limit: 2,
                    after,
                    ..Default::default()
                },
            )
            .await?;
        count += page.rows.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(count, 7);
    Ok(())
}

#[tokio::test]
async fn filters_narrow_and_are_taken_as_they_stand() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let done = bench.run(Probe::new("x/1", &["tx-1"])).await?.summary.operation;
    let open = bench
        .submit(Probe::new("x/2", &["tx-1"]).at(Some("eu-west-1")))
        .await?;
    let list = |filter: ListOperations| {
        let console = bench.console.clone();
        async move {
            let page = console.ask(&system(), filter).await?;
            anyhow::Ok(page.rows.into_iter().map(|row| row.operation).collect::<Vec<_>>())
        }
    };
    let states = |state| ListOperations {
        states: vec![state],
        ..Default::default()
    };
    assert_eq!(list(states(OperationState::Succeeded)).await?, [done]);
    assert_eq!(list(states(OperationState::Queued)).await?, [open]);
    assert!(list(states(OperationState::Failed)).await?.is_empty());
    let region = Some(RegionId::new("eu-west-1"));
    assert_eq!(
        list(ListOperations {
            region,
            ..Default::default()
        })
        .await?,
        [open]
    );
    assert_eq!(
        list(ListOperations {
            target: Some("probe:x/1".into()),
            ..Default::default()
        })
        .await?,
        [done]
    );
    assert_eq!(
        list(ListOperations {
            kind: Some("probe.critical".into()),
            ..Default::default()
        })
        .await?,
        []
    );
    let audit = |actor: &str| {
        let (console, actor) = (bench.console.clone(), Some(actor.to_owned()));
        async move {
            let query = ListAudit {
                actor,
                result: Some("allowed".into()),
                ..Default::default()
            };
            anyhow::Ok(console.ask(&system(), query).await?.rows.len())
        }
    };
    assert_eq!(
        (
            audit("wei@").await?,
            audit("w_i").await?,
            audit("%").await?,
            audit("\\").await?
        ),
        (2, 0, 0, 0)
    );
    let now = bench.clock.now();
    let span = |from, until| ListAudit {
        from,
        until,
        ..Default::default()
    };
    let later = now + time::Duration::seconds(1);
    assert_eq!(
        bench
            .console
            .ask(&system(), span(Some(now), Some(later)))
            .await?
            .rows
            .len(),
        3
    );
    assert!(
        bench
            .console
            .ask(&system(), span(None, Some(now)))
            .await?
            .rows
            .is_empty()
    );
    Ok(())
}

#[tokio::test]
async fn the_event_log_tells_the_story_and_not_every_breath() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    bench.run(Probe::new("a", &["tx-1", "effect-1"])).await?;
    let told = |query: RecentEvents| {
        let console = bench.console.clone();
        async move {
            let events = console.ask(&system(), query).await?;
            anyhow::Ok(events.into_iter().map(|e| e.kind).collect::<Vec<_>>())
        }
    };
    let story = ["operation.succeeded", "operation.submitted"];
    assert_eq!(told(RecentEvents::default()).await?, story);
    assert_eq!(
        told(RecentEvents {
            subject: Some("probe:a".into()),
            ..Default::default()
        })
        .await?,
        story
    );
    assert!(
        told(RecentEvents {
            subject: Some("probe:b".into()),
            ..Default::default()
        })
        .await?
        .is_empty()
    );
    let of_kinds = |kinds: &[&str]| RecentEvents {
        kinds: kinds.iter().map(|k| (*k).to_owned()).collect(),
        ..Default::default()
    };
    assert_eq!(told(of_kinds(&["operation"])).await?, story);
    assert_eq!(
        told(of_kinds(&["operation.succeeded", "incident"])).await?,
        story[..1]
    );
    assert!(
        told(of_kinds(&["oper"])).await?.is_empty(),
        "half a word is no kind"
    );
    let now = bench.console.clock.now();
    for (since, before, expected) in [
        (-3_600, 3_600, &story[..]),
        (3_600, 7_200, &[]),
        (-7_200, -3_600, &[]),
    ] {
        let window = RecentEvents {
            since: Some(now + time::Duration::seconds(since)),
            before: Some(now + time::Duration::seconds(before)),
            ..Default::default()
        };
        assert_eq!(told(window).await?, expected);
    }
    let region = Some(RegionId::new("us-east-1"));
    assert!(
        told(RecentEvents {
            region,
            ..Default::default()
        })
        .await?
        .is_empty()
    );
    assert_eq!(
        told(RecentEvents {
            limit: 1,
            ..Default::default()
        })
        .await?,
        story[..1]
    );
    let elsewhere = bench
        .console
        .ask(&operator_in("Aoife", "eu-west-1"), RecentEvents::default())
        .await?;
    assert!(elsewhere.is_empty());
    // The same from memory.
    let stop = CancellationToken::new();
    let live = tokio::spawn({
        let (live, stop) = (bench.console.live.clone(), stop.clone());
        async move { live.run(stop).await }
    });
    bench.run(Probe::new("b", &["tx-1"])).await?;
    bagua_testkit::eventually("four events in memory", || async {
        Ok((told(RecentEvents::default()).await?.len() == 4).then_some(()))
    })
    .await?;
    sqlx::query("ALTER TABLE events RENAME TO events_gone")
        .execute(&bench.db.owner)
        .await?;
    assert_eq!(
        told(RecentEvents::default()).await?[..2],
        story,
        "it asked the database"
    );
    assert_eq!(
        told(RecentEvents {
            limit: 2,
            ..Default::default()
        })
        .await?,
        story
    );
    let elsewhere = bench
        .console
        .ask(&operator_in("Aoife", "eu-west-1"), RecentEvents::default())
        .await?;
    assert!(elsewhere.is_empty(), "memory shows what the grant does not reach");
    sqlx::query("ALTER TABLE events_gone RENAME TO events")
        .execute(&bench.db.owner)
        .await?;
    stop.cancel();
    live.await?;
    Ok(())
}

#[tokio::test]
async fn what_lives_in_memory_goes_on_without_the_database() -> anyhow::Result<()> {
    // A port on which nothing listens: the database is away from the start, as after a crash of the machine.
    let options = sqlx::postgres::PgConnectOptions::new()
        .host("127.0.0.1")
        .port(1)
        .username("nobody")
        .database("none");
    let parts = ConsoleParts::new(
        "alone",
        bagua_core::db::pool(options, 4),
        Environment::Dev,
        Clock::system(),
    );
    let console = Console::new(parts);
    let stop = CancellationToken::new();
    let running = tokio::spawn(console.clone().run(stop.clone()));
    let notices = bagua_testkit::eventually("a notice", || async {
        let notices = console.ask(&system(), ListNotices {}).await?;
        Ok((!notices.is_empty()).then_some(notices))
    })
    .await?;
    assert_eq!(notices[0].source, Source::Database);
    let wei = operator("Wei");
    let began = Instant::now();
    let refused = console.ask(&wei, ListOperations::default()).await;
    assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Unavailable));
    let refused = console.ask(&wei, ListAudit::default()).await;
    assert_eq!(
        refused.err().map(|f| f.kind),
        Some(FailureKind::Forbidden),
        "a denial needs no database"
    );
    let refused = console
        .submit_json(
            &wei,
            "operation.cancel",
            serde_json::json!({ "operation": uuid::Uuid::nil() }),
            Submission::default(),
        )
        .await;
    assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Unavailable));
    assert!(
        began.elapsed() < Duration::from_secs(7),
        "no caller waits for ever: {:?}",
        began.elapsed()
    );
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), running).await??;
    Ok(())
}

#[tokio::test]
async fn active_operations_come_from_memory_and_follow_at_once() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let stop = CancellationToken::new();
    let live = tokio::spawn({
        let (live, stop) = (bench.console.live.clone(), stop.clone());
        async move { live.run(stop).await }
    });
    let active = || ListOperations {
        states: vec![
            OperationState::Queued,
            OperationState::Running,
            OperationState::NeedsOperator,
        ],
        ..Default::default()
    };
    let mut stream = bench.console.live.subscribe(None).await;
    let operation = bench.submit(Probe::new("a", &["tx-1"])).await?;
    let wanted = format!("operation:{operation}");
    // Whoever asks because of the message finds the news: memory is refreshed before listeners hear.
    loop {
        let event =
            tokio::time::timeout(bagua_testkit::PATIENCE, futures::StreamExt::next(&mut stream)).await?;
        if event.is_some_and(|e| e.message.subject.as_deref() == Some(wanted.as_str())) {
            break;
        }
    }
    sqlx::query("ALTER TABLE operations RENAME TO operations_gone")
        .execute(&bench.db.owner)
        .await?;
    let page = bench.console.ask(&system(), active()).await?;
    assert_eq!(
        page.rows.iter().map(|row| row.operation).collect::<Vec<_>>(),
        [operation]
    );
    let began = Instant::now();
    for _ in 0..1000 {
        bench.console.ask(&operator("Wei"), active()).await?;
        bench.console.ask(&operator("Wei"), ListNotices {}).await?;
    }
    let each = began.elapsed() / 2000;
    assert!(
        each < Duration::from_micros(500),
        "{each:?} for an answer from memory"
    );
    sqlx::query("ALTER TABLE operations_gone RENAME TO operations")
        .execute(&bench.db.owner)
        .await?;
    stop.cancel();
    live.await?;
    Ok(())
}

#[tokio::test]
async fn operations_are_found_by_a_part_of_target_kind_submitter_or_id() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let one = bench.submit(Probe::new("Harbour-7", &["tx-1"])).await?;
    bench.clock.advance(time::Duration::milliseconds(2));
    let two = bench.submit(Probe::new("kettle", &["tx-1"])).await?;
    let found = async |text: &str| {
        let query = ListOperations {
            text: Some(text.to_owned()),
            ..Default::default()
        };
        let page = bench.console.ask(&system(), query).await?;
        anyhow::Ok(page.rows.iter().map(|row| row.operation).collect::<Vec<_>>())
    };
    assert_eq!(found(" harbour").await?, [one]);
    assert_eq!(found("PROBE").await?, [two, one]);
    assert_eq!(found("wei").await?, [two, one]);
    assert_eq!(found(&two.to_string()[..36]).await?, [two]);
    assert_eq!(found("100%").await?, []);
    assert_eq!(found("  ").await?, [two, one]);
    Ok(())
}
