//! The project's own build tool: `cargo xtask build | watch | tidy | sqlx | wasm-budget`.
//!
//! It stands in for `cargo-leptos` and `cargo-sqlx`, because each of those costs a newcomer many minutes of compiling
//! before the first page, and this costs one. `./dev` calls it; nothing here needs to be installed.

mod budget;
mod build;
mod context;
mod manifest;
mod sqlx;
mod tidy;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::build::Mode;
use crate::context::Context;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build and check Bagua", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compile server and browser side and assemble the site folder (hashed names, brotli, manifest.json)
    Build {
        /// Optimise: slow to build, small and fast to use
        #[arg(long)]
        release: bool,
        /// Only the site folder: browser side, style and assets
        #[arg(long)]
        site_only: bool,
    },
    /// Build again whenever a source file changes (restart `bagua` yourself)
    Watch,
    /// Check the rules of the house that the compiler does not know
    Tidy,
    /// Write `.sqlx` anew from the queries in the source, asking the development database
    Sqlx {
        /// Change nothing; fail when the committed `.sqlx` differs
        #[arg(long)]
        check: bool,
    },
    /// Compare the first load of the last release build with its budget
    WasmBudget,
}

fn main() -> ExitCode {
    // Errors are sentences for a person; anyhow's own print would add a backtrace where RUST_BACKTRACE is set.
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let context = Context::discover()?;
    match task {
        Task::Build { release, site_only } => {
            let mode = if release { Mode::Release } else { Mode::Dev };
            build::run(&context, mode, site_only)
        }
        Task::Watch => watch::run(&context),
        Task::Tidy => tidy::run(&context),
        Task::Sqlx { check } => sqlx::run(&context, check),
        Task::WasmBudget => budget::run(&context),
    }
}
