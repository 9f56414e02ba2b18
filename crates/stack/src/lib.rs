//! One-machine mode: private copies of the engines and our own roles, as supervised child processes.
//!
//! [`up`] is the whole of `bagua up`. It locks the data folder, checks the machine, writes every configuration,
//! starts everything in order and looks after it until it is told to stop. See this crate's README for the parts.

mod api;
mod backoff;
mod check;
mod doctor;
mod engines;
mod error;
mod files;
mod layout;
mod lock;
mod logs;
mod measure;
mod metrics;
mod options;
mod orchestra;
mod ports;
mod process;
mod provision;
mod ready;
mod render;
mod secrets;
mod spawner;
mod specs;
mod state;
mod supervisor;
mod up;
mod user;
mod worker;

pub use doctor::{Check, Verdict, doctor};
pub use error::StackError;
pub use layout::{Layout, default_data_folder};
pub use options::UpOptions;
pub use process::{ProcessSpec, Ready, Timing};
pub use spawner::Spawner;
pub use state::StateFile;
pub use supervisor::Supervisor;
pub use up::up;
pub use user::RunAs;

/// The control interface and the metrics page, for tests and for other ways to wire the supervisor.
pub mod serve {
    pub use crate::api::router as control_router;
    pub use crate::metrics::router as metrics_router;
}
