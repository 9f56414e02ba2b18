//! Where a command goes: to the console of this machine's configuration, or over HTTP to the one at an address.
//!
//! Whoever can read the configuration file holds the database's password already, so at the machine itself the command
//! line acts as the machine's owner (`cli:<user>`), and the audit log says so. Over HTTP it acts as the token's owner,
//! with everything that limits the token.

use super::owner;
use super::remote::Remote;
use crate::settings::ConfigArgs;
use crate::wiring::{self, Parts};
use anyhow::Context as _;
use bagua_core::Actor;
use bagua_model::failure::Failure;
use bagua_model::operation::{PlanView, Submission, Submitted};
use bagua_model::settings::Secret;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Which console. The token is taken from the environment or from a file and never from the command line, which every
/// process of the machine can read.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct DoorArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Calls the console at this address, with the API token in BAGUA_TOKEN or --token-file.
    #[arg(long, env = "BAGUA_URL", global = true)]
    pub url: Option<String>,
    /// File with the API token, readable by its owner only.
    #[arg(long, env = "BAGUA_TOKEN_FILE", global = true)]
    pub token_file: Option<PathBuf>,
}

impl DoorArgs {
    /// Opens the door.
    pub async fn open(&self) -> anyhow::Result<Door> {
        if let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) {
            let token = self.token()?;
            return Ok(Door::There(Remote::new(url, token)?));
        }
        let parts = wiring::build(&self.config.load()?)?;
        Ok(Door::Here(Box::new(parts)))
    }

    fn token(&self) -> anyhow::Result<Secret> {
        let text = match (&self.token_file, std::env::var("BAGUA_TOKEN")) {
            (Some(file), _) => read_token(file)?,
            (None, Ok(token)) => token,
            (None, Err(_)) => anyhow::bail!(
                "A console at an address wants an API token. Make one under Access → API tokens and put it into BAGUA_TOKEN, \
                 or into a file that --token-file names"
            ),
        };
        Ok(Secret::new(text.trim()))
    }
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let fault = || format!("The token file {} cannot be read", file.display());
    let mode = std::fs::metadata(file).with_context(fault)?.permissions().mode();
    anyhow::ensure!(
        mode & 0o077 == 0,
        "The token file {} can be read by others. Close it with `chmod 600 {0}`",
        file.display()
    );
    std::fs::read_to_string(file).with_context(fault)
}

/// An open door.
pub enum Door {
    /// This machine's own console, without HTTP.
    Here(Box<Parts>),
    /// A console at an address.
    There(Remote),
}

impl Door {
    /// Looks at the world first: the answers that a console gives from memory need that. One that runs has looked.
    pub async fn look(&self) {
        if let Door::Here(parts) = self {
            wiring::look(parts).await;
        }
    }

    /// Who acts at the machine itself.
    fn actor() -> Actor {
        owner()
    }

    /// Asks.
    pub async fn ask(&self, kind: &str, input: Value) -> Result<Value, Failure> {
        match self {
            Door::Here(parts) => parts.console.ask_json(&Self::actor(), kind, input).await,
            Door::There(remote) => remote.ask(kind, input).await,
        }
    }

    /// Says what an operation would change.
    pub async fn plan(&self, kind: &str, input: Value) -> Result<PlanView, Failure> {
        match self {
            Door::Here(parts) => parts.console.plan_json(&Self::actor(), kind, input).await,
            Door::There(remote) => remote.plan(kind, input).await,
        }
    }

    /// Submits.
    pub async fn submit(
        &self,
        kind: &str,
        input: Value,
        submission: Submission,
    ) -> Result<Submitted, Failure> {
        match self {
            Door::Here(parts) => {
                parts
                    .console
                    .submit_json(&Self::actor(), kind, input, submission)
                    .await
            }
            Door::There(remote) => remote.submit(kind, input, submission).await,
        }
    }
}
