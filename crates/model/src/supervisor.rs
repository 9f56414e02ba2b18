//! What the process supervisor says and is asked over its Unix socket (HTTP, JSON).
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /components` | `200` list of [`ComponentStatus`] |
//! | `GET /components/{region}/{service}` | `200` [`ComponentStatus`], `404` [`Refusal`] |
//! | `POST /components/{region}/{service}/{start,stop,restart}` with [`ControlRequest`] | `200` or `202` [`RequestStatus`], `404`, `409` or `422` [`Refusal`] |
//! | `GET /requests/{id}` | `200` [`RequestStatus`], `404` when it was never received |
//!
//! A request id is remembered, also over a restart of the supervisor: sending the same one again does nothing
//! and answers what became of it. Whoever repeats a step after a crash therefore sends the same id.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// One supervised process as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// `<region>/<service>`.
    pub component: String,
    /// Region identifier, or `global`.
    pub region: String,
    /// What it is, such as `gateway`.
    pub service: String,
    /// What it does now.
    pub state: ProcessState,
    /// What was asked of it last; survives a restart of the supervisor.
    pub desired: Desired,
    /// Process id while there is a process.
    pub pid: Option<u32>,
    /// Since when it is in this state.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// How often it was spawned again since the supervisor started, on purpose or not.
    pub restarts: u64,
    /// How often it ended by itself since the supervisor started.
    pub crashes: u64,
    /// How its last process ended.
    pub last_exit: Option<LastExit>,
    /// When it will be tried again, while it is backing off or crash looping.
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_start: Option<OffsetDateTime>,
    /// TCP port it listens on.
    pub port: u16,
    /// Grows by one with each spawn: two readings that differ saw two different processes.
    pub generation: u64,
    /// The console cannot work without it.
    pub critical: bool,
    /// Processor time of its process tree so far, in seconds; absent while there is no process.
    pub cpu_seconds: Option<f64>,
    /// Resident memory of its process tree in bytes; absent while there is no process.
    pub memory_bytes: Option<u64>,
}

/// What a supervised process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// Spawned, not yet answering.
    Starting,
    /// Answered its readiness check once since it was spawned. Whether it still does is Prometheus's to say.
    Running,
    /// Told to end, not yet gone.
    Stopping,
    /// Not running, on purpose.
    Stopped,
    /// Ended by itself; will be started again soon.
    BackingOff,
    /// Ended by itself again and again; still tried, slowly.
    CrashLooping,
}

impl ProcessState {
    /// Every state, in the order a process usually meets them.
    pub const ALL: [Self; 6] = [
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::BackingOff,
        Self::CrashLooping,
    ];

    /// The name on the wire and in the `state` label of `component_state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::BackingOff => "backing_off",
            Self::CrashLooping => "crash_looping",
        }
    }
}

/// What a supervised process should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Run, and come back after a crash.
    Running,
    /// Stay away, also over a restart of the supervisor.
    Stopped,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// Exit code, when it ended by itself.
    pub code: Option<i32>,
    /// Signal number, when a signal ended it.
    pub signal: Option<i32>,
    /// Whether the supervisor had told it to end.
    pub asked: bool,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// What can be asked of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Run it; done at once when it runs already.
    Start,
    /// End it and keep it ended; done at once when it is ended already.
    Stop,
    /// End the present process, whatever it does, and run a new one.
    Restart,
}

impl Action {
    /// The last part of the URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// Body of a `POST`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// Identifies this wish; the same id again does nothing new.
    pub request: Uuid,
    /// Refuse (`409`) unless the component is still at this generation: somebody else may have restarted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_generation: Option<u64>,
    /// Answer at once with `202` instead of waiting for the end.
    #[serde(default)]
    pub no_wait: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestStatus {
    /// Its id.
    pub request: Uuid,
    /// `<region>/<service>`.
    pub component: String,
    /// What was asked.
    pub action: Action,
    /// How far it is.
    pub outcome: RequestOutcome,
    /// When it was received.
    #[serde(with = "time::serde::rfc3339")]
    pub received: OffsetDateTime,
    /// Generation before it.
    pub generation_before: u64,
    /// Generation after it, once it is done.
    pub generation_after: Option<u64>,
    /// Process id that was removed by it, if any.
    pub removed_pid: Option<u32>,
    /// The old process did not end when asked and was killed.
    pub killed: bool,
    /// What went wrong, in one sentence, when it failed.
    pub failure: Option<String>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// Under way.
    Pending,
    /// Done; the component is as asked.
    Done,
    /// Given up, see [`RequestStatus::failure`].
    Failed,
}

/// A request that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, for a program.
    pub reason: RefusalReason,
    /// Why and what to do, in one sentence.
    pub message: String,
    /// The generation it really is at, with [`RefusalReason::GenerationChanged`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// Why a request changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// There is no such component.
    UnknownComponent,
    /// There was no such request.
    UnknownRequest,
    /// Somebody restarted the component in between.
    GenerationChanged,
    /// Another request for the same component is under way.
    Busy,
    /// The same id was used before for something else.
    RequestReused,
    /// It cannot be stopped from the console, because nobody could start it again from there.
    Critical,
    /// The whole stack is going down.
    ShuttingDown,
    /// The body or path could not be read.
    Malformed,
}
