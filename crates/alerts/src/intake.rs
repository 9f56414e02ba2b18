//! The webhook: a notification from Alertmanager becomes rows.

use crate::Alerts;
use crate::alertmanager::{Notification, Told};
use crate::episode::{Change, Known, Verdict, told_ended, told_firing};
use crate::metrics::{self, Finder};
use crate::prometheus::{Judge, Testimony, Word};
use crate::receipts;
use crate::store::{self, Stamp};
use bagua_model::alerts::AlertState;
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use uuid::Uuid;

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
        let group = notification.group.clone();
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
        let noted = receipts::note(&self.db, &group, self.clock.now());
        match tokio::time::timeout(DATABASE_TIME_OUT, noted).await {
            Ok(Ok(())) => {}
            // What it told is stored. Alertmanager repeats it, and this is noted then.
            Ok(Err(error)) => return Err(WebhookError::Unavailable(Some(error))),
            Err(_) => return Err(WebhookError::Unavailable(None)),
        }
        Ok(intake)
    }

    /// Whether the header `Authorization` is Alertmanager's. Compares in constant time, so that the token cannot be guessed byte by byte.
    pub fn authenticates(&self, authorization: Option<&str>) -> bool {
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
            let _turn = self.storing.lock().await;
            let mut tx = self.db.begin().await?;
            let done = self.weigh(&mut tx, told, testimony).await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(done)
        };
        let (made, doubtful) = tokio::time::timeout(DATABASE_TIME_OUT, stored)
            .await
            .map_err(|_| WebhookError::Unavailable(None))?
            .map_err(|e| WebhookError::Unavailable(Some(e)))?;
        for (change, _) in &made {
            metrics::change(change, Finder::Webhook);
        }
        intake.changes += made.len();
        intake.doubtful += doubtful;
        let ids: Vec<_> = made.into_iter().map(|(_, id)| id).collect();
        if let Err(error) = self.refresh_some(&ids).await {
            // The rows are stored; the next reading fills the memory.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the feed in memory was not refreshed"
            );
        }
        Ok(())
    }

    /// Weighs what was told, one after the other, and makes what it comes to; each change with its episode.
    async fn weigh(
        &self,
        db: &mut PgConnection,
        told: &[Told],
        testimony: Option<&Testimony>,
    ) -> sqlx::Result<(Vec<(Change, Uuid)>, usize)> {
        let fingerprints: Vec<_> = told.iter().map(|t| t.observation().fingerprint.clone()).collect();
        let judge = testimony.map(Testimony::judge);
        store::lock(db).await?;
        let mut weighing = Weighing {
            known: store::known(db, &fingerprints).await?,
            changes: Vec::new(),
            under_way: HashSet::new(),
            made: Vec::new(),
        };
        let mut doubtful = 0;
        for told in told {
            let fingerprint = &told.observation().fingerprint;
            // The same alert may stand twice in one notification.
            if weighing.under_way.contains(fingerprint) {
                self.carry_out(db, &mut weighing).await?;
            }
            let known = weighing.known.entry(fingerprint.clone()).or_default();
            let verdict = match told {
                Told::Firing(o) => told_firing(known, o),
                Told::Ended(o, at) => told_ended(known, o, *at, word(judge.as_ref(), known, told)),
            };
            match verdict {
                Verdict::Nothing => {}
                Verdict::Doubtful => doubtful += 1,
                Verdict::Do(change) => {
                    weighing.under_way.insert(fingerprint.clone());
                    weighing.changes.push(change);
                }
            }
        }
        self.carry_out(db, &mut weighing).await?;
        Ok((weighing.made, doubtful))
    }

    /// Makes the changes that wait, together.
    async fn carry_out(&self, db: &mut PgConnection, weighing: &mut Weighing) -> sqlx::Result<()> {
        let seen = self.provisional_ids();
        let stamp = Stamp {
            now: self.clock.now(),
            seen: &seen,
        };
        let changes = std::mem::take(&mut weighing.changes);
        for (change, episode) in self.make(db, &changes, &stamp).await? {
            weighing.made.push((change.clone(), episode.view.alert));
            let known = weighing
                .known
                .entry(episode.view.fingerprint.clone())
                .or_default();
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
        weighing.under_way.clear();
        Ok(())
    }
}

/// What is known of the alerts of a notification, and what it has come to so far.
struct Weighing {
    known: HashMap<String, Known>,
    /// Changes that are not made yet, and the fingerprints that they are about.
    changes: Vec<Change>,
    under_way: HashSet<String>,
    made: Vec<(Change, Uuid)>,
}

fn word(judge: Option<&Judge<'_>>, known: &Known, told: &Told) -> Word {
    let o = told.observation();
    let last_started_at = known.firing.as_ref().map_or(o.started_at, |e| e.last_started_at);
    judge.map_or(Word::Unknown, |j| j.of(&o.labels, last_started_at))
}
