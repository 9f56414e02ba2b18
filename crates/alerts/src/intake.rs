//! The webhook: a notification from Alertmanager becomes rows.

use crate::Alerts;
use crate::alertmanager::{Notification, Told};
use crate::episode::{Change, Known, Verdict, told_ended, told_firing};
use crate::metrics::{self, Finder};
use crate::prometheus::{Testimony, Word};
use crate::snapshot_refresh::Keep;
use crate::store::{self, Stamp};
use bagua_model::alerts::AlertState;
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// The longest body that is read, in bytes.
pub const LONGEST_BODY: usize = 4 * 1024 * 1024;
/// Alertmanager waits 10 s for an answer; ours comes before, so that it tries again knowing why.
const DATABASE_TIME_OUT: Duration = Duration::from_secs(5);

/// What a notification came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intake {
    /// Alerts in it.
    pub alerts: usize,
    /// Changes to the feed.
    pub changes: usize,
    /// Alerts that wait for the next comparison with Alertmanager's list, because the notification alone does not
    /// say enough.
    pub doubtful: usize,
}

/// Why a notification was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No token, or the wrong one.
    #[error(
        "the notification carries no valid bearer token; see `credentials_file` in Alertmanager's configuration"
    )]
    Unauthenticated,
    /// More than [`LONGEST_BODY`].
    #[error(
        "the notification is longer than 4 MiB; set `max_alerts` in Alertmanager's webhook configuration"
    )]
    TooLarge,
    /// Not a notification of version 4.
    #[error("{0}")]
    Malformed(String),
    /// The database is away; Alertmanager tries again.
    #[error("the database does not answer right now; nothing was stored, try again")]
    Unavailable(#[source] Option<sqlx::Error>),
}

impl WebhookError {
    /// The HTTP status. Alertmanager tries again on 5xx only.
    pub const fn status(&self) -> u16 {
        match self {
            WebhookError::Unauthenticated => 401,
            WebhookError::TooLarge => 413,
            WebhookError::Malformed(_) => 400,
            WebhookError::Unavailable(_) => 503,
        }
    }

    const fn label(&self) -> &'static str {
        match self {
            WebhookError::Unauthenticated => "unauthenticated",
            WebhookError::TooLarge => "too_large",
            WebhookError::Malformed(_) => "malformed",
            WebhookError::Unavailable(_) => "unavailable",
        }
    }
}

impl Alerts {
    /// Takes a notification: `body` as Alertmanager posted it and the header `Authorization`. May come any number of
    /// times, late, and in any order.
    ///
    /// # Errors
    /// [`WebhookError`]; nothing was stored of what it concerns.
    pub async fn webhook(&self, body: &[u8], authorization: Option<&str>) -> Result<Intake, WebhookError> {
        let received = Instant::now();
        let taken = self.take(body, authorization, received).await;
        match &taken {
            Ok(_) => metrics::webhook("ok"),
            Err(error) => {
                metrics::webhook(error.label());
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "a notification was not taken"
                );
            }
        }
        taken
    }

    async fn take(
        &self,
        body: &[u8],
        authorization: Option<&str>,
        received: Instant,
    ) -> Result<Intake, WebhookError> {
        if !self.authenticates(authorization) {
            return Err(WebhookError::Unauthenticated);
        }
        if body.len() > LONGEST_BODY {
            return Err(WebhookError::TooLarge);
        }
        let notification = Notification::parse(body).map_err(WebhookError::Malformed)?;
        if notification.truncated > 0 {
            tracing::warn!(
                alerts.left_out = notification.truncated,
                "Alertmanager left alerts out; its list is read"
            );
            self.reconcile_soon();
        }
        let told = notification.told();
        metrics::received(told.len());
        let mut intake = Intake {
            alerts: told.len(),
            ..Intake::default()
        };

        let (watchdog, told): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|t| t.observation().is_watchdog());
        if watchdog.iter().any(|t| matches!(t, Told::Firing(_))) {
            self.saw_watchdog(self.clock.now());
        }
        // What fires is stored first: it does not wait until Prometheus has been asked about what ended.
        let (firing, ended): (Vec<_>, Vec<_>) = told.into_iter().partition(|t| matches!(t, Told::Firing(_)));
        if !firing.is_empty() {
            self.store(&firing, None, &mut intake).await?;
            metrics::intake(received.elapsed());
        }
        if !ended.is_empty() {
            let testimony = self.testimony().await;
            self.store(&ended, testimony.as_ref(), &mut intake).await?;
            if firing.is_empty() {
                metrics::intake(received.elapsed());
            }
        }
        if intake.doubtful > 0 {
            self.reconcile_soon();
        }
        Ok(intake)
    }

    /// Compares in constant time, so that the token cannot be guessed byte by byte.
    fn authenticates(&self, authorization: Option<&str>) -> bool {
        let given = authorization
            .and_then(|a| a.split_once(' '))
            .filter(|(how, _)| how.eq_ignore_ascii_case("bearer"));
        given.is_some_and(|(_, token)| token.trim().as_bytes().ct_eq(self.token.as_bytes()).into())
    }

    async fn store(
        &self,
        told: &[Told],
        testimony: Option<&Testimony>,
        intake: &mut Intake,
    ) -> Result<(), WebhookError> {
        let stored = async {
            let mut tx = self.db.begin().await?;
            let done = self.weigh(&mut tx, told, testimony).await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(done)
        };
        let (changes, doubtful) = tokio::time::timeout(DATABASE_TIME_OUT, stored)
            .await
            .map_err(|_| WebhookError::Unavailable(None))?
            .map_err(|e| WebhookError::Unavailable(Some(e)))?;
        for change in &changes {
            metrics::change(change, Finder::Webhook);
        }
        intake.changes += changes.len();
        intake.doubtful += doubtful;
        if !changes.is_empty()
            && let Err(error) = self.refresh(Keep::Everything).await
        {
            // The rows are stored; the next reading fills the memory.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the feed in memory was not refreshed"
            );
        }
        Ok(())
    }

    async fn weigh(
        &self,
        db: &mut PgConnection,
        told: &[Told],
        testimony: Option<&Testimony>,
    ) -> sqlx::Result<(Vec<Change>, usize)> {
        let fingerprints: Vec<_> = told.iter().map(|t| t.observation().fingerprint.clone()).collect();
        let seen = self.provisional_ids();
        let stamp = Stamp {
            now: self.clock.now(),
            seen: &seen,
        };
        let (mut changes, mut doubtful) = (Vec::new(), 0);
        store::lock(db).await?;
        let mut known = store::known(db, &fingerprints).await?;
        for told in told {
            let known = known.entry(told.observation().fingerprint.clone()).or_default();
            let verdict = match told {
                Told::Firing(o) => told_firing(known, o),
                Told::Ended(o, at) => told_ended(known, o, *at, word(testimony, known, told)),
            };
            match verdict {
                Verdict::Nothing => {}
                Verdict::Doubtful => doubtful += 1,
                Verdict::Do(change) => {
                    // The same alert may stand twice in one notification.
                    if let Some(episode) = self.make(db, &change, &stamp).await? {
                        match episode.view.state {
                            AlertState::Firing => known.firing = Some(episode),
                            AlertState::Resolved => {
                                *known = Known {
                                    firing: None,
                                    ended: Some(episode),
                                }
                            }
                        }
                    }
                    changes.push(change);
                }
            }
        }
        Ok((changes, doubtful))
    }
}

fn word(testimony: Option<&Testimony>, known: &Known, told: &Told) -> Word {
    let o = told.observation();
    let last_started_at = known.firing.as_ref().map_or(o.started_at, |e| e.last_started_at);
    testimony.map_or(Word::Unknown, |t| t.of(&o.labels, last_started_at))
}
