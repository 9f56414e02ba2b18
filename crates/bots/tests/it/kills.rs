//! Runners that are killed, frozen and ended under load, judged by the simulator's own log.

use crate::ground::{Ground, ground};
use crate::process::Process;
use anyhow::Result;
use bagua_telegram_sim::{Bot, Config, Load, Shape, Share, Sim};
use bagua_testkit::eventually;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use tokio::task::JoinHandle;

const ROUNDS: usize = 8;
const UPDATES: u64 = 4_000;

/// A load of several kinds, one that no client knows among them.
fn mixed(updates: u64) -> Load {
    let share = |kind, of| Share { kind, of };
    Load {
        updates,
        chats: 40,
        per_second: Some(2_000.0),
        mixture: vec![
            share(Shape::Message, 6),
            share(Shape::EditedMessage, 1),
            share(Shape::CallbackQuery, 1),
            share(Shape::Unknown, 1),
            share(Shape::ChannelPost, 1),
        ],
        ..Load::default()
    }
}

/// Puts the updates in, in the background.
fn feed(bot: &Arc<Bot>) -> JoinHandle<u64> {
    let bot = bot.clone();
    tokio::spawn(async move { bagua_telegram_sim::load::run(&bot, mixed(UPDATES)).await })
}

async fn until_acknowledged(bot: &Bot, updates: usize) -> Result<()> {
    eventually(&format!("{updates} confirmed updates"), || async {
        Ok((bot.totals().acknowledged >= updates).then_some(()))
    })
    .await
}

async fn until_owned(ground: &Ground, owner: &str) -> Result<()> {
    eventually(&format!("{owner} to own the bot"), || async {
        Ok((ground
            .count(&format!("bot_leases WHERE owner = '{owner}'"))
            .await?
            > 0)
        .then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runners_killed_under_load_lose_nothing_and_double_nothing() -> Result<()> {
    let ground = ground().await?;
    let sim = Sim::start(Config::default()).await?;
    let bot = ground.bot_at(&sim).await?;
    let load = feed(&bot);
    let mut random = StdRng::seed_from_u64(20_261_122);
    for round in 0..ROUNDS {
        let process = Process::start(&ground, &format!("runner-{round}"))?;
        // Each is killed after it has confirmed a few more, at a point that nobody chose.
        let more = random.random_range(1..UPDATES as usize / ROUNDS);
        let reached = (bot.totals().acknowledged + more).min(UPDATES as usize - 200);
        until_acknowledged(&bot, reached).await?;
        process.kill().await?;
    }
    load.await?;
    let last = Process::start(&ground, "last")?;
    until_acknowledged(&bot, UPDATES as usize).await?;
    last.terminate().await?;
    ground.assert_all_here(&bot).await?;
    let redelivered = bot.totals().redelivered;
    assert!(
        redelivered > 0,
        "no kill hit anything that was under way, so nothing was shown"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_frozen_past_its_lease_wakes_and_confirms_nothing_that_is_not_stored() -> Result<()> {
    let ground = ground().await?;
    let sim = Sim::start(Config::default()).await?;
    let bot = ground.bot_at(&sim).await?;
    let load = feed(&bot);
    let frozen = Process::start(&ground, "frozen")?;
    until_acknowledged(&bot, 300).await?;
    frozen.signal(Signal::SIGSTOP)?;
    let other = Process::start(&ground, "other")?;
    until_owned(&ground, "other").await?;
    let before = bot.totals().acknowledged;
    until_acknowledged(&bot, before + 300).await?;
    frozen.signal(Signal::SIGCONT)?;
    load.await?;
    until_acknowledged(&bot, UPDATES as usize).await?;
    ground.assert_all_here(&bot).await?;
    assert_eq!(
        ground.count("bot_lease_events WHERE what = 'taken_over'").await?,
        1
    );
    frozen.terminate().await?;
    other.terminate().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_asked_to_end_under_load_hands_over_at_once() -> Result<()> {
    let ground = ground().await?;
    let sim = Sim::start(Config::default()).await?;
    let bot = ground.bot_at(&sim).await?;
    let load = feed(&bot);
    let first = Process::start(&ground, "first")?;
    until_acknowledged(&bot, 300).await?;
    first.terminate().await?;
    let second = Process::start(&ground, "second")?;
    load.await?;
    until_acknowledged(&bot, UPDATES as usize).await?;
    second.terminate().await?;
    ground.assert_all_here(&bot).await?;
    let told: Vec<String> = sqlx::query_scalar("SELECT what FROM bot_lease_events ORDER BY id")
        .fetch_all(&ground.data.owner)
        .await?;
    assert_eq!(
        told,
        ["acquired", "released", "acquired", "released"],
        "nobody had to wait for a lease to run out"
    );
    Ok(())
}
