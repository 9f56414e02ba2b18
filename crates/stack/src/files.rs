//! Writing files so that nobody ever reads half of one, and nobody reads what is not theirs.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::Path;

use crate::error::StackError;
use crate::user::RunAs;

/// Makes a folder (and those above it), with this mode and owner.
pub(crate) fn folder(path: &Path, mode: u32, owner: Option<&RunAs>) -> Result<(), StackError> {
    let fail = |source| StackError::file("Making the folder", path, source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(fail)?;
    if let Some(owner) = owner {
        chown(path, Some(owner.uid), Some(owner.gid)).map_err(fail)?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail)
}

/// Replaces a file whole: a reader sees the old or the new one, also over a crash. `group` may read it as well.
pub(crate) fn write(path: &Path, content: &str, mode: u32, group: Option<&RunAs>) -> Result<(), StackError> {
    let fail = |source| StackError::file("Writing", path, source);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let _ = fs::remove_file(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(beside)
        .map_err(fail)?;
    file.write_all(content.as_bytes()).map_err(fail)?;
    if let Some(group) = group {
        std::os::unix::fs::fchown(&file, None, Some(group.gid)).map_err(fail)?;
    }
    file.set_permissions(Permissions::from_mode(mode)).map_err(fail)?;
    fs::rename(beside, path).map_err(fail)
}

/// Writes only when the content differs, so that file watchers are not woken for nothing.
pub(crate) fn write_if_changed(
    path: &Path,
    content: &str,
    mode: u32,
    group: Option<&RunAs>,
) -> Result<bool, StackError> {
    if fs::read_to_string(path).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    write(path, content, mode, group).map(|()| true)
}

/// The last lines of a file, for an error message.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
