//! What can be chosen on the command line of `bagua up`.

use std::path::PathBuf;

use bagua_model::region::{Environment, KNOWN_REGIONS};

use crate::error::StackError;
use crate::layout::{LAST_OFFSET, default_data_folder};

/// Flags of `bagua up`; each can be given by environment variable as well.
#[derive(Debug, Clone, clap::Args)]
pub struct UpOptions {
    /// Base port: the console gets it, everything else the 26 ports after it.
    #[arg(long, env = "BAGUA_PORT", default_value_t = 3000)]
    pub port: u16,
    /// Data folder [default: /var/lib/bagua for root, else ~/.local/share/bagua].
    #[arg(long, env = "BAGUA_DATA")]
    pub data: Option<PathBuf>,
    /// Regions to run, separated by commas [default: all six].
    #[arg(long, env = "BAGUA_REGIONS", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// Which environment this is: dev, staging or prod.
    #[arg(long, env = "BAGUA_ENVIRONMENT", default_value = "dev")]
    pub environment: Environment,
    /// Folder of the built browser files [default: found beside the executable].
    #[arg(long, env = "BAGUA_SITE")]
    pub site: Option<PathBuf>,
    /// Runs a stand-in for Telegram with a few bots that receive a trickle of messages [default: only in dev].
    #[arg(long, env = "BAGUA_DEMO_BOTS", action = clap::ArgAction::Set, value_name = "true|false")]
    pub demo_bots: Option<bool>,
    /// The executable that runs our own roles [default: this one].
    #[arg(long, env = "BAGUA_EXECUTABLE", hide = true)]
    pub bagua: Option<PathBuf>,
}

impl UpOptions {
    /// The data folder that these options name.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        let data = self.data.clone().unwrap_or_else(default_data_folder);
        // Children run elsewhere, and the configuration must hold when read from anywhere.
        std::path::absolute(&data).unwrap_or(data)
    }

    /// Whether the stand-in for Telegram runs.
    #[must_use]
    pub fn with_demo_bots(&self) -> bool {
        self.demo_bots.unwrap_or(self.environment == Environment::Dev)
    }

    /// The regions in their fixed order, which decides the ports.
    ///
    /// # Errors
    /// [`StackError::BadOption`] for a region that is not known.
    pub fn region_list(&self) -> Result<Vec<String>, StackError> {
        let known = || KNOWN_REGIONS.iter().map(|region| region.code.to_owned());
        if self.regions.is_empty() {
            return Ok(known().collect());
        }
        if let Some(unknown) = self
            .regions
            .iter()
            .find(|wanted| !known().any(|code| code == **wanted))
        {
            return Err(StackError::BadOption(format!(
                "--regions: `{unknown}` is no region; use {}.",
                known().collect::<Vec<_>>().join(", ")
            )));
        }
        Ok(known().filter(|code| self.regions.contains(code)).collect())
    }

    /// Checks what clap cannot.
    pub(crate) fn validate(&self) -> Result<(), StackError> {
        if self.port < 1024 || self.port > u16::MAX - LAST_OFFSET {
            return Err(StackError::BadOption(format!(
                "--port {}: use a base port from 1024 to {}, since {LAST_OFFSET} more ports follow it.",
                self.port,
                u16::MAX - LAST_OFFSET
            )));
        }
        self.region_list().map(drop)
    }
}
