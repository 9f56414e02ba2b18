//! Workers: claim, lease, hand over. What happens in between is in `carry`.

mod carry;

use crate::console::Console;
use crate::run::{Probe, Retry};
use crate::store::steps::Fence;
use crate::store::work::{self, Claimed};
use bagua_model::operation::OperationId;
use sqlx::postgres::PgListener;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How operations are carried out in this process.
#[derive(Clone)]
pub struct WorkerSettings {
    /// How many run at the same time.
    pub count: usize,
    /// How long a worker may be silent before another takes over.
    pub lease: Duration,
    /// How often to look for work when nothing wakes the workers.
    pub poll: Duration,
    /// How passing failures are tried again.
    pub retry: Retry,
    /// How long a running operation may go on after the process was asked to stop.
    pub grace: Duration,
    /// After so many claims an operation waits for a person: it may be what kills its workers.
    pub most_attempts: i32,
    /// The crash harness's way in.
    pub probe: Option<Probe>,
}

impl Default for WorkerSettings {
    fn default() -> WorkerSettings {
        WorkerSettings {
            count: 4,
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            retry: Retry::default(),
            grace: Duration::from_secs(2),
            most_attempts: 50,
            probe: None,
        }
    }
}

/// The workers of one process.
pub struct Worker {
    console: Arc<Console>,
    settings: WorkerSettings,
    kinds: Vec<String>,
    name: String,
    /// What runs here now, with the token that tells it of a cancel.
    running: Mutex<HashMap<OperationId, CancellationToken>>,
    wake: Notify,
}

impl Worker {
    /// Workers with the console's settings.
    pub fn new(console: &Arc<Console>) -> Arc<Worker> {
        Worker::with_settings(console, console.workers.clone(), console.name.clone())
    }

    /// Workers with settings and a name of their own.
    pub fn with_settings(console: &Arc<Console>, settings: WorkerSettings, name: String) -> Arc<Worker> {
        Arc::new(Worker {
            kinds: console.registry().operation_kinds(),
            console: console.clone(),
            settings,
            name,
            running: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// Works until `stop`; then running operations get the grace and are handed to other workers.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let listener = self.clone();
        let listening = tokio::spawn(async move { listener.listen().await });
        let slots = Arc::new(Semaphore::new(self.settings.count));
        let mut tasks = JoinSet::new();
        while let Some(slot) = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            slot = slots.clone().acquire_owned() => slot.ok(),
        } {
            while tasks.try_join_next().is_some() {}
            match self.claim().await {
                Ok(Some(claimed)) => {
                    let (worker, stop) = (self.clone(), stop.clone());
                    tasks.spawn(async move {
                        worker.drive(claimed, &stop).await;
                        drop(slot);
                    });
                }
                Ok(None) => self.rest(&stop).await,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no work can be claimed");
                    self.rest(&stop).await;
                }
            }
        }
        while tasks.join_next().await.is_some() {}
        listening.abort();
    }

    /// Claims one operation and drives it as far as it goes; `None` when there is nothing to do. For tests and for
    /// the harness; a process uses [`Worker::run`].
    ///
    /// # Errors
    /// Those of the database while claiming.
    pub async fn run_once(self: &Arc<Self>) -> Result<Option<OperationId>, sqlx::Error> {
        let Some(claimed) = self.claim().await? else {
            return Ok(None);
        };
        let operation = claimed.fence.operation;
        self.drive(claimed, &CancellationToken::new()).await;
        Ok(Some(operation))
    }

    async fn claim(&self) -> Result<Option<Claimed>, sqlx::Error> {
        let console = &self.console;
        let now = console.clock.now();
        work::claim(
            &console.db,
            &self.name,
            console.environment,
            &self.kinds,
            self.settings.lease,
            now,
        )
        .await
    }

    async fn rest(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.wake.notified() => {}
            () = tokio::time::sleep(self.settings.poll) => {}
        }
    }

    async fn listen(&self) {
        loop {
            if let Err(error) = self.listen_once().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "LISTEN ended; workers poll"
                );
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn listen_once(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.console.db).await?;
        listener.listen("bagua_operations").await?;
        loop {
            let heard = listener.try_recv().await?;
            let cancel = heard.as_ref().and_then(|n| n.payload().strip_prefix("cancel:"));
            match cancel.and_then(|id| id.parse::<OperationId>().ok()) {
                Some(id) => {
                    let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(token) = running.get(&id) {
                        token.cancel();
                    }
                }
                None => self.wake.notify_one(),
            }
        }
    }

    /// Drives a claimed operation until it ends, waits for a person, or is another worker's.
    async fn drive(&self, claimed: Claimed, stop: &CancellationToken) {
        let (cancel, lost) = (CancellationToken::new(), CancellationToken::new());
        let id = claimed.fence.operation;
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, cancel.clone());
        // However this future ends, dropped in the middle included, the lease is renewed no longer.
        let beating = CancellationToken::new();
        let _stops_with_us = beating.clone().drop_guard();
        tokio::spawn(keep_lease(
            self.console.db.clone(),
            claimed.fence,
            self.settings.lease,
            cancel.clone(),
            lost.clone(),
            beating,
        ));
        let left = async {
            stop.cancelled().await;
            tokio::time::sleep(self.settings.grace).await;
        };
        tokio::select! {
            biased;
            () = lost.cancelled() => {
                tracing::warn!(operation = %id, attempt = claimed.fence.attempt, "the lease is lost; another worker goes on");
            }
            ended = self.work(&claimed, cancel, lost.clone()) => match ended {
                Ok(()) => {}
                Err(why) => tracing::warn!(operation = %id, attempt = claimed.fence.attempt, ?why,
                    "this worker does not go on"),
            },
            () = left => self.hand_over(&claimed.fence).await,
        }
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    /// The run has been dropped at the point where it waited: for the next worker that is the same as a crash here.
    async fn hand_over(&self, fence: &Fence) {
        match work::release(&self.console.db, fence).await {
            Ok(()) => tracing::info!(operation = %fence.operation, "handed over to another worker"),
            Err(error) => {
                tracing::warn!(operation = %fence.operation, error = &error as &dyn std::error::Error,
                "the lease was not given back; it runs out by itself")
            }
        }
    }
}

/// Renews the lease three times in its length. When the database has been silent for the whole of it, the operation
/// may be another worker's: this one stops acting.
async fn keep_lease(
    db: sqlx::PgPool,
    fence: Fence,
    lease: Duration,
    cancel: CancellationToken,
    lost: CancellationToken,
    stop: CancellationToken,
) {
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = lost.cancelled() => return,
            () = tokio::time::sleep(lease / 3) => {}
        }
        let began = Instant::now();
        let left = lease.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, work::heartbeat(&db, &fence, lease)).await {
            Ok(Ok(Some(cancelled))) => {
                renewed = began;
                if cancelled {
                    cancel.cancel();
                }
            }
            Ok(Ok(None)) => return lost.cancel(),
            Ok(Err(error)) => {
                tracing::debug!(operation = %fence.operation, error = &error as &dyn std::error::Error,
                    "the lease was not renewed");
            }
            Err(_) => {}
        }
        if renewed.elapsed() >= lease {
            return lost.cancel();
        }
    }
}
