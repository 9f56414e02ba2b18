//! Passwords and tokens: made once, kept in one file that only the owner reads.

use std::fs;
use std::path::PathBuf;

use bagua_model::settings::Secret;
use rand::RngCore as _;
use rand::distr::{Alphanumeric, SampleString as _};
use serde::{Deserialize, Serialize};

use crate::error::StackError;
use crate::files;
use crate::layout::Layout;

/// The file `<data>/secrets.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    /// Of the cluster's superuser, used for provisioning only.
    pub(crate) postgres_superuser: Secret,
    /// Of `bagua_owner`, which migrates.
    pub(crate) postgres_owner: Secret,
    /// Of `bagua_app`.
    pub(crate) postgres_app: Secret,
    /// Of `bagua_monitor`, which reads statistics.
    pub(crate) postgres_monitor: Secret,
    /// Of Redis.
    pub(crate) redis: Secret,
    /// Bearer token of Alertmanager's webhook.
    pub(crate) webhook_token: Secret,
    /// Bearer token of the console's metrics page.
    pub(crate) metrics_token: Secret,
}

/// 40 letters and digits: about 238 bits, and nothing that a URL, shell or SQL string would have to escape.
fn fresh() -> Secret {
    Secret::new(Alphanumeric.sample_string(&mut rand::rng(), 40))
}

impl Secrets {
    fn generate() -> Self {
        Self {
            postgres_superuser: fresh(),
            postgres_owner: fresh(),
            postgres_app: fresh(),
            postgres_monitor: fresh(),
            redis: fresh(),
            webhook_token: fresh(),
            metrics_token: fresh(),
        }
    }

    /// Reads the file, or makes it on the first start.
    pub(crate) fn load_or_make(layout: &Layout) -> Result<Self, StackError> {
        let path = layout.path("secrets.toml");
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| StackError::State {
                path: path.clone(),
                // toml quotes the faulty line, which may hold a secret.
                detail: error.message().to_owned(),
            }),
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
                let secrets = Self::generate();
                let text = toml::to_string(&secrets).map_err(|error| StackError::State {
                    path: path.clone(),
                    detail: error.to_string(),
                })?;
                files::write(&path, &text, 0o600, None)?;
                // The cluster is about to be made with these; a power cut must not leave it without them.
                fs::File::open(&path)
                    .and_then(|file| file.sync_all())
                    .map_err(|error| StackError::file("Writing", &path, error))?;
                Ok(secrets)
            }
            Err(error) => Err(StackError::file("Reading", &path, error)),
        }
    }
}

/// Where the master key of the key store lies. A file of its own: it is what a backup of the databases must not hold.
pub(crate) fn master_key_file(layout: &Layout) -> PathBuf {
    layout.path("master.key")
}

/// Makes the master key on the first start. It is never made anew beside a key store that is there: whatever is sealed
/// could not be read any more, and nobody would notice before somebody reads.
pub(crate) fn make_master_key(layout: &Layout) -> Result<(), StackError> {
    let path = master_key_file(layout);
    if path.exists() {
        return Ok(());
    }
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let mut digits = String::with_capacity(65);
    for byte in bytes {
        digits.push_str(&format!("{byte:02x}"));
    }
    digits.push('\n');
    files::write(&path, &digits, 0o600, None)?;
    // Keys are about to be wrapped with it; a power cut must not leave them without it.
    fs::File::open(&path)
        .and_then(|file| file.sync_all())
        .map_err(|error| StackError::file("Writing", &path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_stay() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let layout = Layout {
            data: folder.path().to_owned(),
            port: 3000,
            regions: vec![],
            demo_bots: true,
        };
        let first = Secrets::load_or_make(&layout)?;
        assert_eq!(Secrets::load_or_make(&layout)?, first);
        assert_ne!(first.redis, first.metrics_token);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join("secrets.toml"))?
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        Ok(())
    }

    #[test]
    fn the_master_key_is_made_once_and_is_nobody_elses_to_read() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let layout = Layout {
            data: folder.path().to_owned(),
            port: 3000,
            regions: vec![],
            demo_bots: false,
        };
        make_master_key(&layout)?;
        let first = fs::read_to_string(master_key_file(&layout))?;
        assert_eq!(first.trim().len(), 64);
        make_master_key(&layout)?;
        assert_eq!(fs::read_to_string(master_key_file(&layout))?, first);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(master_key_file(&layout))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Ok(())
    }
}
