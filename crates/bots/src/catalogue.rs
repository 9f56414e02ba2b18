//! Which bots there are, and what is wanted of them.

use crate::BotId;
use bagua_keys::{KeyError, KeyStore, Subject, SubjectKind};
use bagua_telegram::{ApiBase, Token};
use rand::CryptoRng;
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

/// Writes a bot down that polls and should run. Its token is sealed under the bot's own key.
///
/// # Errors
/// [`CatalogueError`].
pub async fn add(
    pool: &PgPool,
    keys: &KeyStore,
    token: &Token,
    base: &ApiBase,
    username: &str,
) -> Result<BotId, CatalogueError> {
    let bot = BotId(token.bot_id());
    let sealed = seal(keys, token).await?;
    let added = sqlx::query!(
        "WITH bot AS (
             INSERT INTO bots (bot_id, username, token, base_url, mode, desired) VALUES ($1, $2, $3, $4, 'polling', 'running')
             ON CONFLICT DO NOTHING RETURNING bot_id
         ), lease AS (INSERT INTO bot_leases (bot_id) SELECT bot_id FROM bot)
         INSERT INTO bot_cursors (bot_id) SELECT bot_id FROM bot",
        bot.0,
        username,
        sealed,
        base.to_string()
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
        "UPDATE bots SET desired = $2, generation = generation + 1 WHERE bot_id = $1",
        bot.0,
        if running { "running" } else { "stopped" }
    )
    .execute(pool)
    .await?;
    known(bot, done.rows_affected())
}

/// Lets Telegram push to `url` from now on, which is the address at which [`crate::webhook::Webhooks`] answers for this bot. A new secret is
/// made from `random`; the bot's owner tells it to Telegram. What waits there stays.
///
/// # Errors
/// [`CatalogueError`].
pub async fn push_to(
    pool: &PgPool,
    keys: &KeyStore,
    bot: BotId,
    url: &str,
    random: &mut impl CryptoRng,
) -> Result<(), CatalogueError> {
    let secret = crate::webhook::new_secret(random);
    let key = keys.current_one(subject(bot)).await?;
    let sealed = key
        .seal(
            &mut keys.random(),
            &crate::webhook::secret_context(bot),
            secret.as_bytes(),
        )
        .map_err(KeyError::from)?;
    let digest = crate::webhook::digest(secret.as_bytes());
    let done = sqlx::query!(
        "UPDATE bots SET mode = 'webhook', webhook_url = $2, webhook_secret = $3, webhook_digest = $4, generation = generation + 1
         WHERE bot_id = $1",
        bot.0,
        url,
        sealed,
        &digest[..]
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
    let done = sqlx::query!(
        "UPDATE bots SET mode = 'polling', generation = generation + 1 WHERE bot_id = $1",
        bot.0
    )
    .execute(pool)
    .await?;
    known(bot, done.rows_affected())
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
pub(crate) fn token_context(bot: BotId) -> [u8; 9] {
    let mut context = [b't'; 9];
    context[1..].copy_from_slice(&bot.0.to_be_bytes());
    context
}
