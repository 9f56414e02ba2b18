//! Where a bot runs: its home, regions that stand by, and the way back.

use crate::ground::{Ground, Running, ground, here, sim};
use crate::process::{Process, quick};
use anyhow::Result;
use bagua_bots::lease::{LEASE, Owner, acquire, recall, release, renew};
use bagua_bots::runner::RunnerConfig;
use bagua_bots::{BotId, catalogue, presence};
use bagua_model::bots::tuning::RunnerFigures;
use bagua_telegram_sim::{Bot, Load};
use bagua_testkit::eventually;
use nix::sys::signal::Signal;
use std::sync::Arc;
use std::time::Duration;

/// A process of another region, with the usual patience.
fn of(region: &str) -> Owner {
    Owner {
        own: region == "here",
        ..Owner::new(format!("{region}/1"), region)
    }
}

/// As if the bot had been free for so many seconds.
async fn free_for(ground: &Ground, seconds: f64) -> Result<()> {
    sqlx::query("UPDATE bot_leases SET expires_at = now() - make_interval(secs => $1)")
        .bind(seconds)
        .execute(&ground.data.owner)
        .await?;
    sqlx::query("UPDATE bots SET wanted_at = now() - interval '1 hour'")
        .execute(&ground.data.owner)
        .await?;
    Ok(())
}

async fn takes(ground: &Ground, region: &str) -> Result<bool> {
    let taken = acquire(&ground.data.app, &of(region), 9, LEASE).await?;
    release(&ground.data.app, &of(region).name, &taken).await?;
    Ok(!taken.is_empty())
}

async fn place(ground: &Ground, bot: i64, regions: &[&str]) -> Result<()> {
    let regions: Vec<String> = regions.iter().map(|&region| region.to_owned()).collect();
    Ok(catalogue::place(&ground.data.app, BotId(bot), &regions).await?)
}

async fn owner(ground: &Ground, bot: i64) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar("SELECT owner FROM bot_leases WHERE bot_id = $1 AND expires_at > now()")
            .bind(bot)
            .fetch_optional(&ground.data.owner)
            .await?
            .flatten(),
    )
}

async fn until_owner(ground: &Ground, bot: i64, name: &str) -> Result<()> {
    eventually(&format!("{name} to own bot {bot}"), || async {
        Ok((owner(ground, bot).await?.as_deref() == Some(name)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn without_an_order_a_bot_runs_in_the_region_of_its_data_alone() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    free_for(&ground, 3_600.0).await?;
    assert!(!takes(&ground, "there").await?);
    assert!(!presence::needed(&ground.data.app, "there").await?);
    assert!(takes(&ground, "here").await?);
    place(&ground, 7, &["here", "there"]).await?;
    assert!(presence::needed(&ground.data.app, "there").await?);
    Ok(())
}

#[tokio::test]
async fn each_region_waits_for_those_before_it_and_one_that_is_not_named_never_comes() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    place(&ground, 7, &["first", "second", "here"]).await?;
    for (free, whose) in [
        (1.0, ["first"].as_slice()),
        (4.0, &["first", "second"]),
        (7.0, &["first", "second", "here"]),
    ] {
        for region in ["elsewhere", "here", "second", "first"] {
            free_for(&ground, free).await?;
            let takes = takes(&ground, region).await?;
            assert_eq!(takes, whose.contains(&region), "{region} after {free} s");
        }
    }
    // One that was just given back, or just started, is its home's first of all.
    free_for(&ground, 60.0).await?;
    assert!(takes(&ground, "first").await?);
    assert!(!takes(&ground, "second").await?);
    free_for(&ground, 60.0).await?;
    catalogue::want(&ground.data.app, BotId(7), true).await?;
    assert!(!takes(&ground, "second").await?);
    Ok(())
}

#[tokio::test]
async fn a_region_that_cannot_be_pushed_to_leaves_bots_with_a_webhook_alone() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let app = &ground.data.app;
    catalogue::push_to(app, &ground.keys, BotId(7), "http://127.0.0.1:9/7").await?;
    place(&ground, 7, &["there", "here"]).await?;
    free_for(&ground, 60.0).await?;
    let deaf = Owner {
        pushed: false,
        ..of("there")
    };
    assert!(acquire(app, &deaf, 9, LEASE).await?.is_empty());
    assert_eq!(acquire(app, &of("here"), 9, LEASE).await?.len(), 1);
    assert_eq!(recall(app, &deaf, 9).await?, 0);
    assert_eq!(recall(app, &of("there"), 9).await?, 1);
    Ok(())
}

#[tokio::test]
async fn only_who_comes_before_asks_for_a_bot_back() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let app = &ground.data.app;
    place(&ground, 7, &["first", "second", "third"]).await?;
    free_for(&ground, 60.0).await?;
    let second = acquire(app, &of("second"), 9, LEASE).await?;
    for region in ["second", "third", "here", "elsewhere"] {
        assert_eq!(recall(app, &of(region), 9).await?, 0, "{region}");
    }
    assert_eq!(recall(app, &of("first"), 9).await?, 1);
    assert_eq!(recall(app, &of("first"), 9).await?, 0, "it has been asked for");
    // It goes on until it has finished.
    assert_eq!(renew(app, &of("second").name, &second, LEASE).await?.len(), 1);
    release(app, &of("second").name, &second).await?;
    assert!(takes(&ground, "first").await?);
    Ok(())
}

async fn load(bot: &Arc<Bot>, updates: u64) {
    bagua_telegram_sim::load::run(
        bot,
        Load {
            updates,
            per_second: Some(1_000.0),
            ..Load::default()
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_its_home_freezes_who_stands_by_takes_a_bot_and_gives_it_back_later_with_nothing_lost()
-> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    place(&ground, bot.id(), &["here", "there"]).await?;
    let home = Process::start(&ground, "here/home")?;
    let standby = Running::start(&ground, "there/standby")?;
    until_owner(&ground, bot.id(), "here/home").await?;
    load(&bot, 500).await;
    ground.until_stored(bot.id(), 500).await?;

    let loading = tokio::spawn({
        let bot = bot.clone();
        async move { load(&bot, 2_000).await }
    });
    home.signal(Signal::SIGSTOP)?;
    until_owner(&ground, bot.id(), "there/standby").await?;
    loading.await?;
    ground.until_stored(bot.id(), 2_500).await?;
    // The frozen one wakes, may nothing under its old lease, and is the better placed one again.
    home.signal(Signal::SIGCONT)?;
    load(&bot, 500).await;
    until_owner(&ground, bot.id(), "here/home").await?;
    load(&bot, 500).await;
    ground.until_stored(bot.id(), 3_500).await?;
    let told = presence::list(&ground.data.app).await?;
    let told: Vec<&str> = told.iter().map(|one| one.region.as_str()).collect();
    assert_eq!(told, ["here", "there"]);
    home.terminate().await?;
    standby.end().await?;
    assert!(presence::list(&ground.data.app).await?.is_empty());
    let events: Vec<(String, String)> =
        sqlx::query_as("SELECT what, split_part(owner, '/', 1) FROM bot_lease_events ORDER BY id")
            .fetch_all(&ground.data.owner)
            .await?;
    let events: Vec<(&str, &str)> = events.iter().map(|(what, who)| (&**what, &**who)).collect();
    let expected = [
        ("acquired", "here"),
        ("taken_over", "there"),
        ("released", "there"),
        ("acquired", "here"),
    ];
    assert_eq!(events[..4], expected);
    ground.assert_all_here(&bot).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_home_takes_a_bot_under_load_with_nothing_lost() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let one = Running::start(&ground, "here/one")?;
    let other = Running::start(&ground, "there/other")?;
    until_owner(&ground, bot.id(), "here/one").await?;
    let loading = tokio::spawn({
        let bot = bot.clone();
        async move { load(&bot, 3_000).await }
    });
    for (regions, name) in [
        (["there", "here"].as_slice(), "there/other"),
        (&["here"], "here/one"),
        (&["there"], "there/other"),
        (&[], "here/one"),
    ] {
        place(&ground, bot.id(), regions).await?;
        until_owner(&ground, bot.id(), name).await?;
    }
    loading.await?;
    ground.until_stored(bot.id(), 3_000).await?;
    one.end().await?;
    other.end().await?;
    ground.assert_all_here(&bot).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_with_a_webhook_is_pushed_to_where_it_runs() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let written = "http://127.0.0.1:9/here";
    catalogue::push_to(&ground.data.app, &ground.keys, BotId(bot.id()), written).await?;
    place(&ground, bot.id(), &["there", "here"]).await?;
    let there = RunnerConfig {
        push_base: Some("http://127.0.0.1:9/".to_owned()),
        ..quick("there/one")
    };
    let there = Running::start_as(&ground, there)?;
    let url = || async {
        let found: Option<String> = sqlx::query_scalar("SELECT url FROM bot_observations WHERE url <> ''")
            .fetch_optional(&ground.data.owner)
            .await?;
        anyhow::Ok(found)
    };
    let pushed = format!("http://127.0.0.1:9/v1/hooks/telegram/{}", bot.id());
    eventually("the webhook of the region that runs it", || async {
        Ok((url().await?.as_deref() == Some(&*pushed)).then_some(()))
    })
    .await?;
    there.end().await?;
    let home = Running::start_as(
        &ground,
        RunnerConfig {
            owner: here("here/a"),
            ..quick("x")
        },
    )?;
    eventually("the webhook as it is written down", || async {
        Ok((url().await?.as_deref() == Some(written)).then_some(()))
    })
    .await?;
    home.end().await
}

#[tokio::test]
async fn a_process_that_has_not_said_that_it_is_there_is_not() -> Result<()> {
    let ground = ground().await?;
    let app = &ground.data.app;
    let figures = RunnerFigures {
        bots: 3,
        ..RunnerFigures::default()
    };
    presence::announce(app, &of("here"), &figures).await?;
    presence::announce(app, &of("there"), &figures).await?;
    sqlx::query("UPDATE bot_runners SET seen_at = now() - make_interval(secs => $1) WHERE region = 'there'")
        .bind((presence::PRESENT + Duration::from_secs(5)).as_secs_f64())
        .execute(app)
        .await?;
    let there = presence::list(app).await?;
    assert_eq!(there.len(), 1);
    assert_eq!((there[0].region.as_str(), &there[0].figures), ("here", &figures));
    Ok(())
}
