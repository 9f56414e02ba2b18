//! What a running operation is given: memoised steps, a fenced transaction, progress, checkpoints.
//!
//! Architecture Invariant: every write of a running operation carries the attempt of the worker's claim. A worker
//! whose lease was taken over changes nothing in the control database from then on.

mod failure;
mod names;
mod probe;
mod retry;

pub use failure::StepFailure;
pub(crate) use names::{named_uuid, step_words};
pub use probe::{Fate, Moment, Point, Probe};
pub use retry::Retry;

use crate::clock::Clock;
use crate::db;
use crate::store::steps::{self, Fence, StepKind, StoredStep};
use bagua_model::operation::{OperationId, StepState};
use bagua_model::region::{Environment, RegionId};
use bagua_model::text::{Text, keys};
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use uuid::Uuid;

/// The connection of a step's fenced transaction: a `PgConnection` for `&mut *db`.
///
/// The second lifetime is what the step's closure may borrow from around it.
pub struct StepDb<'c, 'a: 'c> {
    connection: &'c mut PgConnection,
    around: PhantomData<&'c &'a ()>,
}

impl Deref for StepDb<'_, '_> {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        self.connection
    }
}

impl DerefMut for StepDb<'_, '_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
    }
}

/// The given of one run: who, where, under which lease.
pub(crate) struct Shared {
    pub(crate) db: PgPool,
    pub(crate) clock: Clock,
    pub(crate) environment: Environment,
    pub(crate) region: Option<RegionId>,
    pub(crate) kind: String,
    pub(crate) fence: Fence,
    pub(crate) submitted_by: String,
    pub(crate) cancel: CancellationToken,
    pub(crate) lost: CancellationToken,
    pub(crate) retry: Retry,
    pub(crate) probe: Option<Probe>,
    pub(crate) steps: Mutex<Steps>,
}

pub(crate) struct Steps {
    pub(crate) known: HashMap<String, StoredStep>,
    last_progress: Option<Instant>,
}

impl Steps {
    pub(crate) fn new(stored: Vec<StoredStep>) -> Mutex<Steps> {
        let known = stored.into_iter().map(|step| (step.name.clone(), step)).collect();
        Mutex::new(Steps {
            known,
            last_progress: None,
        })
    }
}

/// What a running operation, or the undo of one of its steps, works with.
///
/// Step names are unique within an operation; steps of a loop carry a suffix (`drain:3`). The words of a step are
/// the message `step.<name>` without the suffix.
pub struct RunContext {
    shared: Arc<Shared>,
    /// The step that is being undone.
    undoing: Option<String>,
}

impl RunContext {
    pub(crate) fn new(shared: Arc<Shared>) -> RunContext {
        RunContext {
            shared,
            undoing: None,
        }
    }

    pub(crate) fn undoing(shared: Arc<Shared>, step: &str) -> RunContext {
        RunContext {
            shared,
            undoing: Some(step.to_owned()),
        }
    }

    /// The operation.
    pub fn operation(&self) -> OperationId {
        self.shared.fence.operation
    }

    /// Which claim this is: 1 for the first worker, more after a takeover.
    pub fn attempt(&self) -> i32 {
        self.shared.fence.attempt
    }

    /// Who submitted it, as the lists show it.
    pub fn submitted_by(&self) -> &str {
        &self.shared.submitted_by
    }

    /// The environment that this console looks after.
    pub fn environment(&self) -> Environment {
        self.shared.environment
    }

    /// The control database, for reading. Write inside [`RunContext::transaction`]: only there the fence holds.
    pub fn db(&self) -> &PgPool {
        &self.shared.db
    }

    /// Now.
    pub fn now(&self) -> OffsetDateTime {
        self.shared.clock.now()
    }

    /// A key for the outside that is the same on every attempt: with it the outside can recognise a repeated wish,
    /// and `happened` can ask for it. The same in `run` and in `undo`.
    pub fn step_key(&self, name: &str) -> Uuid {
        named_uuid(&format!("{}/{name}", self.operation()))
    }

    /// Resolves when a cancel is asked for; for `tokio::select!` in a long step. Never resolves while undoing.
    pub fn cancelled(&self) -> WaitForCancellationFutureOwned {
        match self.undoing {
            None => self.shared.cancel.clone().cancelled_owned(),
            Some(_) => CancellationToken::new().cancelled_owned(),
        }
    }

    /// Asks the database whether a cancel was asked for, and whether this worker still holds the operation. Every
    /// step begins with one; a long step calls it in its loop.
    ///
    /// # Errors
    /// `Cancelled` or `Lost`: return it with `?`.
    pub async fn checkpoint(&self) -> Result<(), StepFailure> {
        let shared = &self.shared;
        let cancel = self
            .durable(|| Box::pin(steps::check(&shared.db, &shared.fence)))
            .await?;
        if cancel {
            shared.cancel.cancel();
        }
        self.refuse_when_cancelled()
    }

    /// Sleeps; a cancel or the loss of the lease wakes it.
    ///
    /// # Errors
    /// `Cancelled` or `Lost`.
    pub async fn sleep(&self, duration: Duration) -> Result<(), StepFailure> {
        tokio::select! {
            () = self.shared.lost.cancelled() => Err(StepFailure::Lost),
            () = self.cancelled() => Err(StepFailure::Cancelled),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    /// Tells the readers how far the step is, from 0 to 1. Calls within 100 ms of each other are left out.
    ///
    /// # Errors
    /// `Lost` only: a progress that could not be written stops nothing.
    pub async fn progress(&self, fraction: f32, text: Text) -> Result<(), StepFailure> {
        {
            let mut steps = self.shared.steps.lock().unwrap_or_else(PoisonError::into_inner);
            if fraction < 1.0
                && steps
                    .last_progress
                    .is_some_and(|at| at.elapsed() < Duration::from_millis(100))
            {
                return Ok(());
            }
            steps.last_progress = Some(Instant::now());
        }
        let shared = &self.shared;
        let fraction = if fraction.is_finite() {
            fraction.clamp(0.0, 1.0)
        } else {
            0.0
        };
        match steps::progress(&shared.db, &shared.at(), fraction, &text, shared.clock.now()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.lose()),
            Err(error) => {
                tracing::warn!(operation = %self.operation(), error = &error as &dyn std::error::Error,
                    "progress was not written");
                Ok(())
            }
        }
    }

    /// A step whose work is rows in the control database: they and the memo commit together, only while this worker
    /// holds the lease. `body` runs again when the transaction fails in passing.
    ///
    /// ```ignore
    /// let rows: i64 = cx.transaction("mark", |mut db| Box::pin(async move {
    ///     Ok(store::mark(&mut db, id).await?)
    /// })).await?;
    /// ```
    ///
    /// # Errors
    /// What `body` returned, or why the engine stops here; hand it on with `?`.
    pub async fn transaction<'a, T, F>(&self, name: &str, mut body: F) -> Result<T, StepFailure>
    where
        T: Serialize + DeserializeOwned + Send,
        F: for<'c> FnMut(StepDb<'c, 'a>) -> BoxFuture<'c, Result<T, StepFailure>> + Send,
    {
        let name = self.full_name(name);
        if let Some(memo) = self.remembered(&name)? {
            return Ok(memo);
        }
        self.start(&name, StepKind::Transaction).await?;
        let begun = Instant::now();
        let mut tries = 0;
        let ended = loop {
            let ended = self.try_transaction(&name, &mut body).await;
            let Err(StepFailure::Transient(why)) = ended else {
                break ended;
            };
            if tries >= self.shared.retry.times {
                break Err(StepFailure::Failed(why));
            }
            self.pause(&name, tries, &why).await?;
            tries += 1;
        };
        self.ended(&name, begun, ended).await
    }

    async fn try_transaction<'a, T, F>(&self, name: &str, body: &mut F) -> Result<T, StepFailure>
    where
        T: Serialize + DeserializeOwned + Send,
        F: for<'c> FnMut(StepDb<'c, 'a>) -> BoxFuture<'c, Result<T, StepFailure>> + Send,
    {
        let shared = &self.shared;
        let mut tx = shared.db.begin().await?;
        // From here to the commit no other worker can claim the operation: it would have to lock this row.
        if steps::hold(&mut tx, &shared.fence).await?.is_none() {
            return Err(self.lose());
        }
        // A commit whose answer was lost may have happened after all.
        if let Some(memo) = steps::memo(&mut tx, shared.fence.operation, name).await? {
            return self.read_memo(name, memo);
        }
        let value = body(StepDb {
            connection: &mut tx,
            around: PhantomData,
        })
        .await?;
        self.point(name, Moment::Acted)?;
        let memo = to_memo(&value)?;
        steps::remember(&mut tx, &shared.at(), name, &memo, shared.clock.now()).await?;
        tx.commit().await?;
        Ok(value)
    }

    /// A step with an effect outside the control database. It is written down as started first; when a worker finds
    /// it started but not remembered, or the last try failed in passing, it asks `happened` before it acts again.
    ///
    /// `happened` returns what the effect gave when it has happened, `None` when it surely has not. Give the outside
    /// [`RunContext::step_key`] where it takes one: a stale worker may still be acting while `happened` is asked.
    ///
    /// # Errors
    /// What `happened` or `act` returned, or why the engine stops here; hand it on with `?`.
    pub async fn effect<T, H, HF, A, AF>(
        &self,
        name: &str,
        mut happened: H,
        mut act: A,
    ) -> Result<T, StepFailure>
    where
        T: Serialize + DeserializeOwned + Send,
        H: FnMut() -> HF + Send,
        HF: Future<Output = Result<Option<T>, StepFailure>> + Send,
        A: FnMut() -> AF + Send,
        AF: Future<Output = Result<T, StepFailure>> + Send,
    {
        let name = self.full_name(name);
        if let Some(memo) = self.remembered(&name)? {
            return Ok(memo);
        }
        let mut ask = self.is_known(&name);
        self.start(&name, StepKind::Effect).await?;
        let begun = Instant::now();
        let mut tries = 0;
        let ended = loop {
            let ended = match if ask { happened().await } else { Ok(None) } {
                Ok(Some(value)) => Ok(value),
                Ok(None) => act().await,
                Err(failure) => Err(failure),
            };
            let Err(StepFailure::Transient(why)) = ended else {
                break ended;
            };
            if tries >= self.shared.retry.times {
                break Err(StepFailure::Failed(why));
            }
            self.pause(&name, tries, &why).await?;
            tries += 1;
            ask = true;
        };
        let ended = match ended {
            Ok(value) => {
                self.point(&name, Moment::Acted)?;
                let memo = to_memo(&value)?;
                let (shared, step) = (&self.shared, name.as_str());
                self.durable(|| {
                    let memo = memo.clone();
                    Box::pin(async move {
                        steps::remember_outside(&shared.db, &shared.at(), step, &memo, shared.clock.now())
                            .await
                    })
                })
                .await?;
                Ok(value)
            }
            Err(failure) => Err(failure),
        };
        self.ended(&name, begun, ended).await
    }

    /// Writes a step down as started. Fenced, and a checkpoint.
    async fn start(&self, name: &str, kind: StepKind) -> Result<(), StepFailure> {
        self.refuse_when_cancelled()?;
        self.point(name, Moment::BeforeStep)?;
        let kind = if self.undoing.is_some() {
            StepKind::Undo
        } else {
            kind
        };
        let shared = &self.shared;
        let cancel = self
            .durable(|| {
                Box::pin(async {
                    let checked = self.undoing.is_none();
                    steps::start(&shared.db, &shared.at(), name, kind, checked, shared.clock.now()).await
                })
            })
            .await?;
        if cancel && self.undoing.is_none() {
            shared.cancel.cancel();
            return Err(StepFailure::Cancelled);
        }
        let step = StoredStep {
            name: name.to_owned(),
            kind,
            state: StepState::Started,
            memo: None,
        };
        self.remember_here(step);
        self.point(name, Moment::Started)
    }

    /// What follows the end of a step: the memo here, or the failure in its row.
    async fn ended<T: Serialize>(
        &self,
        name: &str,
        begun: Instant,
        ended: Result<T, StepFailure>,
    ) -> Result<T, StepFailure> {
        let labels = [
            ("kind", self.shared.kind.clone()),
            ("step", names::base_name(name).to_owned()),
        ];
        metrics::histogram!("bagua_operation_step_seconds", &labels).record(begun.elapsed());
        match ended {
            Ok(value) => {
                let kind = if self.undoing.is_some() {
                    StepKind::Undo
                } else {
                    StepKind::Effect
                };
                let memo = Some(to_memo(&value)?);
                self.remember_here(StoredStep {
                    name: name.to_owned(),
                    kind,
                    state: StepState::Done,
                    memo,
                });
                self.point(name, Moment::Remembered)?;
                Ok(value)
            }
            Err(StepFailure::Failed(why)) => {
                let shared = &self.shared;
                self.durable(|| {
                    Box::pin(async {
                        steps::fail(&shared.db, &shared.at(), name, &why, shared.clock.now()).await
                    })
                })
                .await?;
                Err(StepFailure::Failed(why))
            }
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn pause(&self, name: &str, tries: u32, why: &Text) -> Result<(), StepFailure> {
        tracing::info!(operation = %self.operation(), step = name, tries, why = %why, "a step will be tried again");
        self.sleep(self.shared.retry.pause(tries, self.operation())).await
    }

    /// Writes until it is written: the database may restart in between. `None` from the write means that another
    /// worker holds the operation.
    pub(crate) async fn durable<'s, T>(
        &'s self,
        mut write: impl FnMut() -> BoxFuture<'s, Result<Option<T>, sqlx::Error>>,
    ) -> Result<T, StepFailure> {
        let mut tries = 0;
        loop {
            match write().await {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => return Err(self.lose()),
                Err(error) if db::is_transient(&error) && tries < self.shared.retry.times => {
                    tokio::select! {
                        () = self.shared.lost.cancelled() => return Err(StepFailure::Lost),
                        () = tokio::time::sleep(self.shared.retry.pause(tries, self.operation())) => tries += 1,
                    }
                }
                Err(error) => {
                    // The lease runs out and the next worker resumes here.
                    tracing::error!(operation = %self.operation(), error = &error as &dyn std::error::Error,
                        "the engine could not write; the operation is left to the next worker");
                    return Err(self.lose());
                }
            }
        }
    }

    fn lose(&self) -> StepFailure {
        self.shared.lost.cancel();
        StepFailure::Lost
    }

    fn refuse_when_cancelled(&self) -> Result<(), StepFailure> {
        if self.shared.lost.is_cancelled() {
            return Err(StepFailure::Lost);
        }
        if self.undoing.is_none() && self.shared.cancel.is_cancelled() {
            return Err(StepFailure::Cancelled);
        }
        Ok(())
    }

    pub(crate) fn point(&self, step: &str, moment: Moment) -> Result<(), StepFailure> {
        let Some(probe) = &self.shared.probe else {
            return Ok(());
        };
        let point = Point {
            operation: self.operation(),
            kind: self.shared.kind.clone(),
            attempt: self.attempt(),
            step: step.to_owned(),
            moment,
        };
        match probe(&point) {
            Fate::GoOn => Ok(()),
            Fate::Vanish => Err(self.lose()),
            Fate::Fail => Err(StepFailure::failed(format!(
                "made to fail at {moment:?} of `{step}`"
            ))),
        }
    }

    /// Undo has names of its own, so that its steps are remembered beside those of the run.
    fn full_name(&self, name: &str) -> String {
        match &self.undoing {
            None => name.to_owned(),
            Some(step) => format!("undo:{step}:{name}"),
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.shared
            .steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .known
            .contains_key(name)
    }

    fn remember_here(&self, step: StoredStep) {
        self.shared
            .steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .known
            .insert(step.name.clone(), step);
    }

    fn remembered<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StepFailure> {
        let memo = {
            let steps = self.shared.steps.lock().unwrap_or_else(PoisonError::into_inner);
            match steps.known.get(name) {
                Some(step) if step.state == StepState::Done => step.memo.clone().unwrap_or(Value::Null),
                _ => return Ok(None),
            }
        };
        self.read_memo(name, memo).map(Some)
    }

    fn read_memo<T: DeserializeOwned>(&self, name: &str, memo: Value) -> Result<T, StepFailure> {
        serde_json::from_value(memo).map_err(|error| {
            tracing::error!(operation = %self.operation(), step = name, %error, "a memo cannot be read");
            StepFailure::NeedsOperator(Text::new(keys::CORE_MEMO_UNREADABLE).with("step", step_words(name)))
        })
    }
}

impl Shared {
    pub(crate) fn at(&self) -> steps::At<'_> {
        steps::At {
            fence: &self.fence,
            environment: self.environment,
            region: self.region.as_ref(),
        }
    }
}

fn to_memo<T: Serialize>(value: &T) -> Result<Value, StepFailure> {
    serde_json::to_value(value).map_err(|error| {
        tracing::error!(%error, "a memo cannot be written");
        StepFailure::Failed(db::internal_text())
    })
}
