//! What a runner measures of its region's cell, whoever owns its bots.

use super::{next, ticks};
use bagua_bots::{outlook, search};
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use sqlx::PgPool;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often the cell is counted for the metrics.
const SAMPLE: Duration = Duration::from_secs(5);
/// What an owner can write down; each is a series from the start, so that none is missing when it is 0.
const STATES: [&str; 6] = ["running", "retrying", "conflict", "invalid", "failed", "stopped"];

/// Counts until `stop`.
pub(super) async fn keep_counting(pool: &PgPool, stop: &CancellationToken) {
    let mut ticks = ticks(SAMPLE);
    while next(&mut ticks, stop).await {
        if let Err(error) = count(pool).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the bots were not counted"
            );
        }
    }
}

/// Counts the cell, whoever owns its bots: every runner of a cell says the same, and one that is away says nothing.
async fn count(pool: &PgPool) -> sqlx::Result<()> {
    let states = sqlx::query!(
        // A bot whose pushes fail has no success either, however well its owner is.
        r#"SELECT CASE WHEN s.state = 'running' AND b.mode = 'webhook' AND o.pending > 0
                        AND o.last_error_at > coalesce(n.last_at, '-infinity') THEN 'retrying' ELSE s.state END AS "state!",
                  count(*) AS "bots!"
           FROM bots b JOIN bot_states s USING (bot_id)
           LEFT JOIN bot_observations o USING (bot_id) LEFT JOIN ingest_counts n USING (bot_id)
           WHERE b.desired = 'running' AND s.generation = b.generation GROUP BY 1"#
    )
    .fetch_all(pool)
    .await?;
    for state in STATES {
        let found = states.iter().find(|row| row.state == state);
        gauge!("tg_bots", "state" => state).set(found.map_or(0.0, |row| row.bots as f64));
    }
    let counted = sqlx::query!(
        r#"SELECT
             (SELECT count(*) FROM bots b JOIN bot_leases l USING (bot_id) LEFT JOIN bot_states s USING (bot_id)
              WHERE b.desired = 'running' AND l.expires_at <= now()
                AND NOT coalesce(s.state IN ('invalid', 'failed') AND s.generation = b.generation, false)) AS "unowned!",
             (SELECT count(*) FROM bot_lease_events WHERE what = 'taken_over') AS "taken_over!",
             (SELECT count(*) FROM update_quarantine) AS "quarantined!""#
    )
    .fetch_one(pool)
    .await?;
    let behind = search::behind(pool).await?;
    let lag = behind.since.map(|since| OffsetDateTime::now_utc() - since);
    gauge!("search_lag_seconds").set(lag.map_or(0.0, |lag| lag.as_seconds_f64().max(0.0)));
    gauge!("search_behind_updates").set(behind.updates as f64);
    let worst = outlook::worst(pool, OffsetDateTime::now_utc()).await?;
    // With nothing to lose there is a day, which is what Telegram keeps.
    gauge!("tg_time_to_loss_seconds").set(worst.time_to_loss.unwrap_or(outlook::KEPT).as_secs_f64());
    gauge!("tg_lag_seconds").set(worst.lag.unwrap_or_default().as_secs_f64());
    gauge!("tg_bots_unowned").set(counted.unowned as f64);
    gauge!("tg_quarantine_rows").set(counted.quarantined as f64);
    counter!("tg_lease_takeovers_total").absolute(counted.taken_over.unsigned_abs());
    Ok(())
}

/// What Prometheus is told about the series.
pub fn describe() {
    bagua_bots::figures::describe();
    describe_gauge!(
        "tg_bots",
        "Bots of the cell that should run, by what their owner said last."
    );
    describe_gauge!(
        "tg_bots_unowned",
        "Bots of the cell that should run and that no process owns."
    );
    describe_gauge!(
        "tg_time_to_loss_seconds",
        Unit::Seconds,
        "Least time until Telegram drops an update of a bot of the cell; 86,400 when nothing waits."
    );
    describe_gauge!(
        "tg_lag_seconds",
        Unit::Seconds,
        "Largest lag of a bot of the cell that stored a message within two minutes."
    );
    describe_gauge!(
        "search_lag_seconds",
        Unit::Seconds,
        "For how long the first update of the cell has been stored that cannot be found yet."
    );
    describe_gauge!(
        "search_behind_updates",
        "Updates of the cell that are stored and cannot be found yet; 10,000 stands for more, too."
    );
    describe_gauge!(
        "tg_quarantine_rows",
        "Updates of the cell without a number, kept for replay."
    );
    describe_counter!(
        "tg_lease_takeovers_total",
        "Bots of the cell that were taken from an owner that did not renew its lease."
    );
}
