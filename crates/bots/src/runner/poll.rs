//! Long polling: the cursor is all that is ever sent as an offset, and only while the lease lives.

use super::bot::{Bot, End};
use super::read::{Read, read};
use super::store::{self, Note};
use crate::ingest::{Batch, IngestError, Way};
use bagua_telegram::{Class, Client, GetUpdates, RawUpdate, TelegramError};
use metrics::counter;
use rand::Rng as _;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The longest pause after failures in a row.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After an answer that somebody else polls: long enough for a lease to change hands.
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);
/// A local server says "not found" of a bot that it has not loaded yet; the first times that is no reason to give up.
pub(super) const NOT_FOUND_TIMES: u32 = 4;

/// What polling one bot remembers between two calls.
struct Polling {
    cursor: i64,
    pause: Duration,
    not_found: u32,
    told: &'static str,
    /// When it was last written down what waits.
    watched: Option<Instant>,
    /// Whether that was nothing.
    empty: bool,
}

impl Bot {
    pub(super) async fn poll(&self, client: &Client) -> End {
        let mut polling = Polling {
            cursor: self.lease.borrow().next_offset,
            pause: self.config.pause,
            not_found: 0,
            told: "",
            watched: None,
            empty: false,
        };
        let kinds: Vec<&str> = self.settings.update_kinds.iter().map(String::as_str).collect();
        // What is set at Telegram stays there; the first poll of an owner sets it anew.
        let mut set_kinds = true;
        loop {
            if self.stop.is_cancelled() {
                return End::Stopped;
            }
            // The lease may have been renewed since; when it was not, nothing may be sent.
            let until = self.lease.borrow().until;
            if Instant::now() >= until {
                if self.wait_for_lease().await {
                    return End::Stopped;
                }
                continue;
            }
            let ask = GetUpdates {
                offset: (polling.cursor > 0).then_some(polling.cursor),
                limit: Some(100),
                // The first one does not wait: a bot to which nobody writes is known to run at once.
                timeout: if set_kinds { 0 } else { self.config.poll_seconds },
                allowed_updates: set_kinds.then_some(kinds.as_slice()),
            };
            let answer = tokio::select! {
                // Breaking off a poll is safe: receiving confirms nothing.
                () = self.stop.cancelled() => return End::Stopped,
                () = self.lease_end() => continue,
                answer = client.get_updates(&ask) => answer,
            };
            let nothing_waits = matches!(&answer, Ok(updates) if updates.is_empty());
            let ended = match answer {
                Ok(updates) => {
                    set_kinds = false;
                    polling.not_found = 0;
                    Box::pin(self.running(&mut polling)).await;
                    Box::pin(self.take(&mut polling, updates)).await
                }
                Err(error) => Box::pin(self.failed(&mut polling, client, &error)).await,
            };
            if let Some(end) = ended {
                return end;
            }
            let due = polling
                .watched
                .is_none_or(|at| at.elapsed() >= self.config.observe);
            // That nothing waits any more is news.
            if (due || nothing_waits && !polling.empty) && self.is_owner() {
                (polling.watched, polling.empty) = (Some(Instant::now()), nothing_waits);
                Box::pin(self.watch(client, nothing_waits)).await;
            }
        }
    }

    /// Until the lease ends by this process's own clock, renewals counted.
    async fn lease_end(&self) {
        loop {
            let until = self.lease.borrow().until;
            sleep_until(until).await;
            if self.lease.borrow().until <= Instant::now() {
                return;
            }
        }
    }

    /// Until the lease is renewed; `true` when the task has to end instead.
    async fn wait_for_lease(&self) -> bool {
        let mut lease = self.lease.clone();
        tokio::select! {
            () = self.stop.cancelled() => true,
            renewed = lease.wait_for(|lease| lease.until > Instant::now()) => renewed.is_err(),
        }
    }

    async fn running(&self, polling: &mut Polling) {
        if polling.told != "running" {
            polling.told = "running";
            self.tell(&Note::new("running", None, None)).await;
        }
    }

    /// Stores what was received. Only then does the cursor move.
    async fn take(&self, polling: &mut Polling, received: Vec<RawUpdate>) -> Option<End> {
        if received.is_empty() {
            polling.pause = self.config.pause;
            return None;
        }
        let mut updates = Vec::with_capacity(received.len());
        let mut odd = Vec::new();
        for raw in received {
            match read(raw) {
                Read::Update(update) => updates.push(*update),
                Read::WithoutNumber(raw) => odd.push(raw),
            }
        }
        crate::figures::received(&updates);
        // Before the cursor passes them: they have no number by which they could come again.
        if !odd.is_empty()
            && let Err(error) = store::quarantine(&self.parts.pool, &self.parts.keys, self.id, &odd).await
        {
            return self.not_stored(polling, "quarantine", &error).await;
        }
        let Some(last) = updates.last().map(|update| update.update_id) else {
            // Nothing with a number came, so there is nothing to confirm: do not ask in a hot loop.
            return self.rest(polling.grow()).await.then_some(End::Stopped);
        };
        let fence = self.lease.borrow().fence;
        let next_offset = last.saturating_add(1);
        let batch = Batch {
            bot: self.id,
            way: Way::Polled { fence, next_offset },
            updates,
        };
        // Not broken off by `stop`: a batch that was received is committed.
        match self.parts.ingest.ingest(batch).await {
            Ok(_) => {
                polling.cursor = next_offset;
                polling.pause = self.config.pause;
                None
            }
            Err(IngestError::FenceLost) => {
                counter!("lease_lost_total").increment(1);
                Some(End::Lost)
            }
            Err(IngestError::Ending) => Some(End::Stopped),
            Err(error) => self.not_stored(polling, "database", &error).await,
        }
    }

    /// Nothing was stored: the batch is let go, Telegram still has it. So memory stays bounded while a database is away.
    async fn not_stored(
        &self,
        polling: &mut Polling,
        class: &'static str,
        error: &(dyn std::error::Error + Sync),
    ) -> Option<End> {
        if polling.told != class {
            polling.told = class;
            self.tell(&Note::new("retrying", Some(class), Some(error.to_string())))
                .await;
        }
        self.rest(polling.grow()).await.then_some(End::Stopped)
    }

    async fn failed(&self, polling: &mut Polling, client: &Client, error: &TelegramError) -> Option<End> {
        let class = error.class();
        counter!("poll_errors_total", "class" => class.name()).increment(1);
        if let Class::NotFound = class {
            polling.not_found += 1;
        }
        let hopeless =
            class.ends_the_bot() && (class != Class::NotFound || polling.not_found >= NOT_FOUND_TIMES);
        if hopeless {
            return Some(self.invalid(class.name(), &error.to_string()).await);
        }
        let (state, pause) = match class {
            Class::Throttled(pause) => {
                counter!("retry_after_seconds_total").increment(pause.as_secs());
                crate::outlook::throttled(&self.parts.pool, self.id, pause).await;
                ("retrying", pause)
            }
            Class::OtherPoller => ("conflict", CONFLICT_PAUSE),
            Class::WebhookActive => {
                self.delete_webhook(client).await;
                ("retrying", self.config.pause)
            }
            _ => ("retrying", polling.grow()),
        };
        if polling.told != class.name() {
            polling.told = class.name();
            self.tell(&Note::new(state, Some(class.name()), Some(error.to_string())))
                .await;
        }
        self.rest(pause).await.then_some(End::Stopped)
    }

    /// This bot polls by its settings, so a webhook that is set is not wanted. What waits at Telegram stays there.
    async fn delete_webhook(&self, client: &Client) {
        if let Err(error) = client
            .call("deleteWebhook", &json!({ "drop_pending_updates": false }))
            .await
        {
            tracing::warn!(bot = self.id.0, %error, "the webhook could not be removed; trying again");
        }
    }
}

impl Polling {
    /// The pause after one more failure in a row, with up to a quarter of chance, so that many bots do not knock at once.
    #[expect(clippy::disallowed_methods, reason = "jitter that no test looks at")]
    fn grow(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        pause.mul_f64(rand::rng().random_range(1.0..1.25))
    }
}
