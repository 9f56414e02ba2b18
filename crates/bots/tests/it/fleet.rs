//! What there is to be seen.

use crate::ground::{Running, ground, says, sim};
use anyhow::{Context as _, Result};
use bagua_bots::BotId;
use bagua_bots::catalogue::want;
use bagua_bots::fleet::{Happened, list, timeline, updates};
use bagua_bots::housekeeping;
use bagua_bots::rules::Facts;
use bagua_testkit::eventually;
use time::Duration;

#[tokio::test]
async fn a_bot_is_seen_with_owner_cursor_lag_and_what_waits() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let (pool, id) = (&ground.data.app, BotId(bot.id()));
    let before = list(pool, Some(id)).await?.pop().context("a bot")?;
    assert!(before.wanted && before.owner.is_none() && before.state.is_none() && before.seen.is_none());
    let runner = Running::start(&ground, "runner-a")?;
    bot.push(&says(42, 1, "hello"));
    eventually("it to be confirmed", || async {
        Ok((bot.pending() == 0).then_some(()))
    })
    .await?;
    ground.until_state(bot.id(), "running", None).await?;
    let seen = eventually("Telegram to be asked", || async {
        Ok(list(pool, None).await?.pop().filter(|bot| bot.seen.is_some()))
    })
    .await?;
    assert_eq!(seen.owner.as_deref(), Some("runner-a"));
    assert_eq!(
        (seen.state.as_deref(), seen.received, seen.stored),
        (Some("running"), 1, 1)
    );
    assert!(seen.next_offset > 0 && seen.fence.0 == 1);
    // The test's clock stands; the message was written when the simulator's clock stands.
    assert!(seen.lag.is_some_and(|lag| lag > Duration::ZERO));
    assert_eq!(
        (seen.work, seen.outbox, seen.uncertain, seen.quarantined),
        (0, 0, 0, 0)
    );

    want(pool, id, false).await?;
    ground.until_state(bot.id(), "stopped", None).await?;
    runner.end().await?;
    let told: Vec<String> = timeline(pool, id, 10)
        .await?
        .into_iter()
        .map(|event| match event.what {
            Happened::Lease { what, owner } => format!("{what} by {owner}"),
            Happened::State { state, .. } => state,
        })
        .collect();
    assert_eq!(
        told,
        [
            "released by runner-a",
            "stopped",
            "running",
            "acquired by runner-a"
        ]
    );

    let stored = updates(pool, id, None, 10).await?;
    let raw = stored[0].open(&ground.keys, id).await?;
    assert_eq!(Facts::read(&raw).text.as_deref(), Some("hello"));
    assert!(
        updates(pool, id, Some(stored[0].received_at), 10)
            .await?
            .is_empty()
    );
    Ok(())
}

#[tokio::test]
async fn housekeeping_makes_partitions_and_lets_go_of_what_is_old() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    ground
        .ingest
        .ingest(crate::ground::pushed(7, crate::ground::texts(1..=4)))
        .await?;
    sqlx::query("UPDATE update_ledger SET stored_at = now() - interval '7 days' WHERE update_id <= 3")
        .execute(&ground.data.owner)
        .await?;
    let first = housekeeping::run(&ground.data.app).await?;
    assert!(first.partitions >= 4, "four days: {first:?}");
    assert_eq!(first.ledger, 3);
    assert_eq!(
        housekeeping::run(&ground.data.app).await?,
        housekeeping::Done::default()
    );
    assert_eq!(ground.count("updates").await?, 4, "the updates themselves stay");
    Ok(())
}
