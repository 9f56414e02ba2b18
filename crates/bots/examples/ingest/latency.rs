//! How long an update waits under a steady load: until it is stored and confirmed, and until its answer is at Telegram.

use crate::ground::{Ground, quantile};
use anyhow::{Result, ensure};
use bagua_bots::BotId;
use bagua_bots::rules::{self, Action, Matches, Rule};
use bagua_telegram_sim::{Load, load};
use futures::future::join_all;
use std::time::Duration;

const SECONDS: u64 = 10;
const LIMIT: Duration = Duration::from_secs(60);

/// Puts a steady load in, the same for each bot, and waits until all of it is confirmed.
async fn steady(ground: &Ground, per_second: u64) -> Result<()> {
    let each = per_second as f64 / ground.bots.len() as f64;
    let loads = ground.bots.iter().map(|bot| {
        let load = Load {
            updates: (each * SECONDS as f64) as u64,
            chats: 1_000,
            per_second: Some(each),
            ..Load::default()
        };
        load::run(bot, load)
    });
    join_all(loads).await;
    ground.until("all confirmed", LIMIT, Ground::is_empty).await
}

/// 5,000 updates a second to 8 bots. Measured at the simulator, from an update's arrival there to the poll that confirms it: what lies
/// between is fetching, sealing and committing it, and the batch before it.
pub async fn stored() -> Result<()> {
    const RATE: u64 = 5_000;
    let ground = Ground::with_bots(8).await?;
    let running = ground.run("bench", ground.parts()?);
    settled(&ground).await?;
    steady(&ground, RATE).await?;
    running.end().await?;
    ground.nothing_lost().await?;
    let mut waits: Vec<i64> = Vec::new();
    for bot in &ground.bots {
        waits.extend(bot.with_log(|log| {
            let updates = log.updates.iter();
            updates
                .filter_map(|update| Some(update.ended_at? - update.pushed_at))
                .collect::<Vec<_>>()
        }));
    }
    waits.sort_unstable();
    println!(
        r#"{{"part":"stored","per_second":{RATE},"updates":{},"p50_ms":{},"p99_ms":{}}}"#,
        waits.len(),
        quantile(&waits, 0.5)?,
        quantile(&waits, 0.99)?
    );
    Ok(())
}

/// 1,000 messages a second to 50 bots with a rule that answers each. From a message's arrival at the simulator to the arrival of its
/// answer there. Bots may send 30 a second each, and one a second to a person, so it takes many bots and many chats.
pub async fn reply() -> Result<()> {
    const RATE: u64 = 1_000;
    let ground = Ground::with_bots(50).await?;
    for bot in &ground.bots {
        let rule = Rule {
            id: 0,
            version: 0,
            position: 0,
            title: "answers".to_owned(),
            enabled: true,
            stops: false,
            matches: Matches::default(),
            actions: vec![Action::Reply {
                template: "{text}".to_owned(),
                quote: false,
            }],
        };
        rules::save(&ground.data.app, BotId(bot.id()), &rule).await?;
    }
    let running = ground.run("bench", ground.parts()?);
    settled(&ground).await?;
    steady(&ground, RATE).await?;
    let expected = RATE * SECONDS;
    ground
        .until("all answers", LIMIT, |ground| {
            let sent = ground
                .bots
                .iter()
                .map(|bot| bot.with_log(|log| log.sends.len() as u64));
            sent.sum::<u64>() >= expected
        })
        .await?;
    running.end().await?;
    ground.nothing_lost().await?;
    let mut waits: Vec<i64> = Vec::new();
    for bot in &ground.bots {
        waits.extend(bot.with_log(|log| {
            // The generator's texts end with the update's number, and the answer repeats the text.
            let answers = log.sends.iter().filter_map(|send| {
                let number: usize = send.text.as_deref()?.rsplit(' ').next()?.parse().ok()?;
                Some(send.received_at - log.updates.get(number)?.pushed_at)
            });
            answers.collect::<Vec<_>>()
        }));
    }
    ensure!(
        waits.len() as u64 == expected,
        "{} answers to {expected} messages",
        waits.len()
    );
    waits.sort_unstable();
    println!(
        r#"{{"part":"reply","per_second":{RATE},"answers":{},"p50_ms":{},"p99_ms":{}}}"#,
        waits.len(),
        quantile(&waits, 0.5)?,
        quantile(&waits, 0.99)?
    );
    Ok(())
}

/// Waits until every bot is polled.
async fn settled(ground: &Ground) -> Result<()> {
    ground
        .until("all bots polled", LIMIT, |ground| {
            let mut bots = ground.bots.iter();
            bots.all(|bot| bot.with_log(|log| !log.polls.is_empty()))
        })
        .await
}
