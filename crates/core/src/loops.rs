//! Everything that runs in the background of a console.

use crate::console::Console;
use crate::db;
use crate::live::QUIET_LIFE;
use crate::store;
use crate::worker::Worker;
use bagua_model::failure::Failure;
use bagua_model::operation::OperationState;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

impl Console {
    /// Runs workers, schedules, the live stream, the lapse of approvals and the watch over the database until `stop`
    /// and until running operations have been finished or handed over.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        let (console, token) = (self.clone(), stop.clone());
        loops.spawn(async move { Worker::new(&console).run(token).await });
        let (live, token) = (self.live.clone(), stop.clone());
        loops.spawn(async move { live.run(token).await });
        let (console, token) = (self.clone(), stop.clone());
        loops.spawn(async move { console.sources.watch_database(console.db.clone(), token).await });
        let (console, token) = (self.clone(), stop.clone());
        loops.spawn(
            async move { every(Duration::from_secs(1), &token, || console.fire_due_schedules()).await },
        );
        let (console, token) = (self.clone(), stop.clone());
        loops
            .spawn(async move { every(Duration::from_secs(5), &token, || console.expire_approvals()).await });
        let (console, token) = (self.clone(), stop.clone());
        loops.spawn(async move { every(Duration::from_secs(5), &token, || console.measure_queue()).await });
        let (console, token) = (self, stop.clone());
        loops.spawn(async move { every(Duration::from_secs(60), &token, || console.prune_events()).await });
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended {
                // Without one of them the console would only seem to work: the process ends and is started again.
                tracing::error!(%error, "a loop of the console has panicked; the console stops");
                stop.cancel();
            }
        }
    }

    /// Ends the operations whose approval has lapsed; returns how many.
    ///
    /// # Errors
    /// `Unavailable` when the database is away.
    pub async fn expire_approvals(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let mut expired = 0;
        while store::decisions::expire_one(&self.db, self.environment, now)
            .await
            .map_err(db::failure)?
        {
            expired += 1;
        }
        Ok(expired)
    }

    /// Tells Prometheus how many operations wait and run. Every console tells the same number of the same table.
    async fn measure_queue(&self) -> Result<(), Failure> {
        let open = || OperationState::ALL.iter().filter(|s| !s.is_final());
        let states: Vec<_> = open().map(|s| s.as_str().to_owned()).collect();
        let counted = store::views::count(&self.db, self.environment, &states).await;
        for state in open() {
            let count = match &counted {
                Ok(rows) => rows
                    .iter()
                    .find(|(s, _)| s == state)
                    .map_or(0.0, |(_, n)| *n as f64),
                // Not known: the last number would pass for the present one.
                Err(_) => f64::NAN,
            };
            metrics::gauge!("bagua_operations_open", "state" => state.as_str()).set(count);
        }
        counted.map(|_| ()).map_err(db::failure)
    }

    /// Deletes wake-ups that are older than an hour; the story stays.
    async fn prune_events(&self) -> Result<u64, Failure> {
        // Longer than listeners may look back, so that none finds a gap.
        let until = self.clock.now() - QUIET_LIFE * 2;
        store::events::prune_quiet(&self.db, until)
            .await
            .map_err(db::failure)
    }
}

/// Does `work` again and again until `stop`. A failure has been logged where it happened; the next round tries again.
async fn every<T, F>(pause: Duration, stop: &CancellationToken, work: impl Fn() -> F)
where
    F: Future<Output = Result<T, Failure>>,
{
    while !stop.is_cancelled() {
        if let Err(failure) = work().await {
            tracing::debug!(%failure, "a round of a background loop failed");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
