//! The task that looks after one component: spawns it, watches it, brings it back, gets rid of it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bagua_model::supervisor::{Action, Desired, LastExit, ProcessState, RequestOutcome};
use nix::sys::signal::Signal;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::files;
use crate::process::{self, ProcessSpec};
use crate::ready;
use crate::spawner::{Spawned, Spawner};
use crate::state::StateFile;

/// How long a child may take to go once somebody is in a hurry.
const HASTY_GRACE: Duration = Duration::from_millis(300);
/// How long the rest of a tree may take to notice that its head has gone.
const TREE_GRACE: Duration = Duration::from_secs(1);

/// What a worker can be told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start if it should run; used once, when its turn has come.
    Launch,
    /// A request that has been written down.
    Act { request: Uuid, action: Action },
    /// End the process and this task, without changing what is wished.
    ShutDown { done: oneshot::Sender<()> },
}

/// What a component does now, for readers.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) state: ProcessState,
    pub(crate) pid: Option<u32>,
    pub(crate) since: OffsetDateTime,
    pub(crate) spawns: u64,
    pub(crate) crashes: u64,
    pub(crate) last_exit: Option<LastExit>,
    pub(crate) next_start: Option<OffsetDateTime>,
    pub(crate) generation: u64,
    /// The present process has answered.
    pub(crate) answered: bool,
}

impl Live {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            state: ProcessState::Stopped,
            pid: None,
            since: OffsetDateTime::now_utc(),
            spawns: 0,
            crashes: 0,
            last_exit: None,
            next_start: None,
            generation,
            answered: false,
        }
    }
}

/// Where the process is.
#[derive(Debug)]
enum Phase {
    Down,
    /// Crashed; tried again at this time.
    Waiting(Instant),
    Up(Run),
}

#[derive(Debug)]
struct Run {
    child: Spawned,
    spawned: Instant,
    answered: bool,
}

/// What woke the worker.
enum Wake {
    Command(Command),
    TimeToStart,
    Ended,
    Answered,
    /// The time for answering is over.
    Late,
    Stable,
    /// Nobody can send commands any more.
    Abandoned,
}

pub(crate) struct Worker {
    pub(crate) spec: ProcessSpec,
    pub(crate) spawner: Spawner,
    pub(crate) state: Arc<StateFile>,
    pub(crate) live: watch::Sender<Live>,
    pub(crate) inbox: mpsc::UnboundedReceiver<Command>,
    /// True once somebody is in a hurry.
    pub(crate) haste: watch::Receiver<bool>,
    pub(crate) backoff: Backoff,
    /// The request that waits for the present process to answer.
    pub(crate) waiting: Option<Uuid>,
}

impl Worker {
    /// Runs until told to shut down.
    pub(crate) async fn run(mut self) {
        let mut phase = Phase::Down;
        loop {
            phase = match self.wake(&mut phase).await {
                Wake::Command(Command::Launch) => match (phase, self.state.desired(&self.spec.id())) {
                    (Phase::Down, Desired::Running) => self.spawn().await,
                    (other, _) => other,
                },
                Wake::Command(Command::Act { request, action }) => self.act(phase, request, action).await,
                Wake::Command(Command::ShutDown { done }) => {
                    self.stop(phase).await;
                    let _ = done.send(());
                    return;
                }
                Wake::Abandoned => {
                    self.stop(phase).await;
                    return;
                }
                Wake::TimeToStart => self.spawn().await,
                Wake::Ended => self.ended(phase),
                Wake::Answered => self.answered(phase),
                Wake::Late => {
                    self.fail(&format!(
                        "the new process did not answer within {} s; see {}",
                        self.spec.timing.ready_within.as_secs(),
                        self.spec.log.display()
                    ));
                    phase
                }
                Wake::Stable => {
                    self.backoff.forget();
                    self.show(|live| live.state = ProcessState::Running);
                    phase
                }
            };
        }
    }

    async fn wake(&mut self, phase: &mut Phase) -> Wake {
        let timing = &self.spec.timing;
        let command = async {
            match self.inbox.recv().await {
                Some(command) => Wake::Command(command),
                None => Wake::Abandoned,
            }
        };
        match phase {
            Phase::Down => command.await,
            Phase::Waiting(until) => tokio::select! {
                wake = command => wake,
                () = sleep_until(*until) => Wake::TimeToStart,
            },
            Phase::Up(run) if !run.answered => tokio::select! {
                wake = command => wake,
                _ = &mut run.child.ended => Wake::Ended,
                () = until_answer(&self.spec) => Wake::Answered,
                () = sleep_until(run.spawned + timing.ready_within), if self.waiting.is_some() => Wake::Late,
            },
            Phase::Up(run) => tokio::select! {
                wake = command => wake,
                _ = &mut run.child.ended => Wake::Ended,
                () = sleep_until(run.spawned + timing.stable_after), if self.backoff.is_looping() => Wake::Stable,
            },
        }
    }

    async fn act(&mut self, phase: Phase, request: Uuid, action: Action) -> Phase {
        self.backoff.forget();
        match (action, phase) {
            (Action::Start, Phase::Up(run)) => {
                self.waiting = Some(request);
                if run.answered {
                    self.succeed();
                }
                Phase::Up(run)
            }
            (Action::Stop, phase) => {
                let (pid, killed) = self.stop(phase).await;
                self.note_removed(request, pid, killed);
                self.waiting = Some(request);
                self.succeed();
                Phase::Down
            }
            (Action::Start | Action::Restart, phase) => {
                let (pid, killed) = self.stop(phase).await;
                self.note_removed(request, pid, killed);
                self.waiting = Some(request);
                self.spawn().await
            }
        }
    }

    async fn spawn(&mut self) -> Phase {
        let id = self.spec.id();
        let generation = self.state.next_generation(&id);
        let spawned = self.spawner.spawn(self.spec.clone()).await;
        let looping = self.backoff.is_looping();
        match spawned {
            Ok(child) => {
                let pid = child.pid();
                tracing::info!(component = %id, pid, generation, "component.spawned");
                self.show(|live| {
                    // A loop stays visible until a process has lasted, however often it is tried.
                    live.state = if looping {
                        ProcessState::CrashLooping
                    } else {
                        ProcessState::Starting
                    };
                    live.pid = Some(pid);
                    live.spawns += 1;
                    live.generation = generation;
                    live.next_start = None;
                    live.answered = false;
                });
                Phase::Up(Run {
                    child,
                    spawned: Instant::now(),
                    answered: false,
                })
            }
            Err(error) => {
                tracing::error!(component = %id, %error, program = %self.spec.program.display(), "component.spawn_failed");
                self.fail(&format!(
                    "{} could not be started: {error}",
                    self.spec.program.display()
                ));
                self.show(|live| {
                    live.generation = generation;
                    live.spawns += 1;
                });
                self.back_off(Duration::ZERO)
            }
        }
    }

    fn answered(&mut self, phase: Phase) -> Phase {
        let looping = self.backoff.is_looping();
        self.show(|live| {
            live.answered = true;
            if !looping {
                live.state = ProcessState::Running;
            }
        });
        self.succeed();
        match phase {
            Phase::Up(run) => Phase::Up(Run {
                answered: true,
                ..run
            }),
            other => other,
        }
    }

    /// The process ended although nobody told it to.
    fn ended(&mut self, phase: Phase) -> Phase {
        let Phase::Up(run) = phase else { return phase };
        let ran = run.spawned.elapsed();
        let pid = run.child.pid();
        // Its group may hold children of its own; the id is still taken, since it is not reaped yet.
        process::signal_group(pid, Signal::SIGKILL);
        let status = run.child.reap();
        tracing::warn!(component = %self.spec.id(), pid, %status, "component.crashed");
        self.note_exit(status, false);
        self.show(|live| live.crashes += 1);
        let last = files::tail(&self.spec.log, 1);
        self.fail(&format!("the new process ended by itself ({status}): {last}"));
        self.back_off(ran)
    }

    fn back_off(&mut self, ran: Duration) -> Phase {
        let wait = self
            .backoff
            .crashed(&self.spec.timing, std::time::Instant::now(), ran);
        let looping = self.backoff.is_looping();
        self.show(|live| {
            live.state = if looping {
                ProcessState::CrashLooping
            } else {
                ProcessState::BackingOff
            };
            live.pid = None;
            live.answered = false;
            live.next_start = Some(OffsetDateTime::now_utc() + wait);
        });
        Phase::Waiting(Instant::now() + wait)
    }

    /// Gets rid of the process, whatever it does. Answers its id and whether it had to be killed.
    async fn stop(&mut self, phase: Phase) -> (Option<u32>, bool) {
        let Phase::Up(mut run) = phase else {
            self.show(|live| {
                live.state = ProcessState::Stopped;
                live.next_start = None;
            });
            return (None, false);
        };
        let pid = run.child.pid();
        self.show(|live| live.state = ProcessState::Stopping);
        let tree = process::descendants(pid);
        process::signal(pid, self.spec.stop_signal);
        // A frozen process sees the signal only when it goes on; one that runs does not notice this.
        process::signal_group(pid, Signal::SIGCONT);
        let killed = if self.goes_in_time(&mut run.child).await {
            false
        } else {
            process::signal_group(pid, Signal::SIGKILL);
            process::signal(pid, Signal::SIGKILL);
            let _ = (&mut run.child.ended).await;
            true
        };
        process::signal_group(pid, Signal::SIGKILL);
        let until = Instant::now() + TREE_GRACE;
        while tree.iter().any(|member| member.lives()) && Instant::now() < until {
            sleep(self.spec.timing.poll).await;
        }
        for member in tree.iter().filter(|member| member.lives()) {
            process::signal(member.pid, Signal::SIGKILL);
        }
        let status = run.child.reap();
        tracing::info!(component = %self.spec.id(), pid, %status, killed, "component.stopped");
        self.note_exit(status, true);
        self.show(|live| {
            live.state = ProcessState::Stopped;
            live.pid = None;
            live.answered = false;
        });
        (Some(pid), killed)
    }

    async fn goes_in_time(&mut self, child: &mut Spawned) -> bool {
        let mut haste = self.haste.clone();
        let hurried = async {
            // An error means that nobody can be in a hurry any more: wait the whole grace.
            if haste.wait_for(|hasty| *hasty).await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(HASTY_GRACE).await;
        };
        tokio::select! {
            ended = timeout(self.spec.timing.grace, &mut child.ended) => ended.is_ok(),
            () = hurried => false,
        }
    }

    fn show(&self, change: impl FnOnce(&mut Live)) {
        self.live.send_modify(|live| {
            let before = live.state;
            change(live);
            if live.state != before {
                live.since = OffsetDateTime::now_utc();
            }
        });
    }

    fn note_exit(&self, status: ExitStatus, asked: bool) {
        self.show(|live| {
            live.last_exit = Some(LastExit {
                code: status.code(),
                signal: status.signal(),
                asked,
                at: OffsetDateTime::now_utc(),
            });
        });
    }

    fn note_removed(&self, request: Uuid, pid: Option<u32>, killed: bool) {
        self.state.update(request, |status| {
            status.removed_pid = pid;
            status.killed = killed;
        });
    }

    fn succeed(&mut self) {
        let generation = self.live.borrow().generation;
        if let Some(request) = self.waiting.take() {
            self.state.update(request, |status| {
                status.outcome = RequestOutcome::Done;
                status.generation_after = Some(generation);
            });
        }
    }

    fn fail(&mut self, why: &str) {
        let generation = self.live.borrow().generation;
        if let Some(request) = self.waiting.take() {
            self.state.update(request, |status| {
                status.outcome = RequestOutcome::Failed;
                status.generation_after = Some(generation);
                status.failure = Some(why.to_owned());
            });
        }
    }
}

async fn until_answer(spec: &ProcessSpec) {
    while !ready::look(&spec.ready, spec.port).await {
        sleep(spec.timing.poll).await;
    }
}
