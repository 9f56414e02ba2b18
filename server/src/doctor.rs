//! `bagua doctor`: what this machine lacks, each with its remedy. Changes nothing.

use crate::database::{self, SchemaState};
use crate::settings;
use bagua_stack::{Check, UpOptions, Verdict};
use clap::Args;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Options of `bagua doctor`: those of `bagua up`, since it checks what `up` would need.
#[derive(Args)]
pub struct DoctorOptions {
    #[command(flatten)]
    up: UpOptions,
    /// Answers as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs every check; the exit code is a failure when one of them is.
pub async fn run(options: &DoctorOptions) -> anyhow::Result<ExitCode> {
    let mut checks = bagua_stack::doctor(&options.up).await;
    let config = options.up.data_folder().join("console.toml");
    if config.exists() {
        checks.push(schema(&config).await);
    }
    let word = |verdict| match verdict {
        Verdict::Good => "ok",
        Verdict::Notice => "note",
        Verdict::Bad => "BAD",
    };
    if options.json {
        let rows: Vec<_> = checks
            .iter()
            .map(|c| json!({ "subject": c.subject, "verdict": word(c.verdict), "detail": c.detail }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        for check in &checks {
            println!(
                "{:<5} {:<26} {}",
                word(check.verdict),
                check.subject,
                check.detail
            );
        }
    }
    let bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn schema(config: &Path) -> Check {
    let (verdict, detail) = match settings::load(config) {
        Err(fault) => (Verdict::Bad, format!("{fault:#}")),
        Ok(settings) => match database::schema_state(settings.control.url.expose()).await {
            Ok(SchemaState::Current) => (Verdict::Good, "same version as this binary".to_owned()),
            Ok(SchemaState::Behind) => (
                Verdict::Notice,
                "older than this binary; the next `bagua up` (or `bagua migrate`) brings it up".to_owned(),
            ),
            Ok(SchemaState::Newer(version)) => (
                Verdict::Bad,
                format!("has migration {version}, which this binary does not know: use the newer bagua"),
            ),
            Ok(SchemaState::Unreadable) => (
                Verdict::Bad,
                "does not tell the console's role which version it has: run `bagua migrate` once".to_owned(),
            ),
            Err(_) => (
                Verdict::Notice,
                "does not answer; the stack is probably not running".to_owned(),
            ),
        },
    };
    Check {
        subject: "control database".to_owned(),
        verdict,
        detail,
    }
}
