//! What must be done now and then, by whichever process: partitions ahead, and what has served its time goes.

use sqlx::PgPool;
use std::time::Duration;

/// How many days of partitions are made ahead, today among them.
const DAYS_AHEAD: i32 = 4;
/// Telegram may use an update's number again after a week without updates.
const KEPT: Duration = Duration::from_secs(6 * 24 * 3600);

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Partitions that were made.
    pub partitions: i32,
    /// Lines of the ledger that went.
    pub ledger: u64,
    /// Calls that were sent or given up long ago and went.
    pub calls: u64,
    /// Hours of what 429 took, and went.
    pub throttles: u64,
}

/// Does all of it once. Several processes may at the same time.
///
/// # Errors
/// When the database is away.
pub async fn run(pool: &PgPool) -> sqlx::Result<Done> {
    let partitions = sqlx::query_scalar!(
        r#"SELECT bots_make_partitions((now() AT TIME ZONE 'UTC')::date, $1) AS "made!""#,
        DAYS_AHEAD
    )
    .fetch_one(pool)
    .await?;
    let ledger = sqlx::query!(
        "DELETE FROM update_ledger WHERE stored_at < now() - make_interval(secs => $1)",
        KEPT.as_secs_f64()
    )
    .execute(pool)
    .await?
    .rows_affected();
    // Its name contains the update's number, which may come again.
    let calls = sqlx::query!(
        "DELETE FROM outbox WHERE state IN ('sent', 'failed') AND created_at < now() - make_interval(secs => $1)",
        KEPT.as_secs_f64()
    )
    .execute(pool)
    .await?
    .rows_affected();
    crate::presence::forget(pool).await?;
    let throttles = sqlx::query!(
        "DELETE FROM bot_throttles WHERE hour < now() - make_interval(secs => $1)",
        KEPT.as_secs_f64()
    )
    .execute(pool)
    .await?
    .rows_affected();
    Ok(Done {
        partitions,
        ledger,
        calls,
        throttles,
    })
}
