//! `bagua ask` and `bagua submit`: the two verbs at the machine's own command line.
//!
//! Whoever can read the configuration file holds the database's password already, so the command line acts as the
//! machine's owner (`cli:<user>`), and the audit log says so.

use crate::settings::ConfigArgs;
use crate::wiring;
use bagua_core::{Actor, Verb};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{OperationState, OperationView, Submission};
use bagua_model::settings::Settings;
use bagua_model::text::Locale;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `bagua submit`.
#[derive(clap::Args)]
pub struct SubmitOptions {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The operation's kind.
    kind: String,
    /// Its input as JSON.
    #[arg(default_value = "{}")]
    input: String,
    /// Shows what would change, and submits nothing.
    #[arg(long)]
    plan: bool,
    /// Follows the operation to its end; the exit code is its result.
    #[arg(long)]
    follow: bool,
    /// Binds to the plan with this hash: when the world has changed since, nothing is submitted.
    #[arg(long)]
    hash: Option<String>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// Goes on without the second person. Needs --reason, and is loud.
    #[arg(long)]
    break_glass: bool,
}

/// Exit codes that scripts can use: 1 fault, 2 wrong call or input, 3 refused, 4 busy or drifted, 5 the operation failed,
/// 6 it waits for a person.
fn exit_code(kind: FailureKind) -> ExitCode {
    ExitCode::from(match kind {
        FailureKind::Internal | FailureKind::Unavailable | FailureKind::RateLimited => 1,
        FailureKind::Invalid => 2,
        FailureKind::Unauthenticated | FailureKind::Forbidden | FailureKind::NotFound => 3,
        FailureKind::Busy | FailureKind::Drifted | FailureKind::Conflict => 4,
    })
}

fn locale() -> Locale {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty())
        .and_then(|value| Locale::from_tag(&value))
        .unwrap_or_default()
}

fn say_failure(failure: &Failure) -> ExitCode {
    eprintln!("bagua: {}", failure.text.render(locale()));
    for (field, text) in &failure.fields {
        eprintln!("  {field}: {}", text.render(locale()));
    }
    if let Some(operation) = failure.operation {
        eprintln!("  operation: {operation}");
    }
    exit_code(failure.kind)
}

/// Prints one line; a reader who went away (`| head`) ends the output without a fault.
fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(gone) if gone.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// `bagua completions`.
pub fn completions(shell: clap_complete::Shell, command: &mut clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "bagua", &mut script);
    say(String::from_utf8(script)?.trim_end())
}

/// Who acts at this machine's command line.
pub fn owner() -> Actor {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
    Actor::system(format!("cli:{user}"))
}

/// The input, or the exit code of a wrong call after a sentence about what is wrong with it.
fn parse(input: &str) -> Result<Value, ExitCode> {
    serde_json::from_str(input).map_err(|fault| {
        eprintln!("bagua: The input is not valid JSON ({fault}). Put it in single quotes: '{{\"region\":\"eu-west-1\"}}'");
        exit_code(FailureKind::Invalid)
    })
}

const fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Query => "ask",
        Verb::Operation | Verb::Immediate => "submit",
    }
}

/// `bagua ask`.
pub async fn ask(settings: &Settings, kind: Option<&str>, input: &str) -> anyhow::Result<ExitCode> {
    let parts = wiring::build(settings)?;
    let console = &parts.console;
    let Some(kind) = kind else {
        for verb in console.registry().kinds() {
            say(&format!(
                "{:<10} {:<28} {}",
                word(verb.verb),
                verb.kind,
                verb.permission
            ))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let input = match parse(input) {
        Ok(input) => input,
        Err(code) => return Ok(code),
    };
    // The answers that the console gives from memory need one look at the world first.
    wiring::look(&parts).await;
    match console.ask_json(&owner(), kind, input).await {
        Ok(answer) => {
            say(&serde_json::to_string_pretty(&answer)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => Ok(say_failure(&failure)),
    }
}

/// `bagua submit`.
pub async fn submit(settings: &Settings, options: &SubmitOptions) -> anyhow::Result<ExitCode> {
    let parts = wiring::build(settings)?;
    let console = &parts.console;
    let actor = owner();
    let input = match parse(&options.input) {
        Ok(input) => input,
        Err(code) => return Ok(code),
    };
    wiring::look(&parts).await;
    if options.plan {
        return match console.plan_json(&actor, &options.kind, input).await {
            Ok(view) => {
                say(&view.plan.summary.render(locale()))?;
                for change in &view.plan.changes {
                    say(&format!("  ~ {}", change.render(locale())))?;
                }
                for estimate in &view.plan.estimates {
                    say(&format!("  ≈ {}", estimate.render(locale())))?;
                }
                for warning in &view.plan.warnings {
                    say(&format!("  ! {}", warning.render(locale())))?;
                }
                say(&format!("hash {}", view.hash))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(failure) => Ok(say_failure(&failure)),
        };
    }
    let submission = Submission {
        plan_hash: options.hash.clone(),
        reason: options.reason.clone(),
        break_glass: options.break_glass,
        token: None,
    };
    let submitted = match console
        .submit_json(&actor, &options.kind, input, submission)
        .await
    {
        Ok(submitted) => submitted,
        Err(failure) => return Ok(say_failure(&failure)),
    };
    say(&format!("{} {}", submitted.operation, submitted.state))?;
    if !options.follow {
        return Ok(ExitCode::SUCCESS);
    }
    let query = json!({ "operation": submitted.operation });
    let mut shown = 0;
    loop {
        // A console that restarts or a database that is away for a moment ends no follow: rows are the truth.
        let view: OperationView = match console.ask_json(&actor, "operations.get", query.clone()).await {
            Ok(value) => serde_json::from_value(value)?,
            Err(failure) if failure.kind == FailureKind::Unavailable => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            Err(failure) => return Ok(say_failure(&failure)),
        };
        for event in view.events.iter().filter(|event| event.seq > shown) {
            say(&format!(
                "{:>4}  {:<18} {}",
                event.seq,
                event.name,
                event.text.render(locale())
            ))?;
        }
        shown = view.events.last().map_or(shown, |event| event.seq);
        match view.summary.state {
            OperationState::Succeeded => return Ok(ExitCode::SUCCESS),
            OperationState::Failed | OperationState::Cancelled => {
                if let Some(failure) = &view.failure {
                    eprintln!("bagua: {}", failure.render(locale()));
                }
                return Ok(ExitCode::from(5));
            }
            OperationState::NeedsOperator => return Ok(ExitCode::from(6)),
            _ => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}
