//! `bagua admin`: people and one-time links, made at the machine itself.

use crate::cli::owner;
use crate::wiring::{self, Parts};
use anyhow::Context as _;
use bagua_model::access::{Grant, Role};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::settings::Settings;

/// What `bagua admin` can do.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Prints the one-time link for the first administrator, or nothing when there is one already.
    Link,
    /// Makes a person and prints a one-time link with which they set their password.
    Create {
        /// E-mail address, the sign-in name.
        email: String,
        /// Shown name; the e-mail address when absent.
        #[arg(long)]
        name: Option<String>,
        /// administrator, operator, compliance-officer, compliance-approver, auditor or viewer.
        #[arg(long)]
        role: Role,
        /// Only in this environment.
        #[arg(long)]
        environment: Option<Environment>,
        /// Only in this region.
        #[arg(long)]
        region: Option<String>,
    },
    /// Prints a one-time link with which a person sets a new password, and lifts a lock-out.
    Reset {
        /// E-mail address.
        email: String,
    },
}

/// Carries out one verb; links go to standard output and nowhere else.
pub async fn run(settings: &Settings, verb: Verb) -> anyhow::Result<()> {
    let Parts { access, .. } = wiring::build(settings)?;
    let url = &settings.listen.public_url;
    match verb {
        Verb::Link => {
            if let Some(link) = access
                .first_admin_link(url)
                .await
                .context("no link could be made")?
            {
                println!("{link}");
            }
        }
        Verb::Create {
            email,
            name,
            role,
            environment,
            region,
        } => {
            let scope = Scope {
                environment,
                region: region.map(RegionId::new),
            };
            let grant = Grant { role, scope };
            println!(
                "{}",
                access
                    .admin_create(&owner(), url, &email, name.as_deref(), grant)
                    .await?
            );
        }
        Verb::Reset { email } => println!("{}", access.admin_reset(&owner(), url, &email).await?),
    }
    Ok(())
}
