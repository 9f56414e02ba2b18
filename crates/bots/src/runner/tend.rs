//! What is set at Telegram for a bot, compared with what is wanted: its webhook and the kinds of updates that it receives.

use super::bot::{Bot, End};
use super::poll::NOT_FOUND_TIMES;
use super::store::{Hook, Note};
use crate::observe::{self, Info};
use bagua_telegram::{Class, Client, TelegramError};
use metrics::counter;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use time::OffsetDateTime;

/// Connections over which Telegram may push at once; the most that the cloud allows.
const CONNECTIONS: u32 = 100;

impl Bot {
    /// Keeps the webhook as it is wanted. Pushes come to whichever process; this one owns what is set at Telegram.
    pub(super) async fn tend_webhook(&self, client: &Client) -> End {
        let Some(hook) = &self.settings.webhook else {
            return End::Stopped;
        };
        let mut pause = self.config.pause;
        let mut not_found = 0;
        let mut told = "";
        loop {
            if self.stop.is_cancelled() {
                return End::Stopped;
            }
            let rest = if self.is_owner() {
                match self.tend_once(client, hook).await {
                    Ok(()) => {
                        if told != "running" {
                            told = "running";
                            self.tell(&Note::new("running", None, None)).await;
                        }
                        (pause, not_found) = (self.config.pause, 0);
                        self.config.observe
                    }
                    Err(error) => {
                        let (class, why) = error.say();
                        counter!("poll_errors_total", "class" => class).increment(1);
                        not_found += u32::from(class == "not_found");
                        if error.ends_the_bot() && (class != "not_found" || not_found >= NOT_FOUND_TIMES) {
                            return self.invalid(class, &why).await;
                        }
                        if told != class {
                            told = class;
                            self.tell(&Note::new("retrying", Some(class), Some(why))).await;
                        }
                        if let Some(pause) = error.pause() {
                            crate::outlook::throttled(&self.parts.pool, self.id, pause).await;
                        }
                        let rest = error.pause().unwrap_or(pause);
                        pause = (pause * 2).min(super::poll::LONGEST_PAUSE);
                        rest
                    }
                }
            } else {
                self.config.pause
            };
            if self.rest(rest).await {
                return End::Stopped;
            }
        }
    }

    async fn tend_once(&self, client: &Client, hook: &Hook) -> Result<(), Trouble> {
        let info = observe::ask(client).await?;
        let set = self.observe(&info).await?;
        let kinds = |kinds: &[String]| kinds.iter().cloned().collect::<BTreeSet<_>>();
        let refused = |since: OffsetDateTime| {
            info.last_error_at().is_some_and(|at| at >= since)
                && info
                    .last_error_message
                    .as_ref()
                    .is_some_and(|why| why.contains("401"))
        };
        let as_wanted = info.url == hook.url
            && kinds(&info.allowed_updates) == kinds(&self.settings.update_kinds)
            // The secret cannot be asked for. It is told again with new settings, and when our own answers say that
            // another one came along.
            && set.is_some_and(|(generation, at)| generation == self.settings.generation && !refused(at));
        if as_wanted {
            return Ok(());
        }
        let secret = self.secret(hook).await?;
        let parameters = json!({
            "url": hook.url,
            "secret_token": secret,
            "max_connections": CONNECTIONS,
            "allowed_updates": self.settings.update_kinds,
        });
        client.call("setWebhook", &parameters).await?;
        counter!("tg_webhooks_set_total").increment(1);
        tracing::info!(bot = self.id.0, "the webhook was set");
        let fence = self.lease.borrow().fence;
        observe::webhook_set(&self.parts.pool, self.id, fence, self.settings.generation).await?;
        // What is to be seen of the bot is how it stands now.
        let info = observe::ask(client).await?;
        self.observe(&info).await?;
        Ok(())
    }

    async fn secret(&self, hook: &Hook) -> Result<String, Trouble> {
        let context = crate::webhook::secret_context(self.id);
        let plain = self
            .parts
            .keys
            .open(&context, &hook.secret)
            .await
            .map_err(|error| Trouble::Keys(error.to_string()))?;
        String::from_utf8(plain.to_vec())
            .map_err(|_| Trouble::Keys("the stored secret of the webhook is none".to_owned()))
    }

    /// For a bot that polls: what waits for it, now and then. That nothing does an empty answer has said; else Telegram is asked between two
    /// polls, over the connection that is there: another one for each bot would be most of what an idle bot costs.
    pub(super) async fn watch(&self, client: &Client, nothing_waits: bool) {
        let seen = if nothing_waits {
            Ok(Info {
                allowed_updates: self.settings.update_kinds.clone(),
                ..Info::default()
            })
        } else {
            observe::ask(client).await
        };
        match seen {
            Ok(info) => {
                if let Err(error) = self.observe(&info).await {
                    super::away("observation", &error);
                }
            }
            // Whoever polls meets the same error and says so.
            Err(error) => tracing::debug!(bot = self.id.0, %error, "getWebhookInfo was not answered"),
        }
    }

    async fn observe(&self, info: &Info) -> sqlx::Result<Option<(i64, OffsetDateTime)>> {
        let fence = self.lease.borrow().fence;
        observe::write(&self.parts.pool, self.id, fence, info).await
    }
}

/// Why the webhook is not as it should be.
enum Trouble {
    Telegram(TelegramError),
    Database(sqlx::Error),
    Keys(String),
}

impl From<TelegramError> for Trouble {
    fn from(error: TelegramError) -> Self {
        Trouble::Telegram(error)
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Trouble::Database(error)
    }
}

impl Trouble {
    fn say(&self) -> (&'static str, String) {
        match self {
            Trouble::Telegram(error) => (error.class().name(), error.to_string()),
            Trouble::Database(error) => ("database", error.to_string()),
            Trouble::Keys(why) => ("key_store", why.clone()),
        }
    }

    fn ends_the_bot(&self) -> bool {
        matches!(self, Trouble::Telegram(error) if error.class().ends_the_bot())
    }

    fn pause(&self) -> Option<Duration> {
        match self {
            Trouble::Telegram(error) => match error.class() {
                Class::Throttled(pause) => Some(pause),
                _ => None,
            },
            _ => None,
        }
    }
}
