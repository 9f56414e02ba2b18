//! What can keep the stack from starting. Each sentence says what happened and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why one-machine mode cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Another supervisor has the data folder.
    #[error(
        "Bagua runs already on {}: process {pid} since {since}, at {url}. Use that one, end it with `kill {pid}`, or choose another folder with --data.",
        data.display()
    )]
    AlreadyRunning {
        /// The folder.
        data: PathBuf,
        /// Its process id.
        pid: u32,
        /// When it started, RFC 3339.
        since: String,
        /// Where its console is.
        url: String,
    },
    /// A folder or file cannot be used.
    #[error("{action} {} failed: {source}. {remedy}", path.display())]
    File {
        /// What was tried, such as `Writing`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
        /// What to do.
        remedy: String,
    },
    /// A value that was given cannot be used.
    #[error("{0}")]
    BadOption(String),
    /// Ports are taken.
    #[error(
        "{taken}. Choose another base port with --port (or BAGUA_PORT){suggestion}, or end what uses it."
    )]
    PortTaken {
        /// Which ports, by whom.
        taken: String,
        /// A base port whose whole range is free, as ` for example --port 4000`.
        suggestion: String,
    },
    /// An engine is missing or too old.
    #[error("{0}")]
    Engine(String),
    /// The engines' user cannot reach the data folder, or there is no such user.
    #[error("{0}")]
    User(String),
    /// A configuration that we generated, or the operator's rule file, is refused by its engine.
    #[error("{tool} refuses {}: {output}", path.display())]
    Refused {
        /// Which program.
        tool: &'static str,
        /// Which file.
        path: PathBuf,
        /// Its own words.
        output: String,
    },
    /// A helper program failed.
    #[error("{what} failed: {output}")]
    Helper {
        /// What was tried.
        what: String,
        /// Its last words.
        output: String,
    },
    /// A component did not become ready.
    #[error("{component} does not start (waited {seconds} s). The last lines of {}:\n{tail}", log.display())]
    NotReady {
        /// Which one.
        component: String,
        /// How long was waited, in seconds.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// The state file is damaged.
    #[error("{} cannot be read: {detail}. Remove the file to start every component.", path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// Why not.
        detail: String,
    },
    /// Told to stop while starting.
    #[error("stopped while starting")]
    Interrupted,
}

impl StackError {
    /// A [`StackError::File`].
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        let remedy = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "Make it writable for this user, or choose another folder with --data (or BAGUA_DATA)."
                    .to_owned()
            }
            io::ErrorKind::StorageFull => "Free some disk space.".to_owned(),
            io::ErrorKind::ReadOnlyFilesystem => {
                "The file system is read-only; choose another folder with --data (or BAGUA_DATA).".to_owned()
            }
            _ => "Choose another folder with --data (or BAGUA_DATA) if this one cannot be used.".to_owned(),
        };
        Self::File {
            action,
            path: path.to_owned(),
            source,
            remedy,
        }
    }
}
