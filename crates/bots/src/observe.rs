//! What Telegram says of a bot (`getWebhookInfo`), and where it is written down.

use crate::{BotId, Fence};
use bagua_telegram::{Client, TelegramError};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;
use time::OffsetDateTime;

/// The answer of `getWebhookInfo`, as far as it is needed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The webhook that is set; empty when there is none.
    pub url: String,
    /// How many updates wait.
    pub pending_update_count: i64,
    /// When a push last failed, in seconds of the epoch.
    pub last_error_date: Option<i64>,
    /// Why the last push failed that did.
    pub last_error_message: Option<String>,
    /// Kinds that are sent; none means Telegram's default.
    pub allowed_updates: Vec<String>,
}

impl Info {
    /// When a push last failed.
    pub fn last_error_at(&self) -> Option<OffsetDateTime> {
        self.last_error_date
            .and_then(|date| OffsetDateTime::from_unix_timestamp(date).ok())
    }
}

/// Asks Telegram.
///
/// # Errors
/// Of the call.
pub async fn ask(client: &Client) -> Result<Info, TelegramError> {
    client.call_as("getWebhookInfo", &json!({})).await
}

/// Writes down what Telegram says of a bot, unless a later owner has asked since. Returns with which settings the webhook was
/// last set, and when.
///
/// # Errors
/// When the database is away.
pub async fn write(
    pool: &PgPool,
    bot: BotId,
    fence: Fence,
    seen: &Info,
) -> sqlx::Result<Option<(i64, OffsetDateTime)>> {
    let row = sqlx::query!(
        "INSERT INTO bot_observations AS o (bot_id, fence, url, update_kinds, pending, last_error_at, last_error, emptied_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $5::bigint = 0 THEN now() END)
         ON CONFLICT (bot_id) DO UPDATE SET at = now(), fence = excluded.fence, url = excluded.url,
             update_kinds = excluded.update_kinds, pending = excluded.pending, last_error_at = excluded.last_error_at,
             last_error = excluded.last_error, emptied_at = coalesce(excluded.emptied_at, o.emptied_at)
         WHERE o.fence <= excluded.fence
         RETURNING set_generation, set_at",
        bot.0,
        fence.0,
        seen.url,
        &seen.allowed_updates,
        seen.pending_update_count,
        seen.last_error_at(),
        seen.last_error_message
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.and_then(|row| row.set_generation.zip(row.set_at)))
}

/// The webhook was set with the settings of that generation.
///
/// # Errors
/// When the database is away.
pub(crate) async fn webhook_set(
    pool: &PgPool,
    bot: BotId,
    fence: Fence,
    generation: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE bot_observations SET set_generation = $3, set_at = now() WHERE bot_id = $1 AND fence <= $2",
        bot.0,
        fence.0,
        generation
    )
    .execute(pool)
    .await?;
    Ok(())
}
