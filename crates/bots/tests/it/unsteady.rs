//! Under load, with connections that are cut and everything sent twice.

use crate::ground::{Ground, ground, pushed, texts};
use anyhow::Result;
use bagua_bots::ingest::IngestError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SENDERS: i64 = 12;
const EACH: i64 = 25;
const BATCH: i64 = 20;

/// Ends connections to the data database again and again, whatever they are doing.
async fn cut(ground: &Ground, stop: &AtomicBool) -> Result<u64> {
    let mut cuts = 0;
    while !stop.load(Ordering::Relaxed) {
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'bagua_app' AND state = 'active'",
        )
        .fetch_one(&ground.data.owner)
        .await?;
        cuts += u64::try_from(ended)?;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    Ok(cuts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_and_repeats_lose_nothing_and_double_nothing() -> Result<()> {
    let ground = Arc::new(ground().await?);
    let (stop, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let cutter = tokio::spawn({
        let (ground, stop) = (ground.clone(), stop.clone());
        async move { cut(&ground, &stop).await }
    });
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (ground, stored) = (ground.clone(), stored.clone());
        senders.spawn(async move {
            for part in 0..EACH {
                let ids = (part * BATCH)..((part + 1) * BATCH);
                // As Telegram does: until it is told that it arrived, and now and then once more after that.
                let mut times = if part % 5 == 0 { 2 } else { 1 };
                while times > 0 {
                    // Two senders for each bot: the same updates from two sides.
                    match ground
                        .ingest
                        .ingest(pushed(sender / 2 + 1, texts(ids.clone())))
                        .await
                    {
                        Ok(done) => {
                            stored.fetch_add(done.stored, Ordering::Relaxed);
                            times -= 1;
                        }
                        Err(IngestError::Database(_) | IngestError::Busy) => tokio::task::yield_now().await,
                        Err(other) => return Err(anyhow::Error::from(other)),
                    }
                }
            }
            Ok(())
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    stop.store(true, Ordering::Relaxed);
    let cuts = cutter.await??;
    assert!(cuts > 0, "nothing was cut, so nothing was shown");
    let sent = SENDERS / 2 * EACH * BATCH;
    assert_eq!(ground.count("updates").await?, sent);
    assert_eq!(ground.count("messages").await?, sent);
    assert_eq!(
        ground
            .count("(SELECT DISTINCT bot_id, update_id FROM updates) AS one")
            .await?,
        sent
    );
    // A commit whose answer was cut off counts as a failure here, so the sum may be lower and never higher.
    assert!(stored.load(Ordering::Relaxed) <= u64::try_from(sent)?);
    Ok(())
}
