//! Log files that do not grow without end.
//!
//! Children write to their file directly, so that their last words survive whatever happens to us, and so that a slow
//! reader never blocks them. The price: a file is cut by copying it and emptying it, and lines written in between are lost.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A log is cut when it is larger than this; one older copy is kept.
const LARGEST: u64 = 16 * 1024 * 1024;
const EVERY: Duration = Duration::from_secs(10);

/// Cuts what has grown too large, for ever.
pub(crate) async fn keep_small(folder: PathBuf) {
    loop {
        let here = folder.clone();
        let _ = tokio::task::spawn_blocking(move || cut_all(&here, LARGEST)).await;
        tokio::time::sleep(EVERY).await;
    }
}

fn cut_all(folder: &Path, largest: u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let large = entry
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() > largest);
        if large
            && path.extension().is_some_and(|extension| extension == "log")
            && let Err(error) = cut(&path)
        {
            tracing::warn!(%error, path = %path.display(), "a log file could not be cut");
        }
    }
}

fn cut(path: &Path) -> io::Result<()> {
    fs::copy(path, path.with_extension("log.1"))?;
    // Writers append, so they go on at the new end.
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_large_log_is_cut_and_its_writer_goes_on_at_the_start() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.log");
        let mut writer = OpenOptions::new().append(true).create(true).open(&path)?;
        writer.write_all(&[b'a'; 100])?;
        cut_all(folder.path(), 1000);
        assert_eq!(fs::metadata(&path)?.len(), 100, "a small log stays");
        cut_all(folder.path(), 99);
        writer.write_all(b"later")?;
        assert_eq!(fs::read_to_string(&path)?, "later");
        assert_eq!(fs::metadata(folder.path().join("x.log.1"))?.len(), 100);
        Ok(())
    }
}
