//! The unprivileged user that the engines run as when we are root. PostgreSQL refuses to run as root.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

use crate::error::StackError;

/// Who a child runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// Name, for messages.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The engines' user: none when we are not root, since then everything runs as ourselves. `cluster` is the folder of
/// the database cluster: whoever owns it already keeps it, since PostgreSQL refuses a folder of somebody else.
pub(crate) fn engine_user(cluster: &Path) -> Result<Option<RunAs>, StackError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let owner = cluster
        .metadata()
        .ok()
        .and_then(|meta| User::from_uid(Uid::from_raw(meta.uid())).ok().flatten());
    let named = ["bagua", "postgres", "nobody"]
        .into_iter()
        .filter_map(|name| User::from_name(name).ok().flatten());
    if let Some(user) = owner.into_iter().chain(named).find(|user| !user.uid.is_root()) {
        return Ok(Some(RunAs {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }));
    }
    Err(StackError::User(
        "PostgreSQL refuses to run as root and there is no user bagua, postgres or nobody. \
         Make one: useradd --system --no-create-home bagua"
            .to_owned(),
    ))
}

/// Whether `user` may pass through every folder above and including `path`; the first that it may not is named.
pub(crate) fn check_reach(user: &RunAs, path: &Path) -> Result<(), StackError> {
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    for folder in above {
        let Ok(meta) = folder.metadata() else { continue };
        let mode = meta.permissions().mode();
        let passable = if meta.uid() == user.uid {
            mode & 0o100 != 0
        } else if meta.gid() == user.gid {
            mode & 0o010 != 0
        } else {
            mode & 0o001 != 0
        };
        if !passable {
            return Err(StackError::User(format!(
                "The engines run as `{}`, who may not enter {}. Choose a folder with --data that everybody may pass \
                 through, such as /var/lib/bagua, or allow it: chmod o+x {}",
                user.name,
                folder.display(),
                folder.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_closed_folder_on_the_way_is_named() -> anyhow::Result<()> {
        let temporary = tempfile::tempdir()?;
        let closed = temporary.path().join("closed");
        let inside = closed.join("data");
        fs::create_dir_all(&inside)?;
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
        let stranger = RunAs {
            name: "stranger".into(),
            uid: 4_000_000,
            gid: 4_000_000,
        };
        let message = check_reach(&stranger, &inside)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            message.contains("closed") && message.contains("chmod o+x"),
            "{message}"
        );
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711))?;
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o711))?;
        check_reach(&stranger, &inside)?;
        Ok(())
    }
}
