//! One supervisor per data folder.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::StackError;
use crate::layout::Layout;

/// What the lock file says about its holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    since: String,
    port: u16,
}

/// Held as long as this value lives; the system lets go when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: Flock<File>,
    /// The last holder did not go in order: its children may still be going down.
    pub(crate) after_crash: bool,
}

impl FolderLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(layout: &Layout) -> Result<Self, StackError> {
        let path = layout.path("lock");
        let fail = |source| StackError::file("Locking", &path, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(fail)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                let mut present = String::new();
                file.read_to_string(&mut present).map_err(fail)?;
                let holder = Holder {
                    pid: std::process::id(),
                    since: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
                    port: layout.port,
                };
                let text = serde_json::to_string(&holder).map_err(|error| fail(error.into()))?;
                file.set_len(0).and_then(|()| file.rewind()).map_err(fail)?;
                file.write_all(text.as_bytes()).map_err(fail)?;
                Ok(Self {
                    file,
                    after_crash: !present.trim().is_empty(),
                })
            }
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => Err(Self::held(layout, file)),
            Err((_, error)) => Err(fail(error.into())),
        }
    }

    /// Whether somebody holds it now, without taking it.
    pub(crate) fn holder(layout: &Layout) -> Option<StackError> {
        let file = File::open(layout.path("lock")).ok()?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => None,
            Err((file, _)) => Some(Self::held(layout, file)),
        }
    }

    fn held(layout: &Layout, mut file: File) -> StackError {
        let mut text = String::new();
        // The holder may be writing it right now; then the sentence says less.
        let _ = file.read_to_string(&mut text);
        let holder: Option<Holder> = serde_json::from_str(&text).ok();
        let holder = holder.unwrap_or(Holder {
            pid: 0,
            since: "just now".into(),
            port: layout.port,
        });
        StackError::AlreadyRunning {
            data: layout.data.clone(),
            pid: holder.pid,
            since: holder.since,
            url: format!("http://localhost:{}", holder.port),
        }
    }

    /// Lets go in order, which the next start can see.
    pub(crate) fn release(self) {
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(%error, "the lock file could not be emptied; the next start will wait for free ports");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_hears_who_has_it() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let layout = Layout {
            data: folder.path().to_owned(),
            port: 4100,
            regions: vec![],
            demo_bots: true,
        };
        let first = FolderLock::take(&layout)?;
        assert!(!first.after_crash);
        let refused = FolderLock::take(&layout)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        assert!(refused.contains("http://localhost:4100"), "{refused}");
        drop(first);
        assert!(
            FolderLock::take(&layout)?.after_crash,
            "dropped without release looks like a crash"
        );
        let second = FolderLock::take(&layout)?;
        second.release();
        assert!(!FolderLock::take(&layout)?.after_crash);
        Ok(())
    }
}
