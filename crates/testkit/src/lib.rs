//! For tests only: a database for each test, people, a clock, probe operations, the crash harness.

pub mod database;
pub mod harness;
pub mod people;
pub mod probe;

pub use database::{Kind, TestDatabase, database, database_of};

use bagua_core::{Clock, Console, ConsoleParts};
use bagua_model::operation::{GetOperation, OperationId, OperationState, OperationView};
use bagua_model::region::Environment;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::macros::datetime;

/// A clock that stands at a Sunday evening in November 2026.
pub fn clock() -> Clock {
    Clock::standing(datetime!(2026-11-22 20:00:00 UTC))
}

/// The parts of a console for the environment `dev`, on the test's database in the application role, with quick
/// retries. Rooms register on them; then `Console::new(parts)`.
pub fn parts(name: &str, db: &TestDatabase, clock: &Clock) -> ConsoleParts {
    let mut parts = ConsoleParts::new(name, db.app.clone(), Environment::Dev, clock.clone());
    parts.workers.retry.first_pause = Duration::from_millis(1);
    parts.workers.retry.times = 2;
    parts.workers.grace = Duration::from_millis(50);
    parts
}

/// How long a test waits for something before it fails: far longer than it ever takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until `ask` gives something, at most [`PATIENCE`].
///
/// # Errors
/// When it did not come; `what` says what was waited for.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await? {
            return Ok(found);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until an operation is in one of `states`.
///
/// # Errors
/// When it did not get there, with the state in which it stayed.
pub async fn wait_until(
    console: &Arc<Console>,
    operation: OperationId,
    states: &[OperationState],
) -> anyhow::Result<OperationView> {
    eventually(&format!("operation {operation} to be {states:?}"), || async {
        let view = operation_view(console, operation).await?;
        Ok(states.contains(&view.summary.state).then_some(view))
    })
    .await
}

/// An operation as the console itself sees it.
///
/// # Errors
/// When there is none.
pub async fn operation_view(console: &Arc<Console>, operation: OperationId) -> anyhow::Result<OperationView> {
    Ok(console.ask(&people::system(), GetOperation { operation }).await?)
}
