//! Who owns a bot: one process at a time, by a lease in the database in which the bot's updates are stored.
//!
//! The lease's fence is written into the bot's cursor when the lease is acquired, and checked in the transaction that
//! stores updates. So a process that lost its lease without noticing (it was frozen, or cut off) can store nothing and
//! move no cursor. What the database cannot prevent is that such a process *sends* an offset, which deletes updates at
//! Telegram: an offset is therefore the committed cursor and nothing else, and sent only while the lease lives by the
//! owner's own monotonic clock.

use crate::{BotId, Fence};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::Instant;

/// How long a lease usually lives without renewal.
pub const LEASE: Duration = Duration::from_secs(20);

/// Until when an owner acts as one after a lease of `length`: 15 % less, which is more than two clocks drift apart.
fn safe(length: Duration) -> Duration {
    length.mul_f64(0.85)
}

/// How long each region that stands by waits for the one before it to take a bot: longer than a runner takes to look.
pub const TURN: Duration = Duration::from_secs(3);

/// Who owns, or wants to.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Names the process: unique among all that are alive.
    pub name: String,
    /// Where it runs.
    pub region: String,
    /// Whether that is the region of the database. Bots without an order of regions run in no other.
    pub own: bool,
    /// Whether Telegram can push to it. A process of another region that cannot be pushed to leaves bots with a webhook alone.
    pub pushed: bool,
    /// How long it waits for each region that comes before its own: [`TURN`], but for tests.
    pub turn: Duration,
}

impl Owner {
    /// A process of the database's own region.
    pub fn new(name: impl Into<String>, region: impl Into<String>) -> Owner {
        Owner {
            name: name.into(),
            region: region.into(),
            own: true,
            pushed: true,
            turn: TURN,
        }
    }
}

/// A bot that this process owns.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The bot.
    pub bot: BotId,
    /// What every write carries.
    pub fence: Fence,
    /// Everything below it is committed; 0 when nothing was received yet.
    pub next_offset: i64,
    /// Until when this process may act, by its own clock: measured from before the statement was sent, so never later
    /// than the database believes.
    pub until: Instant,
}

/// Takes up to `most` bots that should run and that nobody owns, or whose owner has let its lease run out. A bot that was
/// found invalid or failed with its present settings is left alone. A region that only stands by waits its turn first.
///
/// # Errors
/// When the database is away.
pub async fn acquire(pool: &PgPool, owner: &Owner, most: i64, length: Duration) -> sqlx::Result<Vec<Lease>> {
    let until = Instant::now() + safe(length);
    let rows = sqlx::query!(
        "WITH free AS (
             SELECT l.bot_id, l.owner AS before FROM bot_leases l JOIN bots b USING (bot_id)
             WHERE b.desired = 'running' AND l.expires_at < now()
               -- Without a place there it is NULL, and the bot is not taken.
               AND greatest(l.expires_at, b.wanted_at)
                   <= now() - make_interval(secs => $7::float8 * (bot_place(b.regions, $4, $5) - 1))
               AND (b.mode = 'polling' OR $6)
               AND NOT EXISTS (SELECT FROM bot_states s WHERE s.bot_id = l.bot_id AND s.generation = b.generation
                                                          AND s.state IN ('invalid', 'failed'))
             ORDER BY l.bot_id LIMIT $2
             FOR UPDATE OF l SKIP LOCKED
         ), taken AS (
             UPDATE bot_leases l SET owner = $1, region = $4, recalled = false, fence = l.fence + 1,
                                     expires_at = now() + make_interval(secs => $3)
             FROM free WHERE l.bot_id = free.bot_id
             RETURNING l.bot_id, l.fence, free.before
         ), told AS (
             INSERT INTO bot_lease_events (bot_id, fence, owner, what)
             SELECT bot_id, fence, $1, CASE WHEN before IS NULL THEN 'acquired' ELSE 'taken_over' END FROM taken
         )
         UPDATE bot_cursors c SET fence = taken.fence FROM taken WHERE c.bot_id = taken.bot_id
         RETURNING c.bot_id, c.fence, c.next_offset",
        owner.name,
        most,
        length.as_secs_f64(),
        owner.region,
        owner.own,
        owner.pushed,
        owner.turn.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Lease {
            bot: BotId(row.bot_id),
            fence: Fence(row.fence),
            next_offset: row.next_offset,
            until,
        })
        .collect())
}

/// Asks for up to `most` bots back that run in a region that only stands in for this one. Their owners finish what they have and give them
/// back; whoever asked takes them then. Only by whoever is there for good: each time costs a moment without an owner.
///
/// # Errors
/// When the database is away.
pub async fn recall(pool: &PgPool, owner: &Owner, most: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH ours AS (
             SELECT l.bot_id FROM bot_leases l JOIN bots b USING (bot_id)
             WHERE b.desired = 'running' AND l.expires_at > now() AND NOT l.recalled
               AND l.region IS NOT NULL AND l.region <> $1
               AND bot_place(b.regions, $1, $2) < bot_place(b.regions, l.region, false)
               AND (b.mode = 'polling' OR $3)
             ORDER BY l.bot_id LIMIT $4
             FOR UPDATE OF l SKIP LOCKED
         )
         UPDATE bot_leases l SET recalled = true FROM ours WHERE l.bot_id = ours.bot_id",
        owner.region,
        owner.own,
        owner.pushed,
        most
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Renews all of `leases` in one statement. Those that are not in the answer are lost: stop acting for them.
///
/// # Errors
/// When the database is away; the leases then live until their own end and no longer.
pub async fn renew(
    pool: &PgPool,
    owner: &str,
    leases: &[Lease],
    length: Duration,
) -> sqlx::Result<Vec<Lease>> {
    let until = Instant::now() + safe(length);
    let (bots, fences) = columns(leases);
    let kept = sqlx::query_scalar!(
        "UPDATE bot_leases l SET expires_at = now() + make_interval(secs => $4)
         FROM unnest($2::bigint[], $3::bigint[]) AS mine (bot, fence)
         WHERE l.bot_id = mine.bot AND l.fence = mine.fence AND l.owner = $1
         RETURNING l.bot_id",
        owner,
        &bots,
        &fences,
        length.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(leases
        .iter()
        .filter(|lease| kept.contains(&lease.bot.0))
        .map(|lease| Lease { until, ..*lease })
        .collect())
}

/// Gives the leases back, so that another process need not wait for their end. The cursors' fences move on with them, so
/// that nothing of this process that is still under way is stored afterwards.
///
/// # Errors
/// When the database is away; the leases then run out by themselves.
pub async fn release(pool: &PgPool, owner: &str, leases: &[Lease]) -> sqlx::Result<u64> {
    let (bots, fences) = columns(leases);
    let done = sqlx::query!(
        "WITH given AS (
             UPDATE bot_leases l SET owner = NULL, region = NULL, recalled = false, fence = l.fence + 1, expires_at = now()
             FROM unnest($2::bigint[], $3::bigint[]) AS mine (bot, fence)
             WHERE l.bot_id = mine.bot AND l.fence = mine.fence AND l.owner = $1
             RETURNING l.bot_id, l.fence
         ), told AS (
             INSERT INTO bot_lease_events (bot_id, fence, owner, what)
             SELECT bot_id, fence - 1, $1, 'released' FROM given
         )
         UPDATE bot_cursors c SET fence = given.fence FROM given WHERE c.bot_id = given.bot_id",
        owner,
        &bots,
        &fences
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

fn columns(leases: &[Lease]) -> (Vec<i64>, Vec<i64>) {
    leases.iter().map(|lease| (lease.bot.0, lease.fence.0)).unzip()
}
