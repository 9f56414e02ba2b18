//! The binary `bagua`: every role of the console in one file. A library beside it, so that tests can wire the same parts.

#![recursion_limit = "512"]

mod admin;
mod cli;
pub mod database;
mod deliver;
mod dev;
mod doctor;
pub mod http;
pub mod listener;
mod logs;
pub mod roles;
pub mod serve;
pub mod settings;
pub mod telemetry;
pub mod wiring;

use clap::{CommandFactory as _, Parser, Subcommand};
use settings::ConfigArgs;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(
    name = "bagua",
    version,
    about = "Operations console of a platform that runs in six regions",
    after_help = cli::nouns::overview()
)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Starts everything on one machine: engines, gateways, runners, console. Ctrl-C stops it in order.
    Up(bagua_stack::UpOptions),
    /// Serves the console.
    Serve {
        #[command(flatten)]
        config: ConfigArgs,
        /// Listens here instead of where the configuration says, for a second console beside the first.
        #[arg(long)]
        listen: Option<SocketAddr>,
    },
    /// Runs a region's worker.
    Runner {
        #[command(flatten)]
        config: ConfigArgs,
        /// Which region.
        #[arg(long)]
        region: String,
    },
    /// Runs a region's API gateway.
    Gateway {
        #[command(flatten)]
        config: ConfigArgs,
        /// Which region.
        #[arg(long)]
        region: String,
    },
    /// Sends a steady trickle of real requests through every gateway.
    Traffic(ConfigArgs),
    /// What is for trying out and for demonstrations.
    Dev {
        #[command(subcommand)]
        verb: dev::Verb,
    },
    /// Brings the databases to this binary's version.
    Migrate(ConfigArgs),
    /// Checks the machine: engines, versions, folder, ports, databases. Changes nothing.
    Doctor(doctor::DoctorOptions),
    /// Makes people and one-time links, at the machine itself.
    Admin {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(subcommand)]
        verb: admin::Verb,
    },
    /// Asks a query: `bagua ask regions.world '{}'`.
    Ask {
        #[command(flatten)]
        door: cli::door::DoorArgs,
        /// The query's kind; without it, lists all kinds.
        kind: Option<String>,
        /// Its input as JSON.
        #[arg(default_value = "{}")]
        input: String,
    },
    /// Submits an operation: `bagua submit component.restart '{"component":"ap-east-1/gateway"}'`.
    Submit(cli::SubmitOptions),
    /// Prints a shell's completions: `source <(bagua completions bash)`.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// By noun and verb: `bagua alerts list`.
    #[command(external_subcommand)]
    Noun(Vec<String>),
}

/// Cancelled by Ctrl-C and by SIGTERM.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            stop.cancel();
        }
    });
    Ok(stop)
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.role {
        Role::Up(options) => bagua_stack::up(options).await?,
        Role::Doctor(options) => return doctor::run(&options).await,
        Role::Serve { config, listen } => {
            let mut settings = config.load()?;
            settings::listen_elsewhere(&mut settings, listen);
            serve::run(settings, stop_on_signal()?).await?;
        }
        Role::Runner { config, region } => roles::runner(&config.load()?, &region, stop_on_signal()?).await?,
        Role::Gateway { config, region } => {
            roles::gateway(&config.load()?, &region, stop_on_signal()?).await?
        }
        Role::Traffic(config) => roles::traffic(&config.load()?, stop_on_signal()?).await?,
        Role::Dev { verb } => dev::run(verb, stop_on_signal()?).await?,
        Role::Migrate(config) => database::migrate(&config.load()?).await?,
        Role::Admin { config, verb } => admin::run(&config.load()?, verb).await?,
        Role::Ask { door, kind, input } => return cli::ask(&door, kind.as_deref(), &input).await,
        Role::Submit(options) => return cli::submit(&options).await,
        Role::Noun(words) => return cli::nouns::run(&words).await,
        Role::Completions { shell } => {
            cli::completions(shell, &mut cli::nouns::complete(Arguments::command()))?
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses the command line and carries out the role.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // People at a terminal read sentences, log collectors read JSON.
    logs::start(matches!(
        arguments.role,
        Role::Serve { .. } | Role::Runner { .. } | Role::Gateway { .. } | Role::Traffic(_) | Role::Dev { .. }
    ));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            eprintln!("bagua: the system gives no threads: {fault}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("bagua: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
