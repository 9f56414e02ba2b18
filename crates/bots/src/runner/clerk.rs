//! What rules and senders of all bots of a process write down, together: while one transaction is under way, what the others have to
//! say gathers for the next. A flush to disk costs more than the rows, and each call needs two before it is done.

use super::finish::{self, Finish, Finished};
use crate::outbox::store::{self, Claim, Settled};
use crate::{BotId, Fence};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How many entries share one transaction at most.
const AT_ONCE: usize = 256;
/// How long one transaction may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something was not written down.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClerkError {
    /// The data database is away.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
    /// The process is ending.
    #[error("the process is ending")]
    Ending,
}

impl From<sqlx::Error> for ClerkError {
    fn from(error: sqlx::Error) -> Self {
        ClerkError::Database(Arc::new(error))
    }
}

struct Entry<T, R> {
    what: T,
    answer: oneshot::Sender<Result<R, ClerkError>>,
}

/// A way to the clerk. It ends when the last one is gone.
#[derive(Clone)]
pub(super) struct Clerk {
    claims: mpsc::UnboundedSender<Entry<Claim, Option<Vec<i64>>>>,
    settled: mpsc::UnboundedSender<Entry<(i64, Fence, Settled), ()>>,
    finished: mpsc::UnboundedSender<Entry<Finish, Finished>>,
}

impl Clerk {
    /// Starts it on the cell's database.
    pub(super) fn start(pool: &PgPool) -> Clerk {
        // Bounded by how many calls bots have under way.
        let (claims, asked) = mpsc::unbounded_channel();
        let (settled, told) = mpsc::unbounded_channel();
        let (finished, made) = mpsc::unbounded_channel();
        let (for_claims, for_settled, for_finished) = (pool.clone(), pool.clone(), pool.clone());
        tokio::spawn(gather(asked, move |claims| {
            let pool = for_claims.clone();
            async move { store::claim(&pool, &claims).await }
        }));
        tokio::spawn(gather(told, move |settled| {
            let pool = for_settled.clone();
            async move {
                store::settle(&pool, &settled).await?;
                Ok(vec![(); settled.len()])
            }
        }));
        tokio::spawn(gather(made, move |finished| {
            let pool = for_finished.clone();
            async move { finish::finish(&pool, &finished).await }
        }));
        Clerk {
            claims,
            settled,
            finished,
        }
    }

    /// Marks calls of a bot as being made. Those that are not in the answer must not be made; nothing at all when the lease is
    /// lost.
    pub(super) async fn claim(
        &self,
        bot: BotId,
        fence: Fence,
        calls: Vec<i64>,
    ) -> Result<Option<Vec<i64>>, ClerkError> {
        ask(&self.claims, Claim { bot, fence, calls }).await
    }

    /// Writes down what rules made of updates.
    pub(super) async fn finish(&self, finish: Finish) -> Result<Finished, ClerkError> {
        ask(&self.finished, finish).await
    }

    /// Writes down what came of a call; see [`store::settle`].
    pub(super) async fn settle(&self, fence: Fence, call: i64, settled: Settled) -> Result<(), ClerkError> {
        ask(&self.settled, (call, fence, settled)).await
    }
}

async fn ask<T, R>(way: &mpsc::UnboundedSender<Entry<T, R>>, what: T) -> Result<R, ClerkError> {
    let (answer, answered) = oneshot::channel();
    way.send(Entry { what, answer }).map_err(|_| ClerkError::Ending)?;
    answered.await.unwrap_or(Err(ClerkError::Ending))
}

/// Writes what waits, group by group. `write` answers for each entry, in order.
async fn gather<T, R, F>(mut waiting: mpsc::UnboundedReceiver<Entry<T, R>>, write: impl Fn(Vec<T>) -> F)
where
    F: Future<Output = sqlx::Result<Vec<R>>>,
{
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, AT_ONCE).await > 0 {
        let (what, answers): (Vec<_>, Vec<_>) =
            group.drain(..).map(|entry| (entry.what, entry.answer)).unzip();
        // Whoever asked may have gone; what was written stays written.
        // A database that takes statements and does not answer must not hold up all bots for good.
        let written = timeout(PATIENCE, write(what)).await;
        match written.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    drop(answer.send(Ok(result)));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in answers {
                    drop(answer.send(Err(ClerkError::Database(Arc::clone(&error)))));
                }
            }
        }
    }
}
