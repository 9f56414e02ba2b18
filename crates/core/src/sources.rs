//! What the console is missing right now.

use crate::clock::Clock;
use crate::live::LiveHub;
use bagua_model::notices::{Notice, Source};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// The board of sources: whoever reads from one says how it went. Cheap to clone.
#[derive(Clone)]
pub struct Sources(Arc<Board>);

struct Board {
    clock: Clock,
    live: LiveHub,
    away: RwLock<BTreeMap<Source, OffsetDateTime>>,
}

impl Sources {
    /// A board on which everything answers.
    pub fn new(clock: Clock, live: LiveHub) -> Sources {
        Sources(Arc::new(Board {
            clock,
            live,
            away: RwLock::default(),
        }))
    }

    /// The source has answered.
    pub fn ok(&self, source: Source) {
        // Mostly nothing changes, and everybody calls this often.
        if !self.is_away(source) {
            return;
        }
        let gone = self
            .0
            .away
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&source);
        if gone.is_some() {
            tracing::info!(source = source.as_str(), "a source answers again");
            self.0.live.publish_volatile("notices", None);
        }
    }

    /// The source does not answer; `why` goes to the log.
    pub fn failed(&self, source: Source, why: impl std::fmt::Display) {
        if self.is_away(source) {
            return;
        }
        let now = self.0.clock.now();
        let mut away = self.0.away.write().unwrap_or_else(PoisonError::into_inner);
        if away.insert(source, now).is_none() {
            drop(away);
            tracing::warn!(source = source.as_str(), %why, "a source is away");
            self.0.live.publish_volatile("notices", None);
        }
    }

    /// Whether the source is away.
    pub fn is_away(&self, source: Source) -> bool {
        self.0
            .away
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&source)
    }

    /// The sources that are away, and since when.
    pub fn notices(&self) -> Vec<Notice> {
        let away = self.0.away.read().unwrap_or_else(PoisonError::into_inner);
        away.iter()
            .map(|(source, since)| Notice {
                source: *source,
                since: *since,
            })
            .collect()
    }

    /// Watches the control database, on a connection of its own: a pool that is busy is not a database that is away.
    pub(crate) async fn watch_database(&self, db: PgPool, stop: CancellationToken) {
        let mut connection: Option<PgConnection> = None;
        let mut slow = 0;
        while !stop.is_cancelled() {
            let asked = tokio::time::timeout(Duration::from_secs(1), async {
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => PgConnection::connect_with(&db.connect_options()).await?,
                };
                open.execute("SELECT 1").await?;
                Ok::<_, sqlx::Error>(open)
            })
            .await;
            match asked {
                Ok(Ok(open)) => {
                    connection = Some(open);
                    slow = 0;
                    self.ok(Source::Database);
                }
                Ok(Err(error)) => self.failed(Source::Database, error),
                // A machine under full load may be late once.
                Err(_) if slow == 0 => slow = 1,
                Err(_) => self.failed(Source::Database, "no answer within 1 s, twice"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }
}
