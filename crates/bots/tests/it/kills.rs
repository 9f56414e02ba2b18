//! Runners that are killed, frozen and ended under load, judged by the simulator's own log.

use crate::ground::{Ground, ground, reply};
use crate::process::Process;
use anyhow::Result;
use bagua_bots::rules::Matches;
use bagua_telegram_sim::{Action, Bot, Config, Fault, Load, Shape, Share, Sim};
use bagua_testkit::eventually;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::task::JoinHandle;

const ROUNDS: usize = 6;
const UPDATES: u64 = 4_000;
/// Of the texts "update 0" to "update 3999", those that end in 50 or 00 are answered.
const REPLIES: i64 = 79;
const ANSWERED: &str = "[05]0$";

/// A load of several kinds, one that no client knows among them.
fn mixed(updates: u64) -> Load {
    let share = |kind, of| Share { kind, of };
    Load {
        updates,
        chats: 97,
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

/// A bot that answers some texts. Telegram takes its time to answer, so that there are always calls under way.
async fn replying(ground: &Ground, sim: &Sim) -> Result<Arc<Bot>> {
    let bot = ground.bot_at(sim).await?;
    let some = Matches {
        pattern: Some(ANSWERED.to_owned()),
        kinds: vec!["message".to_owned()],
        ..Matches::default()
    };
    ground.rule(bot.id(), some, vec![reply("re: {text}")]).await?;
    bot.plan(Fault {
        method: "sendMessage".to_owned(),
        action: Action::Delay { millis: 300 },
        after: 0,
        times: None,
    });
    Ok(bot)
}

/// Waits until nothing waits to be sent, and compares with what the simulator saw: every reply once, or known to be uncertain.
/// Returns how many are uncertain.
async fn assert_replies(ground: &Ground, bot: &Bot) -> Result<i64> {
    eventually("rules and calls to be done", || async {
        let open = ground.count("update_work").await?
            + ground
                .count("outbox WHERE state IN ('pending', 'sending')")
                .await?;
        Ok((open == 0).then_some(()))
    })
    .await?;
    let (all, sent) = (
        ground.count("outbox").await?,
        ground
            .count("outbox WHERE state = 'sent' AND message_id IS NOT NULL")
            .await?,
    );
    let uncertain = ground.count("outbox WHERE state = 'uncertain'").await?;
    assert_eq!((all, sent + uncertain), (REPLIES, REPLIES));
    let totals = bot.totals();
    let done = i64::try_from(totals.sends_done)?;
    assert_eq!(totals.sends_doubled, 0, "{totals:?}");
    assert!(
        (sent..=all).contains(&done),
        "{sent} are known to be sent, {done} were"
    );
    Ok(uncertain)
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
    let bot = replying(&ground, &sim).await?;
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
    let uncertain = assert_replies(&ground, &bot).await?;
    last.terminate().await?;
    ground.assert_all_here(&bot).await?;
    assert!(
        uncertain > 0,
        "no kill hit a call that was under way, so nothing was shown"
    );
    let redelivered = bot.totals().redelivered;
    assert!(
        redelivered > 0,
        "no kill hit anything that was under way, so nothing was shown"
    );
    Ok(())
}

/// Calls that a frozen owner had marked and that nobody knows of.
async fn marked(ground: &Ground) -> Result<Vec<i64>> {
    Ok(
        sqlx::query_scalar("SELECT outbox_id FROM outbox WHERE state IN ('sending', 'uncertain')")
            .fetch_all(&ground.data.owner)
            .await?,
    )
}

/// What the simulator received after the take-over was begun under the new owner's fence; but for calls that were `marked` when their owner
/// froze: it may have been frozen between looking at its lease and writing into the connection, and nothing takes such a call back.
async fn assert_sent_by_the_owner_alone(ground: &Ground, bot: &Bot, marked: &[i64]) -> Result<()> {
    let (at, fence): (OffsetDateTime, i64) =
        sqlx::query_as("SELECT at, fence FROM bot_lease_events WHERE what = 'taken_over'")
            .fetch_one(&ground.data.owner)
            .await?;
    let taken_over = i64::try_from(at.unix_timestamp_nanos() / 1_000_000)?;
    let calls: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT chat_id, message_id, fence, outbox_id FROM outbox WHERE message_id IS NOT NULL",
    )
    .fetch_all(&ground.data.owner)
    .await?;
    let late: Vec<(Option<i64>, Option<i64>)> = bot.with_log(|log| {
        let late = log.sends.iter().filter(|send| send.received_at > taken_over);
        late.map(|send| (send.chat_id, send.message_id)).collect()
    });
    assert!(
        !late.is_empty(),
        "nothing was sent after the take-over, so nothing was shown"
    );
    for (chat, message) in late {
        let by_owner = calls
            .iter()
            .filter(|(to, id, ..)| (Some(*to), Some(*id)) == (chat, message))
            .any(|(_, _, by, call)| *by == fence || marked.contains(call));
        assert!(by_owner, "message {message:?} to {chat:?} was not the owner's");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_frozen_past_its_lease_wakes_and_confirms_nothing_that_is_not_stored() -> Result<()> {
    let ground = ground().await?;
    let sim = Sim::start(Config::default()).await?;
    let bot = replying(&ground, &sim).await?;
    let load = feed(&bot);
    let frozen = Process::start(&ground, "frozen")?;
    until_acknowledged(&bot, 300).await?;
    frozen.signal(Signal::SIGSTOP)?;
    let other = Process::start(&ground, "other")?;
    until_owned(&ground, "other").await?;
    let marked = marked(&ground).await?;
    let before = bot.totals().acknowledged;
    until_acknowledged(&bot, before + 300).await?;
    frozen.signal(Signal::SIGCONT)?;
    load.await?;
    until_acknowledged(&bot, UPDATES as usize).await?;
    assert_replies(&ground, &bot).await?;
    ground.assert_all_here(&bot).await?;
    assert_eq!(
        ground.count("bot_lease_events WHERE what = 'taken_over'").await?,
        1
    );
    assert_sent_by_the_owner_alone(&ground, &bot, &marked).await?;
    frozen.terminate().await?;
    other.terminate().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_asked_to_end_under_load_hands_over_at_once() -> Result<()> {
    let ground = ground().await?;
    let sim = Sim::start(Config::default()).await?;
    let bot = replying(&ground, &sim).await?;
    let load = feed(&bot);
    let first = Process::start(&ground, "first")?;
    until_acknowledged(&bot, 300).await?;
    first.terminate().await?;
    let second = Process::start(&ground, "second")?;
    load.await?;
    until_acknowledged(&bot, UPDATES as usize).await?;
    let uncertain = assert_replies(&ground, &bot).await?;
    assert_eq!(
        uncertain, 0,
        "who ends in order waits for the answers to what was begun"
    );
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
