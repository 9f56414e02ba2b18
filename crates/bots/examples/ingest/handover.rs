//! How long a process takes to end under load, and how long bots wait when theirs was killed.

use crate::ground::Ground;
use anyhow::Result;
use bagua_bots::lease::LEASE;
use bagua_telegram_sim::{Load, load};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BOTS: u64 = 8;
const LIMIT: Duration = Duration::from_secs(60);

pub async fn drain_and_takeover() -> Result<()> {
    let ground = Ground::with_bots(BOTS).await?;
    let mut child = ground.run_apart()?;
    let loads: Vec<_> = ground
        .bots
        .iter()
        .map(|bot| {
            let bot = Arc::clone(bot);
            // 40 s of it: longer than all that follows.
            let load = Load {
                updates: 20_000,
                chats: 1_000,
                per_second: Some(500.0),
                ..Load::default()
            };
            tokio::spawn(async move { load::run(&bot, load).await })
        })
        .collect();
    ground
        .until("all bots taken", LIMIT, |ground| {
            all_past(ground, &[0; BOTS as usize])
        })
        .await?;
    child.kill().await?;
    let killed = Instant::now();
    let before: Vec<usize> = ground.bots.iter().map(|bot| bot.totals().acknowledged).collect();
    let running = ground.run("bench", ground.parts()?);
    ground
        .until("all bots taken over", LIMIT, |ground| all_past(ground, &before))
        .await?;
    let takeover = killed.elapsed();
    let drain = running.end().await?;
    loads.iter().for_each(tokio::task::JoinHandle::abort);
    println!(
        r#"{{"part":"handover","bots":{BOTS},"lease_s":{},"takeover_s":{:.1},"drain_s":{:.2}}}"#,
        LEASE.as_secs(),
        takeover.as_secs_f64(),
        drain.as_secs_f64()
    );
    Ok(())
}

/// Whether each bot got further than that.
fn all_past(ground: &Ground, before: &[usize]) -> bool {
    let mut bots = ground.bots.iter().zip(before);
    bots.all(|(bot, before)| bot.totals().acknowledged > *before)
}
