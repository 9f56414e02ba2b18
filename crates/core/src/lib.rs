//! The spine: who may do what, the registry of queries and operations, the durable operation engine, schedules, the
//! event log, the live stream and the audit log. The README beside this crate is the one-screen overview.

pub mod actor;
pub mod audit;
pub mod clock;
pub mod console;
pub mod db;
pub mod events;
mod kinds;
pub mod live;
mod loops;
mod plan;
pub mod registry;
pub mod run;
mod schedules;
pub mod sources;
mod store;
mod submit;
pub mod verbs;
pub mod worker;

pub use actor::{Actor, Granted, Through};
pub use clock::Clock;
pub use console::{Console, ConsoleHandle, ConsoleParts};
pub use live::{LiveEvent, LiveHub};
pub use registry::{KindInfo, Registry, Shape, Verb};
pub use run::{RunContext, StepDb, StepFailure};
pub use sources::Sources;
pub use verbs::{Answers, Applies, AskContext, Handles, PlanContext};
pub use worker::{Worker, WorkerSettings};
