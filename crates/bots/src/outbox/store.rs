//! The statements behind the outbox. Every write of an owner looks at its lease in the same statement.

use crate::{BotId, Fence};
pub use bagua_model::bots::calls::CallState as State;
use sqlx::PgPool;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use time::OffsetDateTime;

/// A call in the outbox.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub effect: String,
    /// The update that it answers.
    pub update_id: Option<i64>,
    /// The rule that made it.
    pub rule_id: Option<i64>,
    /// Where to.
    pub chat: i64,
    /// Method of the Bot API.
    pub method: String,
    /// Where it is.
    pub state: State,
    /// How often it was begun.
    pub attempts: i32,
    /// Telegram's number of the message.
    pub message_id: Option<i64>,
    /// Class of the last error.
    pub class: Option<String>,
    /// What was said.
    pub detail: Option<String>,
    /// When it was put in.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub changed_at: OffsetDateTime,
}

struct Row {
    outbox_id: i64,
    effect: String,
    update_id: Option<i64>,
    rule_id: Option<i64>,
    chat_id: i64,
    method: String,
    state: String,
    attempts: i32,
    message_id: Option<i64>,
    class: Option<String>,
    detail: Option<String>,
    created_at: OffsetDateTime,
    changed_at: OffsetDateTime,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Entry {
        Entry {
            id: row.outbox_id,
            effect: row.effect,
            update_id: row.update_id,
            rule_id: row.rule_id,
            chat: row.chat_id,
            method: row.method,
            // The table's CHECK knows the same words.
            state: row.state.parse().unwrap_or(State::Failed),
            attempts: row.attempts,
            message_id: row.message_id,
            class: row.class,
            detail: row.detail,
            created_at: row.created_at,
            changed_at: row.changed_at,
        }
    }
}

pub(super) async fn list(
    pool: &PgPool,
    bot: BotId,
    state: Option<State>,
    most: i64,
) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT outbox_id, effect, update_id, rule_id, chat_id, method, state, attempts, message_id, class, detail, created_at, changed_at
         FROM outbox WHERE bot_id = $1 AND ($2::text IS NULL OR state = $2) ORDER BY outbox_id DESC LIMIT $3",
        bot.0,
        state.map(State::as_str),
        most
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

pub(super) async fn some(pool: &PgPool, bot: BotId, calls: &[i64]) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT outbox_id, effect, update_id, rule_id, chat_id, method, state, attempts, message_id, class, detail, created_at, changed_at
         FROM outbox WHERE bot_id = $1 AND outbox_id = ANY($2) ORDER BY outbox_id",
        bot.0,
        calls
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

/// A call that is due.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) id: i64,
    pub(crate) effect: String,
    /// Where it goes, aliases followed.
    pub(crate) chat: i64,
    pub(crate) method: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) attempts: i32,
    pub(crate) blocked: bool,
    /// Whether it was sent to a number that the group had before.
    pub(crate) migrated: bool,
    /// Whether somebody waits for it at a spinning wheel: it goes before others.
    pub(crate) urgent: bool,
}

impl Due {
    /// Whether it is posted to an address of the configuration and not to Telegram.
    pub(crate) fn is_delivery(&self) -> bool {
        self.method == crate::deliver::METHOD
    }

    /// Calls of one line go one after the other. What is delivered stands in a line of its own beside the chat's: a receiver that does not
    /// answer holds up no reply.
    pub(crate) fn line(&self) -> i64 {
        if self.is_delivery() {
            self.chat ^ i64::MIN
        } else {
            self.chat
        }
    }
}

/// What an earlier owner, or an earlier task of this one, left in the middle: nobody knows whether Telegram saw it.
/// `under_way` are those that this task is making at this moment. Returns how many it found.
pub(crate) async fn sweep(pool: &PgPool, bot: BotId, fence: Fence, under_way: &[i64]) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH held AS MATERIALIZED (SELECT bot_id FROM bot_leases WHERE bot_id = $1 AND fence = $2 FOR SHARE)
         UPDATE outbox o SET state = CASE WHEN o.method ~ '^(edit|delete|answer|set|webhook$)' THEN 'pending' ELSE 'uncertain' END,
             class = 'owner_gone', changed_at = now()
         FROM held WHERE o.bot_id = held.bot_id AND o.state = 'sending' AND o.fence <= $2
           AND NOT o.outbox_id = ANY($3)",
        bot.0,
        fence.0,
        under_way
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Calls that may be made now, in their order.
pub(crate) async fn due(pool: &PgPool, bot: BotId, most: i64) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"SELECT o.outbox_id, o.effect, coalesce(a.now_id, o.chat_id) AS "chat!", o.method, o.payload, o.attempts,
                b.chat_id IS NOT NULL AND o.method <> 'webhook' AS "blocked!", o.class IS NOT DISTINCT FROM 'migrated' AS "migrated!", o.lane = 0 AS "urgent!"
         FROM outbox o
         LEFT JOIN chat_aliases a ON a.bot_id = o.bot_id AND a.chat_id = o.chat_id
         LEFT JOIN chat_blocks b ON b.bot_id = o.bot_id AND b.chat_id = coalesce(a.now_id, o.chat_id)
         WHERE o.bot_id = $1 AND o.state = 'pending' AND o.not_before <= now()
         ORDER BY o.lane, o.outbox_id LIMIT $2"#,
        bot.0,
        most
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            id: row.outbox_id,
            effect: row.effect,
            chat: row.chat,
            method: row.method,
            payload: row.payload,
            attempts: row.attempts,
            blocked: row.blocked,
            migrated: row.migrated,
            urgent: row.urgent,
        })
        .collect())
}

/// Calls of one bot that its owner is about to make.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) bot: BotId,
    pub(crate) fence: Fence,
    pub(crate) calls: Vec<i64>,
}

/// Marks calls as being made, those of several bots in one transaction. For each claim: the calls that were marked; the others must not
/// be made. Nothing at all when the lease is lost.
pub(crate) async fn claim(pool: &PgPool, claims: &[Claim]) -> sqlx::Result<Vec<Option<Vec<i64>>>> {
    let bots: Vec<i64> = claims.iter().map(|claim| claim.bot.0).collect();
    let fences: Vec<i64> = claims.iter().map(|claim| claim.fence.0).collect();
    let (mut of, mut under, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for claim in claims {
        for call in &claim.calls {
            of.push(claim.bot.0);
            under.push(claim.fence.0);
            calls.push(*call);
        }
    }
    let rows = sqlx::query!(
        r#"WITH held AS MATERIALIZED (
             SELECT l.bot_id, l.fence FROM bot_leases l
             JOIN unnest($1::bigint[], $2::bigint[]) AS mine (bot, fence) ON l.bot_id = mine.bot AND l.fence = mine.fence
             ORDER BY l.bot_id FOR SHARE OF l
         ), claimed AS (
             UPDATE outbox o SET state = 'sending', fence = held.fence, attempts = attempts + 1, changed_at = now()
             FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS c (bot, fence, id)
             JOIN held ON held.bot_id = c.bot AND held.fence = c.fence
             WHERE o.outbox_id = c.id AND o.bot_id = c.bot AND o.state = 'pending' RETURNING o.bot_id, o.outbox_id
         )
         SELECT bot_id AS "bot!", fence, NULL::bigint AS call FROM held
         UNION ALL SELECT bot_id, NULL, outbox_id FROM claimed"#,
        &bots,
        &fences,
        &of,
        &under,
        &calls
    )
    .fetch_all(pool)
    .await?;
    let mut held = HashSet::new();
    let mut claimed: HashMap<i64, Vec<i64>> = HashMap::new();
    for row in rows {
        match (row.fence, row.call) {
            (Some(fence), _) => drop(held.insert((row.bot, fence))),
            (None, Some(call)) => claimed.entry(row.bot).or_default().push(call),
            (None, None) => {}
        }
    }
    Ok(claims
        .iter()
        .map(|claim| {
            held.contains(&(claim.bot.0, claim.fence.0))
                .then(|| claimed.remove(&claim.bot.0).unwrap_or_default())
        })
        .collect())
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) state: State,
    pub(crate) message_id: Option<i64>,
    pub(crate) class: Option<&'static str>,
    pub(crate) detail: Option<String>,
    /// Of a pending one: how long it waits.
    pub(crate) pause: Duration,
    /// The number that the group has now.
    pub(crate) moved_to: Option<i64>,
}

impl Settled {
    pub(crate) fn new(state: State) -> Settled {
        Settled {
            state,
            message_id: None,
            class: None,
            detail: None,
            pause: Duration::ZERO,
            moved_to: None,
        }
    }
}

/// Writes down what came of calls. Only whoever made one can: also when another process owns the bot by now and thought the
/// call uncertain, since what is known is better than what is not.
pub(crate) async fn settle(pool: &PgPool, settled: &[(i64, Fence, Settled)]) -> sqlx::Result<()> {
    let calls: Vec<i64> = settled.iter().map(|(call, _, _)| *call).collect();
    let fences: Vec<i64> = settled.iter().map(|(_, fence, _)| fence.0).collect();
    let of = |column: fn(&Settled) -> Option<String>| -> Vec<Option<String>> {
        settled.iter().map(|(_, _, settled)| column(settled)).collect()
    };
    let messages: Vec<Option<i64>> = settled.iter().map(|(_, _, s)| s.message_id).collect();
    let pauses: Vec<f64> = settled.iter().map(|(_, _, s)| s.pause.as_secs_f64()).collect();
    sqlx::query!(
        "UPDATE outbox o SET state = s.state, message_id = s.message_id, class = s.class, detail = s.detail,
             not_before = now() + make_interval(secs => s.pause), changed_at = now()
         FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::float8[])
             AS s (id, fence, state, message_id, class, detail, pause)
         WHERE o.outbox_id = s.id AND o.fence = s.fence AND o.state IN ('sending', 'uncertain')",
        &calls,
        &fences,
        &of(|s| Some(s.state.as_str().to_owned())) as &[Option<String>],
        &messages as &[Option<i64>],
        &of(|s| s.class.map(str::to_owned)) as &[Option<String>],
        // PostgreSQL stores no zero in a text, and one such text must not keep the others of its group from being written.
        &of(|s| s.detail.as_ref().map(|detail| detail.replace('\0', ""))) as &[Option<String>],
        &pauses
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A pending call comes to nothing without having been made.
pub(crate) async fn refuse(pool: &PgPool, call: i64, class: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE outbox SET state = 'failed', class = $2, changed_at = now() WHERE outbox_id = $1 AND state = 'pending'",
        call,
        class
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The bot may not speak in this chat.
pub(crate) async fn block(pool: &PgPool, bot: BotId, chat: i64, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO chat_blocks (bot_id, chat_id, why) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        bot.0,
        chat,
        why
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A group goes on under another number.
pub(crate) async fn alias(pool: &PgPool, bot: BotId, from: i64, to: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH before AS (UPDATE chat_aliases SET now_id = $3 WHERE bot_id = $1 AND now_id = $2 AND chat_id <> $3)
         INSERT INTO chat_aliases (bot_id, chat_id, now_id) VALUES ($1, $2, $3)
         ON CONFLICT (bot_id, chat_id) DO UPDATE SET now_id = excluded.now_id",
        bot.0,
        from,
        to
    )
    .execute(pool)
    .await?;
    Ok(())
}
