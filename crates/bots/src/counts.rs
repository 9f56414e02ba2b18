//! How much was received, stored, doubled and missed: counted from rows, not from what a process believes it did.
//!
//! Telegram numbers a bot's updates one by one, so a hole between two numbers that are both stored is an update that
//! never arrived here: confirmed by somebody else, expired at Telegram, or lost by us. Only the numbers that the ledger
//! still keeps can be looked at.

use crate::BotId;
use sqlx::PgPool;

/// A larger step between two numbers is a new beginning, not a hole.
const LARGEST_HOLE: i64 = crate::outlook::MOST_KEPT;

/// What the database says of one bot's updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Updates that came in committed transactions, repeats among them, since the bot was added.
    pub received: i64,
    /// Those of them that were new.
    pub stored: i64,
    /// How many different numbers the ledger holds at the moment.
    pub ledger: i64,
    /// Rows beyond the first for a number that the ledger holds. 0, or the runtime is wrong.
    pub doubled: i64,
    /// Numbers in the ledger without a row. 0, or the runtime is wrong.
    pub hollow: i64,
    /// Numbers that are missing between two that are there.
    pub missing: i64,
}

impl Counts {
    /// How many came again and were recognised.
    pub fn repeats(&self) -> i64 {
        self.received - self.stored
    }

    /// How many were lost, when `confirmed` different updates were confirmed to Telegram in the time that the ledger covers, by the
    /// simulator's or Telegram's own count.
    pub fn lost(&self, confirmed: i64) -> i64 {
        (confirmed - (self.ledger - self.hollow)).max(0)
    }
}

/// Counts one bot's rows. Reads the whole ledger of the bot and its updates of the same days: for a look, not for each second.
///
/// # Errors
/// When the database is away.
pub async fn counts(pool: &PgPool, bot: BotId) -> sqlx::Result<Counts> {
    let row = sqlx::query!(
        r#"WITH ledger AS MATERIALIZED (
             SELECT update_id FROM update_ledger WHERE bot_id = $1
         ), stored AS (
             -- Rows of a number's earlier life, a week and more before, are other updates.
             SELECT update_id, received_at > max(received_at) OVER (PARTITION BY update_id) - interval '6 days' AS counts
             FROM updates WHERE bot_id = $1
         ), rows AS (
             SELECT l.update_id, count(s.update_id) FILTER (WHERE s.counts) AS n
             FROM ledger l LEFT JOIN stored s USING (update_id) GROUP BY l.update_id
         ), steps AS (
             SELECT update_id - lag(update_id) OVER (ORDER BY update_id) - 1 AS hole FROM ledger
         )
         SELECT coalesce((SELECT received FROM ingest_counts WHERE bot_id = $1), 0) AS "received!",
                coalesce((SELECT stored FROM ingest_counts WHERE bot_id = $1), 0) AS "stored!",
                (SELECT count(*) FROM ledger) AS "ledger!",
                coalesce((SELECT sum(n - 1) FROM rows WHERE n > 1), 0)::bigint AS "doubled!",
                (SELECT count(*) FROM rows WHERE n = 0) AS "hollow!",
                coalesce((SELECT sum(hole) FROM steps WHERE hole BETWEEN 1 AND $2), 0)::bigint AS "missing!""#,
        bot.0,
        LARGEST_HOLE
    )
    .fetch_one(pool)
    .await?;
    Ok(Counts {
        received: row.received,
        stored: row.stored,
        ledger: row.ledger,
        doubled: row.doubled,
        hollow: row.hollow,
        missing: row.missing,
    })
}
