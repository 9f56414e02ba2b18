//! Reads the configuration file; every fault ends in one sentence with line and remedy.

use crate::http::client::Proxies;
use anyhow::{Context as _, bail};
use bagua_model::settings::Settings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the configuration lies, and what the command line changes in it.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration file; `bagua up` writes one to `<data>/console.toml`.
    #[arg(long, env = "BAGUA_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Data folder of one-machine mode, used to find the configuration when `--config` is absent.
    #[arg(long, env = "BAGUA_DATA", global = true)]
    data: Option<PathBuf>,
}

impl ConfigArgs {
    /// What noun commands read themselves; the environment stands in for what they do not name.
    pub fn of(config: Option<PathBuf>, data: Option<PathBuf>) -> ConfigArgs {
        let from_environment = |name| std::env::var_os(name).map(PathBuf::from);
        ConfigArgs {
            config: config.or_else(|| from_environment("BAGUA_CONFIG")),
            data: data.or_else(|| from_environment("BAGUA_DATA")),
        }
    }

    /// The settings, checked.
    pub fn load(&self) -> anyhow::Result<Settings> {
        let path = match (&self.config, &self.data) {
            (Some(config), _) => config.clone(),
            (None, Some(data)) => data.join("console.toml"),
            (None, None) => bagua_stack::default_data_folder().join("console.toml"),
        };
        load(&path)
    }
}

/// Reads and checks one file.
pub fn load(path: &Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "The configuration {} cannot be read. Start the stack with `bagua up`, which writes it, or name another file with --config",
            path.display()
        )
    })?;
    // toml's own message already shows line, column and the keys it expected.
    let settings: Settings = toml::from_str(&text)
        .with_context(|| format!("The configuration {} is not valid", path.display()))?;
    if let Err(fault) = settings.validate() {
        bail!("The configuration {} cannot be used: {fault}", path.display());
    }
    Proxies::new(&settings.listen)
        .with_context(|| format!("The configuration {} cannot be used", path.display()))?;
    Ok(settings)
}

/// Puts a `--listen` of the command line in place of the file's address, with the public URL that goes with it, so
/// that a second console can run beside the first on the same configuration.
pub fn listen_elsewhere(settings: &mut Settings, address: Option<SocketAddr>) {
    if let Some(address) = address {
        settings.listen.address = address;
        settings.listen.public_url = format!("http://localhost:{}", address.port());
    }
}
