//! What threatens a bot, and what it cost: how long until Telegram drops what waits, how late it is, what 429 took, how long its
//! answers take.

use crate::BotId;
use sqlx::PgPool;
use std::collections::HashMap;
use std::time::Duration;
use time::OffsetDateTime;

/// How long Telegram keeps an update that is not fetched: 24 hours, by the documentation of `getUpdates`.
pub const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How many updates Telegram keeps of one bot; those beyond are dropped.
pub const MOST_KEPT: i64 = 100_000;
/// Answers of that long are looked at.
const ANSWERS_OF: Duration = Duration::from_secs(5 * 60);

/// What waits at Telegram, and since when it can have waited at the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many updates wait.
    pub pending: i64,
    /// Nothing that waits is older: when nothing waited for the last time, or, of a bot that polls, when the newest stored message was written. Of a
    /// webhook a chat that fails may wait while others go on, so there the latter counts only where the former is not known. Nothing where neither is.
    pub since: Option<OffsetDateTime>,
}

impl Waiting {
    /// How long it is until Telegram drops the first update, if nobody fetches any: until the oldest is 24 hours old, or until 100,000
    /// wait when they come as they have come. The age makes it too short rather than too
    /// long; of a rate that grows, and of a webhook that was never seen empty, it is an estimate. Nothing when nothing waits, or when it is not known since
    /// when.
    pub fn time_to_loss(self, now: OffsetDateTime) -> Option<Duration> {
        let since = self.since.filter(|_| self.pending > 0)?;
        let age = Duration::try_from(now - since).unwrap_or_default();
        let by_age = KEPT.saturating_sub(age);
        if self.pending >= MOST_KEPT {
            return Some(Duration::ZERO);
        }
        let by_room = age.as_secs_f64() / self.pending as f64 * (MOST_KEPT - self.pending) as f64;
        let by_room = Duration::try_from_secs_f64(by_room).unwrap_or(KEPT);
        // Within a minute a rate is no rate: a burst of ten does not go on like that.
        let by_room = if age < Duration::from_secs(60) {
            KEPT
        } else {
            by_room
        };
        Some(by_age.min(by_room))
    }
}

/// Adds a time that Telegram told a bot to wait. What cannot be written down is missing from a figure and stops nobody.
pub(crate) async fn throttled(pool: &PgPool, bot: BotId, pause: Duration) {
    let written = sqlx::query!(
        "INSERT INTO bot_throttles AS t (bot_id, hour, times, seconds) VALUES ($1, date_trunc('hour', now()), 1, $2)
         ON CONFLICT (bot_id, hour) DO UPDATE SET times = t.times + 1, seconds = t.seconds + excluded.seconds",
        bot.0,
        i64::try_from(pause.as_secs()).unwrap_or(i64::MAX)
    )
    .execute(pool)
    .await;
    if let Err(error) = written {
        tracing::warn!(bot = bot.0, %error, "a pause that Telegram asked for was not counted");
    }
}

/// For each bot that answered in the last five minutes: how long 99 of 100 answers took at most, from the update's commit to
/// Telegram's confirmation. Reads the calls of these minutes: for a look, not for each second.
///
/// # Errors
/// When the database is away.
pub async fn answers(pool: &PgPool) -> sqlx::Result<HashMap<BotId, Duration>> {
    let rows = sqlx::query!(
        r#"SELECT o.bot_id, extract(epoch FROM percentile_disc(0.99) WITHIN GROUP (ORDER BY o.changed_at - l.stored_at))::float8 AS "p99!"
           FROM outbox o JOIN update_ledger l USING (bot_id, update_id)
           WHERE o.created_at > now() - make_interval(secs => $1) AND o.state = 'sent' AND o.rule_id IS NOT NULL AND o.method <> 'webhook'
           GROUP BY o.bot_id"#,
        ANSWERS_OF.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    let p99 = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Ok(rows
        .into_iter()
        .map(|row| (BotId(row.bot_id), p99(row.p99)))
        .collect())
}

/// How a cell stands at its worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worst {
    /// The least time to loss of all bots; nothing when nothing waits, as far as it is known.
    pub time_to_loss: Option<Duration>,
    /// The largest lag of bots that stored a message within the last two minutes.
    pub lag: Option<Duration>,
}

/// Looks at all bots of a cell.
///
/// # Errors
/// When the database is away.
pub async fn worst(pool: &PgPool, now: OffsetDateTime) -> sqlx::Result<Worst> {
    let rows = sqlx::query!(
        r#"SELECT o.pending AS "pending?",
                  CASE WHEN b.mode = 'webhook' THEN coalesce(o.emptied_at, n.last_date) ELSE greatest(o.emptied_at, n.last_date) END AS since,
                  CASE WHEN n.dated_at > now() - interval '2 minutes' THEN extract(epoch FROM n.dated_at - n.last_date)::float8 END AS lag
           FROM bots b LEFT JOIN bot_observations o USING (bot_id) LEFT JOIN ingest_counts n USING (bot_id)"#
    )
    .fetch_all(pool)
    .await?;
    let waits = rows.iter().filter_map(|row| {
        let waiting = Waiting {
            pending: row.pending?,
            since: row.since,
        };
        waiting.time_to_loss(now)
    });
    let lags = rows
        .iter()
        .filter_map(|row| Duration::try_from_secs_f64(row.lag?).ok());
    Ok(Worst {
        time_to_loss: waits.min(),
        lag: lags.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(pending: i64, age: Duration) -> Option<Duration> {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(10_000_000);
        let since = Some(now - age);
        Waiting { pending, since }.time_to_loss(now)
    }

    #[test]
    fn what_waits_is_lost_by_age_or_for_want_of_room_whichever_comes_first() {
        let hours = |n: u64| Duration::from_secs(n * 3_600);
        assert_eq!(loss(0, hours(3)), None);
        assert_eq!(loss(10, hours(3)), Some(hours(21)));
        assert_eq!(loss(10, hours(30)), Some(Duration::ZERO));
        // 50,000 came within an hour: as many again, and there is no room.
        assert_eq!(loss(50_000, hours(1)), Some(hours(1)));
        assert_eq!(loss(100_000, hours(1)), Some(Duration::ZERO));
        // A burst of the last seconds says nothing about the next hour.
        assert_eq!(
            loss(1_000, Duration::from_secs(5)),
            Some(KEPT - Duration::from_secs(5))
        );
        let unknown = Waiting {
            pending: 10,
            since: None,
        };
        assert_eq!(unknown.time_to_loss(OffsetDateTime::UNIX_EPOCH), None);
    }
}
