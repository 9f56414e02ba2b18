//! Calls that Telegram shall see once.
//!
//! Sending is not idempotent and Telegram takes no number of ours, so "exactly once" cannot be had. What can be had: a
//! call is committed as `sending` before it is made, and as `sent` with Telegram's own number of the message after it.
//! Whoever dies between leaves a call of which nobody knows whether Telegram saw it; it becomes `uncertain`, is never
//! repeated by itself, and waits for a person.

pub(crate) mod buckets;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub use store::{Entry, State};

use crate::BotId;
use crate::ingest::Update;
use bagua_keys::{DataKey, KeyError, KeyStore, Subject, SubjectKind};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use time::OffsetDateTime;

/// Why a call was not put into the outbox, or not changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The parameters cannot be sealed.
    #[error("the call cannot be sealed")]
    Keys(#[from] KeyError),
    /// It is not in the state in which this can be done.
    #[error("the call is not there any more in the state that was looked at")]
    Changed,
    /// The data database is away.
    #[error("the data database does not answer")]
    Database(#[from] sqlx::Error),
}

/// Whether a call does no harm when Telegram sees it twice: changing, deleting and answering say what is so, sending adds.
pub fn is_repeatable(method: &str) -> bool {
    // What is posted to a webhook carries a number by which the receiver knows it again.
    method == crate::deliver::METHOD
        || ["edit", "delete", "answer", "set"]
            .iter()
            .any(|start| method.starts_with(start))
}

/// A call that somebody wants to be made. `effect` names it: the same effect is made once, however often it is asked for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Whose call.
    pub bot: BotId,
    /// Its name, unique among the bot's.
    pub effect: &'a str,
    /// Where to.
    pub chat: i64,
    /// Method of the Bot API.
    pub method: &'a str,
    /// Parameters without `chat_id`.
    pub parameters: &'a Value,
}

/// Puts a call into the outbox; the bot's owner makes it. Returns whether it is new.
///
/// # Errors
/// [`OutboxError`].
pub async fn put(pool: &PgPool, keys: &KeyStore, wanted: &Wanted<'_>) -> Result<bool, OutboxError> {
    let kind = if wanted.chat > 0 {
        SubjectKind::Person
    } else {
        SubjectKind::Chat
    };
    let key = keys
        .current_one(Subject {
            kind,
            id: wanted.chat,
        })
        .await?;
    let payload = seal(keys, &key, wanted.bot, wanted.effect, wanted.parameters)?;
    let done = sqlx::query!(
        "INSERT INTO outbox (bot_id, effect, chat_id, method, payload, lane) VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT DO NOTHING",
        wanted.bot.0,
        wanted.effect,
        wanted.chat,
        wanted.method,
        payload
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes an uncertain or failed call once more, by a person's word.
///
/// # Errors
/// [`OutboxError::Changed`] when it is neither.
pub async fn resend(pool: &PgPool, bot: BotId, outbox: i64) -> Result<(), OutboxError> {
    let done = sqlx::query!(
        "UPDATE outbox SET state = 'pending', fence = NULL, class = NULL, detail = NULL, not_before = now(), changed_at = now()
         WHERE bot_id = $1 AND outbox_id = $2 AND state IN ('uncertain', 'failed')",
        bot.0,
        outbox
    )
    .execute(pool)
    .await?;
    changed(done.rows_affected())
}

/// Says that a pending or uncertain call is not to be made any more.
///
/// # Errors
/// [`OutboxError::Changed`] when it is neither.
pub async fn give_up(pool: &PgPool, bot: BotId, outbox: i64) -> Result<(), OutboxError> {
    let done = sqlx::query!(
        "UPDATE outbox SET state = 'failed', class = 'given_up', changed_at = now()
         WHERE bot_id = $1 AND outbox_id = $2 AND state IN ('pending', 'uncertain')",
        bot.0,
        outbox
    )
    .execute(pool)
    .await?;
    changed(done.rows_affected())
}

fn changed(rows: u64) -> Result<(), OutboxError> {
    if rows == 0 {
        Err(OutboxError::Changed)
    } else {
        Ok(())
    }
}

/// The newest calls of a bot, or the newest in one state.
///
/// # Errors
/// When the database is away.
pub async fn list(pool: &PgPool, bot: BotId, state: Option<State>, most: i64) -> sqlx::Result<Vec<Entry>> {
    store::list(pool, bot, state, most).await
}

/// Calls of a bot by their numbers.
///
/// # Errors
/// When the database is away.
pub async fn some(pool: &PgPool, bot: BotId, calls: &[i64]) -> sqlx::Result<Vec<Entry>> {
    store::some(pool, bot, calls).await
}

/// A message that a bot wrote and that Telegram confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Telegram's number of it.
    pub message: i64,
    /// When Telegram confirmed it.
    pub at: OffsetDateTime,
    /// Method of the Bot API.
    pub method: String,
    /// Its text or caption. Nothing when it has none, or when its key was destroyed.
    pub text: Option<String>,
    /// Whether its key was destroyed.
    pub destroyed: bool,
}

/// What a bot wrote in a chat, newest first: messages above `above` and below `below`, `most` at most, as long as calls are kept (six days).
///
/// # Errors
/// When the database or the key store is away.
pub async fn said(
    pool: &PgPool,
    keys: &KeyStore,
    (bot, chat): (BotId, i64),
    (above, below): (i64, i64),
    most: i64,
) -> Result<Vec<Said>, KeyError> {
    let rows = sqlx::query!(
        r#"SELECT message_id AS "message_id!", changed_at, method, effect, payload FROM outbox
           WHERE bot_id = $1 AND chat_id = $2 AND state = 'sent' AND message_id > $3 AND message_id < $4
           ORDER BY message_id DESC LIMIT $5"#,
        bot.0,
        chat,
        above,
        below,
        most
    )
    .fetch_all(pool)
    .await?;
    let mut said = Vec::with_capacity(rows.len());
    for row in rows {
        let opened = match keys.open(&context(bot, &row.effect), &row.payload).await {
            Ok(plain) => Some(plain),
            Err(KeyError::Destroyed) => None,
            Err(error) => return Err(error),
        };
        let parameters: Value = opened
            .as_ref()
            .and_then(|plain| serde_json::from_slice(plain).ok())
            .unwrap_or_default();
        let text = ["text", "caption"]
            .iter()
            .find_map(|name| parameters[name].as_str());
        said.push(Said {
            message: row.message_id,
            at: row.changed_at,
            method: row.method,
            text: text.map(str::to_owned),
            destroyed: opened.is_none(),
        });
    }
    Ok(said)
}

pub(crate) fn seal(
    keys: &KeyStore,
    key: &DataKey,
    bot: BotId,
    effect: &str,
    parameters: &Value,
) -> Result<Vec<u8>, KeyError> {
    let plain = parameters.to_string();
    Ok(key.seal(&mut keys.random(), &context(bot, effect), plain.as_bytes())?)
}

/// Under whose key a rule's call lies: the same as the update that it answers.
pub(crate) fn subject(bot: BotId, chat: Option<i64>, sender: Option<i64>) -> Subject {
    Update::subject_of(bot, chat, sender)
}

/// Where a sealed call belongs.
pub(crate) fn context(bot: BotId, effect: &str) -> Vec<u8> {
    let mut context = vec![b'o'];
    context.extend_from_slice(&bot.0.to_be_bytes());
    context.extend_from_slice(&Sha256::digest(effect.as_bytes()));
    context
}
