//! All components together: what each does, and requests to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bagua_model::supervisor::{
    Action, ComponentStatus, ControlRequest, Desired, ProcessState, Refusal, RefusalReason, RequestOutcome,
    RequestStatus,
};
use time::OffsetDateTime;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::measure::Snapshot;
use crate::process::ProcessSpec;
use crate::spawner::Spawner;
use crate::state::StateFile;
use crate::worker::{Command, Live, Worker};

/// A request whose sender waits is answered after this time even when it is still under way.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Component {
    spec: ProcessSpec,
    commands: mpsc::UnboundedSender<Command>,
    live: watch::Receiver<Live>,
}

/// Looks after every component; one task each.
#[derive(Debug)]
pub struct Supervisor {
    /// In the order in which they were given.
    components: Vec<(String, Component)>,
    state: Arc<StateFile>,
    haste: watch::Sender<bool>,
    shutting_down: AtomicBool,
    /// Checking a request and writing it down is one act.
    gate: Mutex<()>,
}

impl Supervisor {
    /// Makes a task for each component. Nothing is started yet, see [`Supervisor::launch`].
    #[must_use]
    pub fn new(specs: Vec<ProcessSpec>, spawner: &Spawner, state: StateFile) -> Arc<Self> {
        let state = Arc::new(state);
        let haste = watch::Sender::new(false);
        let components = specs
            .into_iter()
            .map(|spec| {
                let id = spec.id();
                let (commands, inbox) = mpsc::unbounded_channel();
                let (live, seen) = watch::channel(Live::new(state.generation(&id)));
                let worker = Worker {
                    spec: spec.clone(),
                    spawner: spawner.clone(),
                    state: Arc::clone(&state),
                    live,
                    inbox,
                    haste: haste.subscribe(),
                    backoff: Backoff::default(),
                    waiting: None,
                };
                tokio::spawn(worker.run());
                (
                    id,
                    Component {
                        spec,
                        commands,
                        live: seen,
                    },
                )
            })
            .collect();
        Arc::new(Self {
            components,
            state,
            haste,
            shutting_down: AtomicBool::new(false),
            gate: Mutex::new(()),
        })
    }

    fn find(&self, id: &str) -> Option<&Component> {
        self.components
            .iter()
            .find(|(name, _)| name == id)
            .map(|(_, component)| component)
    }

    /// Starts a component unless it was stopped on purpose.
    pub fn launch(&self, id: &str) {
        if let Some(component) = self.find(id) {
            let _ = component.commands.send(Command::Launch);
        }
    }

    /// Waits until a component answers, or has been stopped on purpose. `false` when it takes too long or crashes again
    /// and again.
    pub async fn until_ready(&self, id: &str, patience: Duration) -> bool {
        let Some(component) = self.find(id) else {
            return false;
        };
        if self.state.desired(id) == Desired::Stopped {
            return true;
        }
        let mut live = component.live.clone();
        let settled = async {
            let live = live
                .wait_for(|live| live.answered || live.state == ProcessState::CrashLooping)
                .await;
            live.is_ok_and(|live| live.answered)
        };
        tokio::time::timeout(patience, settled).await.unwrap_or(false)
    }

    /// Specifications, in order.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &ProcessSpec> {
        self.components.iter().map(|(_, component)| &component.spec)
    }

    /// Every component now, without the figures of its process.
    #[must_use]
    pub fn statuses(&self) -> Vec<ComponentStatus> {
        self.components
            .iter()
            .map(|(id, component)| self.status_of(id, component))
            .collect()
    }

    /// Every component now, measured.
    pub async fn measured(&self) -> Vec<ComponentStatus> {
        let mut all = self.statuses();
        let snapshot = tokio::task::spawn_blocking(Snapshot::take)
            .await
            .unwrap_or_default();
        for status in &mut all {
            if let Some(usage) = status.pid.and_then(|pid| snapshot.usage(pid)) {
                status.cpu_seconds = Some(usage.cpu_seconds);
                status.memory_bytes = Some(usage.memory_bytes);
            }
        }
        all
    }

    /// One component now.
    #[must_use]
    pub fn status(&self, id: &str) -> Option<ComponentStatus> {
        self.find(id).map(|component| self.status_of(id, component))
    }

    fn status_of(&self, id: &str, component: &Component) -> ComponentStatus {
        let live = component.live.borrow().clone();
        ComponentStatus {
            component: id.to_owned(),
            region: component.spec.region.clone(),
            service: component.spec.service.clone(),
            state: live.state,
            desired: self.state.desired(id),
            pid: live.pid,
            since: live.since,
            restarts: live.spawns.saturating_sub(1),
            crashes: live.crashes,
            last_exit: live.last_exit,
            next_start: live.next_start,
            port: component.spec.port,
            generation: live.generation,
            critical: component.spec.critical,
            cpu_seconds: None,
            memory_bytes: None,
        }
    }

    /// What became of a request.
    #[must_use]
    pub fn request(&self, id: Uuid) -> Option<RequestStatus> {
        self.state.request(id)
    }

    /// Asks something of a component; the same request id again does nothing and answers what became of it.
    ///
    /// # Errors
    /// A [`Refusal`] when nothing was changed.
    pub async fn control(
        &self,
        id: &str,
        action: Action,
        body: &ControlRequest,
    ) -> Result<RequestStatus, Refusal> {
        let gate = self.gate.lock().await;
        if let Some(before) = self.state.request(body.request) {
            drop(gate);
            if before.component != id || before.action != action {
                return Err(refuse(
                    RefusalReason::RequestReused,
                    format!(
                        "request {} was a {} of {} before; use a new id",
                        body.request,
                        before.action.as_str(),
                        before.component
                    ),
                ));
            }
            return Ok(self.wait(before, body.no_wait).await);
        }
        if self.shutting_down.load(Ordering::SeqCst) {
            return Err(refuse(
                RefusalReason::ShuttingDown,
                "the whole stack is going down; start it again with `bagua up`".into(),
            ));
        }
        let Some(component) = self.find(id) else {
            return Err(refuse(
                RefusalReason::UnknownComponent,
                format!("there is no component {id}"),
            ));
        };
        if action == Action::Stop && component.spec.critical {
            return Err(refuse(
                RefusalReason::Critical,
                format!("without {id} nobody could start it again from the console; restart it instead"),
            ));
        }
        let generation = component.live.borrow().generation;
        if body
            .expect_generation
            .is_some_and(|expected| expected != generation)
        {
            return Err(Refusal {
                generation: Some(generation),
                ..refuse(
                    RefusalReason::GenerationChanged,
                    format!(
                        "{id} has been restarted in between and is at generation {generation} now; look again"
                    ),
                )
            });
        }
        if let Some(pending) = self.state.pending(id) {
            return Err(refuse(
                RefusalReason::Busy,
                format!(
                    "a {} of {id} is under way (request {})",
                    pending.action.as_str(),
                    pending.request
                ),
            ));
        }
        let status = RequestStatus {
            request: body.request,
            component: id.to_owned(),
            action,
            outcome: RequestOutcome::Pending,
            received: OffsetDateTime::now_utc(),
            generation_before: generation,
            generation_after: None,
            removed_pid: None,
            killed: false,
            failure: None,
        };
        let desired = if action == Action::Stop {
            Desired::Stopped
        } else {
            Desired::Running
        };
        if let Err(error) = self.state.accept(status.clone(), desired) {
            return Err(refuse(
                RefusalReason::Malformed,
                format!("the request could not be written down: {error}"),
            ));
        }
        tracing::info!(component = id, action = action.as_str(), request = %body.request, "component.requested");
        let _ = component.commands.send(Command::Act {
            request: body.request,
            action,
        });
        drop(gate);
        Ok(self.wait(status, body.no_wait).await)
    }

    async fn wait(&self, status: RequestStatus, no_wait: bool) -> RequestStatus {
        let id = status.request;
        let ended = async {
            let mut changes = self.state.changes();
            loop {
                changes.mark_unchanged();
                match self.state.request(id) {
                    Some(now) if now.outcome != RequestOutcome::Pending => return,
                    _ => {}
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if !no_wait {
            let _ = tokio::time::timeout(LONGEST_ANSWER, ended).await;
        }
        self.state.request(id).unwrap_or(status)
    }

    /// No more requests from now on.
    pub fn close(&self) {
        self.shutting_down.store(true, Ordering::SeqCst);
    }

    /// Ends what still runs quickly from now on.
    pub fn hurry(&self) {
        self.haste.send_replace(true);
    }

    /// Ends these components side by side, without changing what is wished of them.
    pub async fn shut_down(&self, ids: &[String]) {
        let ends = ids.iter().filter_map(|id| self.find(id)).filter_map(|component| {
            let (done, ended) = oneshot::channel();
            component
                .commands
                .send(Command::ShutDown { done })
                .ok()
                .map(|()| ended)
        });
        futures::future::join_all(ends.collect::<Vec<_>>()).await;
    }
}

fn refuse(reason: RefusalReason, message: String) -> Refusal {
    Refusal {
        reason,
        message,
        generation: None,
    }
}
