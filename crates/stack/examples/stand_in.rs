//! A stand-in for the binary `bagua` in this crate's own tests: `up` is the real one, every other role is the least
//! that the supervisor needs to see: it listens on its component's port, says that it is well and counts requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use bagua_model::settings::Settings;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    Up(bagua_stack::UpOptions),
    Serve(Config),
    Gateway(Config),
    Runner(Config),
    Traffic(Config),
    Migrate(Config),
    Dev {
        what: String,
        #[arg(long)]
        demo: bool,
        #[command(flatten)]
        config: Config,
    },
    Admin {
        what: String,
        #[command(flatten)]
        config: Config,
    },
}

#[derive(clap::Args)]
struct Config {
    #[arg(long)]
    config: PathBuf,
    #[arg(long, default_value = "global")]
    region: String,
}

fn load(path: &Path) -> anyhow::Result<Settings> {
    let settings: Settings = toml::from_str(&std::fs::read_to_string(path)?)?;
    settings.validate()?;
    Ok(settings)
}

async fn serve(config: &Config, service: &str) -> anyhow::Result<()> {
    let settings = load(&config.config)?;
    let port = settings
        .component_of(&config.region, service)
        .context("no such component")?
        .port;
    let count = Arc::new(AtomicU64::new(0));
    let metrics = {
        let count = Arc::clone(&count);
        move || async move {
            format!(
                "http_requests_total{{status=\"200\"}} {}\n",
                count.load(Ordering::Relaxed)
            )
        }
    };
    let app = Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/probe", get(|| async { "ok" }))
        .route("/metrics", get(metrics))
        .route("/hooks/alertmanager", axum::routing::post(|| async { "ok" }))
        .layer(axum::middleware::from_fn(
            move |request, next: axum::middleware::Next| {
                count.fetch_add(1, Ordering::Relaxed);
                next.run(request)
            },
        ));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bagua: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    match Arguments::parse().role {
        Role::Up(options) => bagua_stack::up(options).await?,
        Role::Serve(config) => serve(&config, "console").await?,
        Role::Gateway(config) => serve(&config, "gateway").await?,
        Role::Runner(config) => serve(&config, "runner").await?,
        Role::Traffic(config) => serve(&config, "traffic").await?,
        Role::Dev { what, config, .. } => {
            anyhow::ensure!(what == "telegram", "only `dev telegram`");
            serve(&config, "telegram-sim").await?
        }
        Role::Migrate(config) => drop(load(&config.config)?),
        Role::Admin { what, config } => {
            anyhow::ensure!(what == "link", "only `admin link`");
            println!("{}/welcome/once", load(&config.config)?.listen.public_url);
        }
    }
    Ok(())
}
