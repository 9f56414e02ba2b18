//! What a supervised process is, and signals to it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::user::RunAs;

/// Everything that is needed to run one component.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// Region, or `global`.
    pub region: String,
    /// What it is.
    pub service: String,
    /// TCP port it listens on.
    pub port: u16,
    /// It may be restarted but not stopped: nobody could start it again from the screen.
    pub critical: bool,
    /// Executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, besides a minimum.
    pub environment: Vec<(String, String)>,
    /// Hand on our own environment as well: our own roles only.
    pub inherit_environment: bool,
    /// Working folder.
    pub folder: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// Who it runs as, when not as ourselves.
    pub run_as: Option<RunAs>,
    /// What it gets when we die.
    pub death_signal: Signal,
    /// What asks it to end.
    pub stop_signal: Signal,
    /// How to see that it answers.
    pub ready: Ready,
    /// Folder of its own data, measured for its metrics.
    pub data: Option<PathBuf>,
    /// Waiting times.
    pub timing: Timing,
}

impl ProcessSpec {
    /// `<region>/<service>`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.region, self.service)
    }
}

/// How to see that a process answers. All checks go to loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It is ready as soon as it runs.
    Spawned,
    /// `GET` of this path answers 200.
    Http(String),
    /// PostgreSQL asks for a password instead of refusing.
    Postgres,
    /// Redis answers `PING` after this password.
    Redis(bagua_model::settings::Secret),
}

/// Waiting times of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// How long it may take to go after being asked, before it is killed.
    pub grace: Duration,
    /// How long it may take to answer after being spawned.
    pub ready_within: Duration,
    /// How often readiness is looked at.
    pub poll: Duration,
    /// Wait after the first crash; doubles with each.
    pub first_wait: Duration,
    /// Longest wait, also the one of a crash loop.
    pub longest_wait: Duration,
    /// A run of this length makes earlier crashes forgotten.
    pub stable_after: Duration,
    /// This many crashes within `loop_window` are a crash loop.
    pub loop_exits: usize,
    /// See `loop_exits`.
    pub loop_window: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(2),
            ready_within: Duration::from_secs(30),
            poll: Duration::from_millis(25),
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(30),
            stable_after: Duration::from_secs(60),
            loop_exits: 5,
            loop_window: Duration::from_secs(60),
        }
    }
}

/// A process id that is not zero and fits the system's type.
pub(crate) fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .map(Pid::from_raw)
}

/// Signals a process that we have not reaped yet, so the id is certainly still its own.
pub(crate) fn signal(number: u32, signal: Signal) {
    if let Some(pid) = pid(number) {
        let _ = kill(pid, signal);
    }
}

/// Signals the process group that the process leads.
pub(crate) fn signal_group(number: u32, signal: Signal) {
    if let Some(pid) = pid(number) {
        let _ = killpg(pid, signal);
    }
}

/// A process in a tree, recognisable even when its id is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: u32,
    started: u64,
}

impl Member {
    /// Whether this very process still runs (a zombie does not).
    pub(crate) fn lives(self) -> bool {
        crate::measure::stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }
}

/// The processes below `root`, without itself. PostgreSQL's have sessions of their own, so a group is not enough.
pub(crate) fn descendants(root: u32) -> Vec<Member> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if let Some(stat) = crate::measure::stat(pid) {
            all.push((
                stat.parent,
                Member {
                    pid,
                    started: stat.started,
                },
            ));
        }
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for (_, member) in all.iter().filter(|(of, _)| *of == parent) {
            found.push(*member);
            open.push(member.pid);
        }
    }
    found
}
