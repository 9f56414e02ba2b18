//! What there is to be seen of bots: for lists, timelines and pages of a console.

use crate::ingest;
use crate::{BotId, Fence};
use bagua_keys::{KeyError, KeyStore};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

/// One bot as it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Which.
    pub bot: BotId,
    /// Telegram's name of it, without the @.
    pub username: String,
    /// Where its Bot API is.
    pub base_url: String,
    /// `polling` or `webhook`.
    pub mode: String,
    /// Where Telegram shall push to.
    pub webhook_url: Option<String>,
    /// Kinds that it asks for; none means Telegram's default.
    pub update_kinds: Vec<String>,
    /// Whether it should run.
    pub wanted: bool,
    /// Grows with every change of its settings.
    pub generation: i64,
    /// When it was added.
    pub created_at: OffsetDateTime,
    /// Which process owns it; nothing also when its lease has run out.
    pub owner: Option<String>,
    /// Of the last lease.
    pub fence: Fence,
    /// Everything below it is committed; 0 when nothing was polled yet.
    pub next_offset: i64,
    /// `running`, `retrying`, `conflict`, `invalid`, `failed` or `stopped`, as its last owner said; nothing before the first one.
    pub state: Option<String>,
    /// Class of the last error.
    pub class: Option<String>,
    /// What was said, for a person to read.
    pub detail: Option<String>,
    /// Since when it is in this state.
    pub since: Option<OffsetDateTime>,
    /// What Telegram last said of it.
    pub seen: Option<Seen>,
    /// Updates in committed transactions, and those of them that were new.
    pub received: i64,
    /// See `received`.
    pub stored: i64,
    /// When something was last stored.
    pub last_at: Option<OffsetDateTime>,
    /// How long after it was written the newest message of the last transaction was stored.
    pub lag: Option<Duration>,
    /// Updates whose rules have not run.
    pub work: i64,
    /// Calls that wait or are being made.
    pub outbox: i64,
    /// Calls of which nobody knows whether Telegram saw them.
    pub uncertain: i64,
    /// Updates in quarantine.
    pub quarantined: i64,
}

/// What Telegram said of a bot.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was asked.
    pub at: OffsetDateTime,
    /// The webhook that is set there; empty when there is none.
    pub url: String,
    /// Kinds that it sends; none means its default.
    pub update_kinds: Vec<String>,
    /// How many updates wait.
    pub pending: i64,
    /// When a push last failed.
    pub last_error_at: Option<OffsetDateTime>,
    /// Why.
    pub last_error: Option<String>,
}

/// All bots, or one, in the order of their names.
///
/// # Errors
/// When the database is away.
pub async fn list(pool: &PgPool, only: Option<BotId>) -> sqlx::Result<Vec<Standing>> {
    let rows = sqlx::query!(
        r#"SELECT b.bot_id, b.username, b.base_url, b.mode, b.webhook_url, b.update_kinds, b.desired = 'running' AS "wanted!",
                b.generation, b.created_at,
                CASE WHEN l.expires_at > now() THEN l.owner END AS owner, l.fence, c.next_offset,
                s.state AS "state?", s.class AS "class?", s.detail AS "detail?", s.since AS "since?",
                o.at AS "seen_at?", o.url AS "seen_url?", o.update_kinds AS "seen_kinds?", o.pending AS "seen_pending?",
                o.last_error_at AS "last_error_at?", o.last_error AS "last_error?",
                coalesce(n.received, 0) AS "received!", coalesce(n.stored, 0) AS "stored!", n.last_at AS "last_at?", n.last_date AS "last_date?",
                (SELECT count(*) FROM update_work w WHERE w.bot_id = b.bot_id) AS "work!",
                (SELECT count(*) FROM outbox x WHERE x.bot_id = b.bot_id AND x.state IN ('pending', 'sending')) AS "outbox!",
                (SELECT count(*) FROM outbox x WHERE x.bot_id = b.bot_id AND x.state = 'uncertain') AS "uncertain!",
                (SELECT count(*) FROM update_quarantine q WHERE q.bot_id = b.bot_id) AS "quarantined!"
         FROM bots b JOIN bot_leases l USING (bot_id) JOIN bot_cursors c USING (bot_id)
         LEFT JOIN bot_states s USING (bot_id) LEFT JOIN bot_observations o USING (bot_id) LEFT JOIN ingest_counts n USING (bot_id)
         WHERE $1::bigint IS NULL OR b.bot_id = $1
         ORDER BY b.username, b.bot_id"#,
        only.map(|bot| bot.0)
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Standing {
            bot: BotId(row.bot_id),
            username: row.username,
            base_url: row.base_url,
            mode: row.mode,
            webhook_url: row.webhook_url,
            update_kinds: row.update_kinds,
            wanted: row.wanted,
            generation: row.generation,
            created_at: row.created_at,
            owner: row.owner,
            fence: Fence(row.fence),
            next_offset: row.next_offset,
            state: row.state,
            class: row.class,
            detail: row.detail,
            since: row.since,
            seen: row.seen_at.map(|at| Seen {
                at,
                url: row.seen_url.unwrap_or_default(),
                update_kinds: row.seen_kinds.unwrap_or_default(),
                pending: row.seen_pending.unwrap_or_default(),
                last_error_at: row.last_error_at,
                last_error: row.last_error,
            }),
            received: row.received,
            stored: row.stored,
            last_at: row.last_at,
            lag: row.last_at.zip(row.last_date).map(|(at, date)| at - date),
            work: row.work,
            outbox: row.outbox,
            uncertain: row.uncertain,
            quarantined: row.quarantined,
        })
        .collect())
}

/// One entry of a bot's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: OffsetDateTime,
    /// Under which lease.
    pub fence: Fence,
    /// What.
    pub what: Happened,
}

/// See [`Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// `acquired`, `taken_over` or `released`, and by whom.
    Lease {
        /// Which of them.
        what: String,
        /// The process.
        owner: String,
    },
    /// Another state, or another reason for it.
    State {
        /// The state.
        state: String,
        /// Class of the error.
        class: Option<String>,
        /// What was said.
        detail: Option<String>,
    },
}

/// Who owned a bot, and how it was: the newest `most` entries, newest first.
///
/// # Errors
/// When the database is away.
pub async fn timeline(pool: &PgPool, bot: BotId, most: i64) -> sqlx::Result<Vec<Event>> {
    let rows = sqlx::query!(
        r#"(SELECT at AS "at!", fence AS "fence!", owner, what AS "what!", NULL AS class, NULL AS detail
            FROM bot_lease_events WHERE bot_id = $1 ORDER BY id DESC LIMIT $2)
         UNION ALL
         (SELECT at, fence, NULL, state, class, detail FROM bot_state_events WHERE bot_id = $1 ORDER BY id DESC LIMIT $2)
         ORDER BY 1 DESC LIMIT $2"#,
        bot.0,
        most
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Event {
            at: row.at,
            fence: Fence(row.fence),
            what: match row.owner {
                Some(owner) => Happened::Lease {
                    what: row.what,
                    owner,
                },
                None => Happened::State {
                    state: row.what,
                    class: row.class,
                    detail: row.detail,
                },
            },
        })
        .collect())
}

/// A stored update.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Telegram's number.
    pub update_id: i64,
    /// When it was stored.
    pub received_at: OffsetDateTime,
    /// The name of its kind.
    pub kind: String,
    /// Where it happened.
    pub chat: Option<i64>,
    /// Who did it.
    pub sender: Option<i64>,
    raw: Vec<u8>,
}

impl Stored {
    /// The JSON as it came, byte for byte; [`crate::rules::Facts::read`] reads it for trying rules.
    ///
    /// # Errors
    /// When its key is not to be had, or destroyed.
    pub async fn open(&self, keys: &KeyStore, bot: BotId) -> Result<Vec<u8>, KeyError> {
        let context = ingest::context(b'u', bot, self.update_id);
        Ok(keys.open(&context, &self.raw).await?.to_vec())
    }
}

/// The newest updates of a bot that were stored before `before`, newest first.
///
/// # Errors
/// When the database is away.
pub async fn updates(
    pool: &PgPool,
    bot: BotId,
    before: Option<OffsetDateTime>,
    most: i64,
) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "SELECT update_id, received_at, kind, chat_id AS chat, sender_id AS sender, raw FROM updates
         WHERE bot_id = $1 AND received_at < coalesce($2, 'infinity'::timestamptz)
         ORDER BY received_at DESC, update_id DESC LIMIT $3",
        bot.0,
        before,
        most
    )
    .fetch_all(pool)
    .await
}
