//! Chats, who wrote in them, and what.

use super::{of_query, words};
use crate::BotId;
use crate::ingest::context;
use bagua_keys::{KeyError, KeyStore, TermKey};
use sqlx::PgPool;
use std::collections::HashMap;
use time::OffsetDateTime;

/// A chat that a bot has seen something of.
#[derive(Clone, Debug)]
pub struct ChatRow {
    /// Its number.
    pub chat: i64,
    /// Messages received there, without edits.
    pub messages: i64,
    /// When the last update of it was stored.
    pub last_at: OffsetDateTime,
    /// private, group, supergroup, channel, as Telegram calls it; nothing where no update named it.
    pub kind: Option<String>,
    /// Sealed.
    pub name: Option<Vec<u8>>,
    /// Why the bot may not speak there; nothing where it may.
    pub blocked: Option<String>,
}

/// A message as it is stored: its newest version, or the one that was found.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number in its chat.
    pub message: i64,
    /// When it was written.
    pub date: OffsetDateTime,
    /// When this version was written, in seconds of the epoch; 0 for the message as it was first sent.
    pub edit_date: i64,
    /// The update that brought it.
    pub update_id: i64,
    /// When that was stored; nothing for one that was stored before this was written down.
    pub received_at: Option<OffsetDateTime>,
    /// Who wrote it.
    pub sender: Option<i64>,
    /// What it carries beside text.
    pub media: Option<String>,
    /// Sealed.
    pub text: Option<Vec<u8>>,
}

impl Line {
    /// Its text; nothing when it has none, or when its key was destroyed.
    ///
    /// # Errors
    /// When the key is not to be had.
    pub async fn open(&self, keys: &KeyStore, bot: BotId) -> Result<Option<String>, KeyError> {
        match &self.text {
            Some(text) => open(keys, &context(b'm', bot, self.update_id), text).await,
            None => Ok(None),
        }
    }
}

async fn open(keys: &KeyStore, context: &[u8], sealed: &[u8]) -> Result<Option<String>, KeyError> {
    match keys.open(context, sealed).await {
        Ok(plain) => Ok(Some(String::from_utf8_lossy(&plain).into_owned())),
        Err(KeyError::Destroyed) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A person or chat with the name that it was last seen with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number.
    pub id: i64,
    /// Messages that it wrote in the chat that was asked about.
    pub messages: i64,
    /// Nothing when no update named it, or when its key was destroyed.
    pub name: Option<String>,
}

impl ChatRow {
    /// Its name; nothing when no update named it, or when its key was destroyed.
    ///
    /// # Errors
    /// When the key is not to be had.
    pub async fn open(&self, keys: &KeyStore, bot: BotId) -> Result<Option<String>, KeyError> {
        match &self.name {
            Some(name) => open(keys, &context(b'p', bot, self.chat), name).await,
            None => Ok(None),
        }
    }
}

/// The chats of a bot, those in which something came last first, behind `after`.
///
/// # Errors
/// When the database is away.
pub async fn chats(
    pool: &PgPool,
    bot: BotId,
    after: Option<(OffsetDateTime, i64)>,
    most: i64,
) -> sqlx::Result<Vec<ChatRow>> {
    let (at, chat) = after.unwrap_or((time::macros::datetime!(9999-12-31 00:00 UTC), i64::MAX));
    sqlx::query_as!(
        ChatRow,
        r#"SELECT c.chat_id AS chat, c.messages, c.last_at, p.kind AS "kind?", p.name AS "name?", b.why AS "blocked?"
           FROM chats c LEFT JOIN peers p ON p.bot_id = c.bot_id AND p.peer_id = c.chat_id
           LEFT JOIN chat_blocks b ON b.bot_id = c.bot_id AND b.chat_id = c.chat_id
           WHERE c.bot_id = $1 AND (c.last_at, c.chat_id) < ($2, $3)
           ORDER BY c.last_at DESC, c.chat_id DESC LIMIT $4"#,
        bot.0,
        at,
        chat,
        most
    )
    .fetch_all(pool)
    .await
}

/// The `most` chats whose name has all words of what was typed, those in which something came last first.
///
/// # Errors
/// When the database is away.
pub async fn chats_named(
    pool: &PgPool,
    key: &TermKey,
    bot: BotId,
    typed: &str,
    most: i64,
) -> sqlx::Result<Vec<ChatRow>> {
    let terms = words(key, &of_query(typed));
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        ChatRow,
        r#"SELECT c.chat_id AS chat, c.messages, c.last_at, p.kind AS "kind?", p.name AS "name?", b.why AS "blocked?"
           FROM peers p JOIN chats c ON c.bot_id = p.bot_id AND c.chat_id = p.peer_id
           LEFT JOIN chat_blocks b ON b.bot_id = c.bot_id AND b.chat_id = c.chat_id
           WHERE p.bot_id = $1 AND p.terms @> $2
           ORDER BY c.last_at DESC, c.chat_id DESC LIMIT $3"#,
        bot.0,
        &terms,
        most
    )
    .fetch_all(pool)
    .await
}

/// One chat.
///
/// # Errors
/// When the database is away.
pub async fn chat(pool: &PgPool, bot: BotId, chat: i64) -> sqlx::Result<Option<ChatRow>> {
    sqlx::query_as!(
        ChatRow,
        r#"SELECT c.chat_id AS chat, c.messages, c.last_at, p.kind AS "kind?", p.name AS "name?", b.why AS "blocked?"
           FROM chats c LEFT JOIN peers p ON p.bot_id = c.bot_id AND p.peer_id = c.chat_id
           LEFT JOIN chat_blocks b ON b.bot_id = c.bot_id AND b.chat_id = c.chat_id
           WHERE c.bot_id = $1 AND c.chat_id = $2"#,
        bot.0,
        chat
    )
    .fetch_optional(pool)
    .await
}

/// The messages of a chat in their newest versions, newest message first, behind the message `after`.
///
/// # Errors
/// When the database is away.
pub async fn messages(
    pool: &PgPool,
    bot: BotId,
    chat: i64,
    after: Option<i64>,
    most: i64,
) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        r#"SELECT DISTINCT ON (message_id) message_id AS message, date, edit_date, update_id, received_at, sender_id AS sender, media, text
           FROM messages WHERE bot_id = $1 AND chat_id = $2 AND message_id < $3
           ORDER BY message_id DESC, date DESC, edit_date DESC LIMIT $4"#,
        bot.0,
        chat,
        after.unwrap_or(i64::MAX),
        most
    )
    .fetch_all(pool)
    .await
}

/// The `most` people who wrote most in a chat.
///
/// # Errors
/// When the database or the key store is away.
pub async fn members(
    pool: &PgPool,
    keys: &KeyStore,
    bot: BotId,
    chat: i64,
    most: i64,
) -> Result<Vec<Peer>, KeyError> {
    let rows = sqlx::query!(
        r#"SELECT m.user_id, m.messages, p.name AS "name?" FROM (
             SELECT user_id, messages FROM chat_members WHERE bot_id = $1 AND chat_id = $2 ORDER BY messages DESC, user_id LIMIT $3
           ) m LEFT JOIN peers p ON p.bot_id = $1 AND p.peer_id = m.user_id
           ORDER BY m.messages DESC, m.user_id"#,
        bot.0,
        chat,
        most
    )
    .fetch_all(pool)
    .await?;
    let mut members = Vec::with_capacity(rows.len());
    for row in rows {
        let name = match row.name {
            Some(name) => open(keys, &context(b'p', bot, row.user_id), &name).await?,
            None => None,
        };
        members.push(Peer {
            id: row.user_id,
            messages: row.messages,
            name,
        });
    }
    Ok(members)
}

/// What peers are called, as far as it is known and their keys are there.
///
/// # Errors
/// When the database or the key store is away.
pub async fn names(
    pool: &PgPool,
    keys: &KeyStore,
    bot: BotId,
    peers: &[i64],
) -> Result<HashMap<i64, String>, KeyError> {
    let rows = sqlx::query!(
        "SELECT peer_id, name FROM peers WHERE bot_id = $1 AND peer_id = ANY($2)",
        bot.0,
        peers
    )
    .fetch_all(pool)
    .await?;
    let mut names = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Some(name) = open(keys, &context(b'p', bot, row.peer_id), &row.name).await? {
            names.insert(row.peer_id, name);
        }
    }
    Ok(names)
}
