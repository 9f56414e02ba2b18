//! What a bot costs that nobody writes to: resident memory of a process of its own, with bots and without.

use crate::ground::Ground;
use anyhow::{Context as _, Result};
use std::time::Duration;

const BOTS: u64 = 2_000;
const LIMIT: Duration = Duration::from_secs(120);

pub async fn memory() -> Result<()> {
    let alone = resident(1).await?;
    let all = resident(BOTS).await?;
    let each = (all - alone) as f64 / (BOTS - 1) as f64;
    println!(
        r#"{{"part":"idle","bots":{BOTS},"resident_kb":{all},"with_one_kb":{alone},"kb_per_bot":{each:.1}}}"#
    );
    Ok(())
}

/// Kilobytes of a runner whose bots all wait in a long poll.
async fn resident(bots: u64) -> Result<u64> {
    let ground = Ground::with_bots(bots).await?;
    let mut child = ground.run_apart()?;
    ground
        .until("all bots polled", LIMIT, |ground| {
            let mut bots = ground.bots.iter();
            bots.all(|bot| bot.with_log(|log| !log.polls.is_empty()))
        })
        .await?;
    // One round of what an owner does beside polling: renewing leases, asking how the webhook stands.
    tokio::time::sleep(Duration::from_secs(35)).await;
    let pid = child.id().context("the runner has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|rest| rest.split_whitespace().next())
        .context("VmRSS")?
        .parse()?;
    child.kill().await?;
    Ok(kilobytes)
}
