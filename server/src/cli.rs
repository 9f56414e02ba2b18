//! The command line: `bagua ask` and `bagua submit`, and every kind by noun and verb, on this machine's console or on
//! one at an address.

pub mod door;
mod follow;
mod https;
mod kinds;
pub mod nouns;
mod remote;
mod table;
mod words;

use bagua_core::Actor;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{PlanView, Submission};
use bagua_model::text::{Locale, keys};
use door::{Door, DoorArgs};
use serde_json::Value;
use std::io::Write as _;
use std::process::ExitCode;

/// Options of `bagua submit`.
#[derive(clap::Args)]
pub struct SubmitOptions {
    #[command(flatten)]
    pub door: DoorArgs,
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
/// 6 it waits for a person, 7 the console at the address cannot be reached.
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
    if failure.text.key == keys::CLI_UNREACHABLE {
        return ExitCode::from(7);
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

/// `bagua ask`.
pub async fn ask(door: &DoorArgs, kind: Option<&str>, input: &str) -> anyhow::Result<ExitCode> {
    let door = door.open().await?;
    let Some(kind) = kind else {
        for kind in kinds::KINDS.iter() {
            let verb = if kind.asked { "ask" } else { "submit" };
            say(&format!("{verb:<10} {:<28} {}", kind.name, kind.permission))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let input = match parse(input) {
        Ok(input) => input,
        Err(code) => return Ok(code),
    };
    // The answers that the console gives from memory need one look at the world first.
    door.look().await;
    match door.ask(kind, input).await {
        Ok(answer) => {
            say(&serde_json::to_string_pretty(&answer)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => Ok(say_failure(&failure)),
    }
}

/// A plan, line by line.
fn say_plan(view: &PlanView) -> anyhow::Result<ExitCode> {
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

/// `bagua submit`.
pub async fn submit(options: &SubmitOptions) -> anyhow::Result<ExitCode> {
    let door: Door = options.door.open().await?;
    let input = match parse(&options.input) {
        Ok(input) => input,
        Err(code) => return Ok(code),
    };
    door.look().await;
    if options.plan {
        return match door.plan(&options.kind, input).await {
            Ok(view) => say_plan(&view),
            Err(failure) => Ok(say_failure(&failure)),
        };
    }
    let submission = Submission {
        plan_hash: options.hash.clone(),
        reason: options.reason.clone(),
        break_glass: options.break_glass,
        token: None,
    };
    let submitted = match door.submit(&options.kind, input, submission).await {
        Ok(submitted) => submitted,
        Err(failure) => return Ok(say_failure(&failure)),
    };
    say(&format!("{} {}", submitted.operation, submitted.state))?;
    if options.follow {
        return follow::follow(&door, submitted.operation).await;
    }
    Ok(ExitCode::SUCCESS)
}
