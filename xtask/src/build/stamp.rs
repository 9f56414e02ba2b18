//! Tells cheaply whether a set of files is the one of last time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};

/// Path, length and modification time of each file, as text.
pub fn of_files(files: &[PathBuf]) -> Result<String> {
    let mut stamp = String::new();
    for file in files {
        let meta = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
        let modified = meta
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        stamp.push_str(&format!("{} {} {}\n", file.display(), meta.len(), modified));
    }
    Ok(stamp)
}

/// Whether the stamp in `file` is this one.
pub fn matches(file: &Path, stamp: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|last| last == stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_changes_the_stamp() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a");
        let kept = folder.path().join("stamp");
        fs::write(&file, "one")?;
        let first = of_files(std::slice::from_ref(&file))?;
        assert!(!matches(&kept, &first), "nothing is remembered yet");
        fs::write(&kept, &first)?;
        assert!(matches(&kept, &of_files(std::slice::from_ref(&file))?));
        fs::write(&file, "longer")?;
        assert!(!matches(&kept, &of_files(std::slice::from_ref(&file))?));
        Ok(())
    }
}
