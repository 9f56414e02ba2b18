//! What a runner reads and writes of its bots, beside leases and updates.

use crate::lease::Owner;
use crate::{BotId, Fence};
use bagua_keys::{KeyError, KeyStore, Subject, SubjectKind};
use bytes::Bytes;
use metrics::counter;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use std::collections::HashMap;

/// What somebody set of a bot.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) token: Vec<u8>,
    pub(super) base_url: String,
    pub(super) update_kinds: Vec<String>,
    pub(super) generation: i64,
    /// Nothing when the bot polls.
    pub(super) webhook: Option<Hook>,
}

/// Where Telegram shall push to.
#[derive(Clone)]
pub(super) struct Hook {
    pub(super) url: String,
    /// Sealed.
    pub(super) secret: Vec<u8>,
}

pub(super) async fn settings(pool: &PgPool, bots: &[i64]) -> sqlx::Result<HashMap<BotId, Settings>> {
    let rows = sqlx::query!(
        "SELECT bot_id, token, base_url, update_kinds, generation, mode, webhook_url, webhook_secret FROM bots WHERE bot_id = ANY($1)",
        bots
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let settings = Settings {
                token: row.token,
                base_url: row.base_url,
                update_kinds: row.update_kinds,
                generation: row.generation,
                webhook: (row.mode == "webhook")
                    .then_some(row.webhook_url.zip(row.webhook_secret))
                    .flatten()
                    .map(|(url, secret)| Hook { url, secret }),
            };
            (BotId(row.bot_id), settings)
        })
        .collect())
}

pub(super) struct Wanted {
    /// Here and now: it should run, in this region among others, and nobody who comes before asks for it.
    pub(super) running: bool,
    pub(super) generation: i64,
}

pub(super) async fn wanted(
    pool: &PgPool,
    owner: &Owner,
    bots: &[i64],
) -> sqlx::Result<HashMap<BotId, Wanted>> {
    let rows = sqlx::query!(
        r#"SELECT b.bot_id, b.generation,
                  b.desired = 'running' AND NOT l.recalled AND bot_place(b.regions, $2, $3) IS NOT NULL
                      AND (b.mode = 'polling' OR $4) AS "running!"
           FROM bots b JOIN bot_leases l USING (bot_id) WHERE b.bot_id = ANY($1)"#,
        bots,
        owner.region,
        owner.own,
        owner.pushed
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let wanted = Wanted {
                running: row.running,
                generation: row.generation,
            };
            (BotId(row.bot_id), wanted)
        })
        .collect())
}

/// What is to be seen of a bot.
pub(super) struct Note {
    state: &'static str,
    class: Option<String>,
    detail: Option<String>,
}

impl Note {
    pub(super) fn new(state: &'static str, class: Option<&str>, detail: Option<String>) -> Note {
        Note {
            state,
            class: class.map(str::to_owned),
            detail,
        }
    }
}

/// Writes a bot's state, unless a later owner has written one. The time changes with the state only.
pub(super) async fn note(
    pool: &PgPool,
    bot: BotId,
    fence: Fence,
    generation: i64,
    note: &Note,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH before AS (SELECT state, class FROM bot_states WHERE bot_id = $1
         ), told AS (
             INSERT INTO bot_states AS s (bot_id, state, class, detail, fence, generation) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (bot_id) DO UPDATE SET
                 since = CASE WHEN s.state = excluded.state THEN s.since ELSE excluded.since END,
                 state = excluded.state, class = excluded.class, detail = excluded.detail,
                 fence = excluded.fence, generation = excluded.generation
             WHERE s.fence <= excluded.fence
             RETURNING bot_id
         )
         INSERT INTO bot_state_events (bot_id, fence, state, class, detail)
         SELECT bot_id, $5, $2, $3, $4 FROM told
         WHERE NOT EXISTS (SELECT FROM before WHERE state = $2 AND class IS NOT DISTINCT FROM $3)",
        bot.0,
        note.state,
        note.class,
        note.detail,
        fence.0,
        generation
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The committed cursor, if it is still under that fence.
pub(super) async fn cursor(pool: &PgPool, bot: BotId, fence: Fence) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT next_offset FROM bot_cursors WHERE bot_id = $1 AND fence = $2",
        bot.0,
        fence.0
    )
    .fetch_optional(pool)
    .await
}

/// Which of `bots` have rules to run or calls to make.
pub(super) async fn restless(pool: &PgPool, bots: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"SELECT b AS "bot!" FROM unnest($1::bigint[]) AS b
           WHERE EXISTS (SELECT FROM update_work w WHERE w.bot_id = b)
              OR EXISTS (SELECT FROM outbox o WHERE o.bot_id = b AND o.state IN ('pending', 'sending') AND o.not_before <= now())"#,
        bots
    )
    .fetch_all(pool)
    .await
}

/// How much waits, of `bots` together.
pub(super) struct Depths {
    pub(super) pending: i64,
    pub(super) work: i64,
    pub(super) outbox: i64,
    pub(super) uncertain: i64,
}

pub(super) async fn depths(pool: &PgPool, bots: &[i64]) -> sqlx::Result<Depths> {
    sqlx::query_as!(
        Depths,
        r#"SELECT coalesce((SELECT sum(pending) FROM bot_observations WHERE bot_id = ANY($1)), 0)::bigint AS "pending!",
                  (SELECT count(*) FROM update_work WHERE bot_id = ANY($1)) AS "work!",
                  (SELECT count(*) FROM outbox WHERE bot_id = ANY($1) AND state IN ('pending', 'sending')) AS "outbox!",
                  (SELECT count(*) FROM outbox WHERE bot_id = ANY($1) AND state = 'uncertain') AS "uncertain!""#,
        bots
    )
    .fetch_one(pool)
    .await
}

/// Keeps what has no number, once.
pub(crate) async fn quarantine(
    pool: &PgPool,
    keys: &KeyStore,
    bot: BotId,
    odd: &[Bytes],
) -> Result<(), KeyError> {
    let subject = Subject {
        kind: SubjectKind::Bot,
        id: bot.0,
    };
    let key = keys.current_one(subject).await?;
    let mut random = keys.random();
    for raw in odd {
        let digest = Sha256::digest(raw);
        let sealed = key.seal(&mut random, &quarantine_context(bot, &digest), raw)?;
        sqlx::query!(
            "INSERT INTO update_quarantine (bot_id, received_at, reason, digest, raw) VALUES ($1, now(), 'no_number', $2, $3)
             ON CONFLICT DO NOTHING",
            bot.0,
            &digest[..],
            &sealed
        )
        .execute(pool)
        .await?;
        counter!("tg_updates_quarantined_total").increment(1);
    }
    Ok(())
}

pub(crate) fn quarantine_context(bot: BotId, digest: &[u8]) -> Vec<u8> {
    let mut context = vec![b'q'];
    context.extend_from_slice(&bot.0.to_be_bytes());
    context.extend_from_slice(digest);
    context
}
