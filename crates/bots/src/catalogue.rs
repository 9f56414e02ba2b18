//! Which bots there are, and what is wanted of them.

use crate::BotId;
use bagua_keys::{KeyError, KeyStore, Subject, SubjectKind};
use bagua_telegram::{ApiBase, Token};
use sqlx::PgPool;

/// Why a bot was not written down.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// There is one with this number already.
    #[error("the bot {} is there already", .0.0)]
    There(BotId),
    /// There is none, or the token is another bot's.
    #[error("there is no bot {}", .0.0)]
    Unknown(BotId),
    /// The token cannot be sealed.
    #[error("the token cannot be sealed")]
    Keys(#[from] KeyError),
    /// The data database is away or refused.
    #[error("the data database does not answer")]
    Database(#[from] sqlx::Error),
}

/// Writes a bot down that polls and should run, where [`place`] would say. Its token is sealed under the bot's own key.
///
/// # Errors
/// [`CatalogueError`].
pub async fn add(
    pool: &PgPool,
    keys: &KeyStore,
    token: &Token,
    base: &ApiBase,
    username: &str,
    regions: &[String],
) -> Result<BotId, CatalogueError> {
    let bot = BotId(token.bot_id());
    let sealed = seal(keys, token).await?;
    let added = sqlx::query!(
        "WITH bot AS (
             INSERT INTO bots (bot_id, username, token, base_url, mode, desired, regions)
             VALUES ($1, $2, $3, $4, 'polling', 'running', $5)
             ON CONFLICT DO NOTHING RETURNING bot_id
         ), lease AS (INSERT INTO bot_leases (bot_id) SELECT bot_id FROM bot)
         INSERT INTO bot_cursors (bot_id) SELECT bot_id FROM bot",
        bot.0,
        username,
        sealed,
        base.to_string(),
        regions
    )
    .execute(pool)
    .await?;
    if added.rows_affected() == 0 {
        return Err(CatalogueError::There(bot));
    }
    Ok(bot)
}

/// Gives a bot a new token. The bot stays the same one, with all its history; its owner begins anew with it.
///
/// # Errors
/// [`CatalogueError::Unknown`] when the token's bot is not here.
pub async fn replace_token(pool: &PgPool, keys: &KeyStore, token: &Token) -> Result<(), CatalogueError> {
    let bot = BotId(token.bot_id());
    let sealed = seal(keys, token).await?;
    let done = sqlx::query!(
        "UPDATE bots SET token = $2, generation = generation + 1 WHERE bot_id = $1",
        bot.0,
        sealed
    )
    .execute(pool)
    .await?;
    known(bot, done.rows_affected())
}

/// Says whether a bot should run.
///
/// # Errors
/// [`CatalogueError::Unknown`].
pub async fn want(pool: &PgPool, bot: BotId, running: bool) -> Result<(), CatalogueError> {
    let done = sqlx::query!(
        "UPDATE bots SET desired = $2, wanted_at = now(), generation = generation + 1 WHERE bot_id = $1",
        bot.0,
        if running { "running" } else { "stopped" }
    )
    .execute(pool)
    .await?;
    known(bot, done.rows_affected())
}

/// Says where the bot runs: its home first, then the regions that stand by, in their order; none for its data's own region alone. Whoever owns it
/// goes on until its region is left out, or a better placed one asks for it.
///
/// # Errors
/// [`CatalogueError::Unknown`].
pub async fn place(pool: &PgPool, bot: BotId, regions: &[String]) -> Result<(), CatalogueError> {
    let done = sqlx::query!("UPDATE bots SET regions = $2 WHERE bot_id = $1", bot.0, regions)
        .execute(pool)
        .await?;
    known(bot, done.rows_affected())
}

/// Lets Telegram push to `url` from now on, which is the address at which [`crate::webhook::Webhooks`] answers for this bot. A new secret is
/// made; the bot's owner tells it to Telegram. What waits there stays.
///
/// # Errors
/// [`CatalogueError`].
pub async fn push_to(pool: &PgPool, keys: &KeyStore, bot: BotId, url: &str) -> Result<(), CatalogueError> {
    set(pool, bot, Some(hook(keys, bot, url).await?), None).await
}

/// Sets at once how updates come, and which: pushed to an address as [`push_to`] says, or polled; `kinds` as [`want_kinds`].
///
/// # Errors
/// [`CatalogueError`].
pub async fn configure(
    pool: &PgPool,
    keys: &KeyStore,
    bot: BotId,
    push_to: Option<&str>,
    kinds: &[String],
) -> Result<(), CatalogueError> {
    let hook = match push_to {
        Some(url) => Some(hook(keys, bot, url).await?),
        None => None,
    };
    set(pool, bot, hook, Some(kinds)).await
}

/// A webhook as it is written down.
struct Hook<'a> {
    url: &'a str,
    /// Sealed.
    secret: Vec<u8>,
    digest: [u8; 32],
}

async fn hook<'a>(keys: &KeyStore, bot: BotId, url: &'a str) -> Result<Hook<'a>, KeyError> {
    let mut random = keys.random();
    let secret = crate::webhook::new_secret(&mut random);
    let context = crate::webhook::secret_context(bot);
    let key = keys.current_one(subject(bot)).await?;
    Ok(Hook {
        url,
        secret: key.seal(&mut random, &context, secret.as_bytes())?,
        digest: crate::webhook::digest(secret.as_bytes()),
    })
}

/// Without a hook the bot polls, and the last one stays written down; without kinds they stay.
async fn set(
    pool: &PgPool,
    bot: BotId,
    hook: Option<Hook<'_>>,
    kinds: Option<&[String]>,
) -> Result<(), CatalogueError> {
    let hook = hook.as_ref();
    let done = sqlx::query!(
        "UPDATE bots SET mode = $2, webhook_url = coalesce($3, webhook_url), webhook_secret = coalesce($4, webhook_secret),
             webhook_digest = coalesce($5, webhook_digest), update_kinds = coalesce($6, update_kinds), generation = generation + 1
         WHERE bot_id = $1",
        bot.0,
        hook.map_or("polling", |_| "webhook"),
        hook.map(|hook| hook.url),
        hook.map(|hook| &hook.secret[..]),
        hook.map(|hook| &hook.digest[..]),
        kinds
    )
    .execute(pool)
    .await?;
    known(bot, done.rows_affected())
}

/// Lets the bot poll from now on; its owner removes the webhook. What waits at Telegram stays.
///
/// # Errors
/// [`CatalogueError`].
pub async fn poll(pool: &PgPool, bot: BotId) -> Result<(), CatalogueError> {
    set(pool, bot, None, None).await
}

/// Sets which kinds of updates Telegram shall send; none means Telegram's default.
///
/// # Errors
/// [`CatalogueError`].
pub async fn want_kinds(pool: &PgPool, bot: BotId, kinds: &[String]) -> Result<(), CatalogueError> {
    let done = sqlx::query!(
        "UPDATE bots SET update_kinds = $2, generation = generation + 1 WHERE bot_id = $1",
        bot.0,
        kinds
    )
    .execute(pool)
    .await?;
    known(bot, done.rows_affected())
}

fn known(bot: BotId, rows: u64) -> Result<(), CatalogueError> {
    if rows == 0 {
        return Err(CatalogueError::Unknown(bot));
    }
    Ok(())
}

fn subject(bot: BotId) -> Subject {
    Subject {
        kind: SubjectKind::Bot,
        id: bot.0,
    }
}

async fn seal(keys: &KeyStore, token: &Token) -> Result<Vec<u8>, KeyError> {
    let bot = BotId(token.bot_id());
    let key = keys.current_one(subject(bot)).await?;
    Ok(key.seal(&mut keys.random(), &token_context(bot), token.expose().as_bytes())?)
}

/// Where a sealed token belongs.
pub fn token_context(bot: BotId) -> [u8; 9] {
    let mut context = [b't'; 9];
    context[1..].copy_from_slice(&bot.0.to_be_bytes());
    context
}
