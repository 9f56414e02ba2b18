//! Follows an operation to its end; the exit code is its result.

use super::door::Door;
use super::remote::Remote;
use super::{locale, say, say_failure};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{GetOperation, OperationId, OperationState, OperationView};
use bagua_model::text::keys;
use bagua_model::verbs::Query as _;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// How long a console that is away is waited for, between two tries.
const AGAIN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(250);

/// Follows.
pub async fn follow(door: &Door, operation: OperationId) -> anyhow::Result<ExitCode> {
    match door {
        Door::Here(_) => here(door, operation).await,
        Door::There(remote) => there(door, remote, operation).await,
    }
}

async fn view(door: &Door, operation: OperationId) -> anyhow::Result<Result<OperationView, Failure>> {
    let query = json!({ "operation": operation });
    Ok(match door.ask(GetOperation::KIND, query).await {
        Ok(value) => Ok(serde_json::from_value(value)?),
        Err(failure) => Err(failure),
    })
}

/// The exit code when nothing more happens by itself.
fn end(view: &OperationView) -> Option<ExitCode> {
    match view.summary.state {
        OperationState::Succeeded => Some(ExitCode::SUCCESS),
        OperationState::Failed | OperationState::Cancelled => {
            if let Some(failure) = &view.failure {
                eprintln!("bagua: {}", failure.render(locale()));
            }
            Some(ExitCode::from(5))
        }
        OperationState::NeedsOperator | OperationState::AwaitingApproval => Some(ExitCode::from(6)),
        _ => None,
    }
}

fn line(seq: i64, name: &str, words: &str) -> anyhow::Result<()> {
    say(&format!("{seq:>4}  {name:<18} {words}"))
}

/// A console that restarts or a database that is away for a moment ends no follow: rows are the truth.
async fn here(door: &Door, operation: OperationId) -> anyhow::Result<ExitCode> {
    let mut shown = 0;
    loop {
        let view = match view(door, operation).await? {
            Ok(view) => view,
            Err(failure) if failure.kind == FailureKind::Unavailable => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(failure) => return Ok(say_failure(&failure)),
        };
        for event in view.events.iter().filter(|event| event.seq > shown) {
            line(event.seq, &event.name, &event.text.render(locale()))?;
        }
        shown = view.events.last().map_or(shown, |event| event.seq);
        if let Some(code) = end(&view) {
            return Ok(code);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// By the stream of events, and from where it broke off when it breaks.
async fn there(door: &Door, remote: &Remote, operation: OperationId) -> anyhow::Result<ExitCode> {
    let mut shown = 0;
    loop {
        let last = shown.to_string();
        let tell = |name: &str, _: &str, data: &Value| {
            if name == "log" {
                let seq = data["seq"].as_i64().unwrap_or_default();
                let words = data["words"].as_str().unwrap_or_default();
                line(seq, data["name"].as_str().unwrap_or_default(), words)?;
                shown = shown.max(seq);
            }
            let waiting = ["needs_operator", "awaiting_approval"];
            let state = data["state"].as_str().unwrap_or_default();
            // The stream goes on for as long as somebody may decide; this call does not.
            anyhow::ensure!(name != "state" || !waiting.contains(&state), Waits);
            Ok(())
        };
        match remote.events(operation, &last, tell).await {
            Err(fault) if fault.is::<Waits>() => return Ok(ExitCode::from(6)),
            Err(fault) => return Err(fault),
            Ok(Err(failure)) if !may_come_back(&failure) => return Ok(say_failure(&failure)),
            Ok(_) => {}
        }
        // The stream has ended or broken; only the operation itself says which.
        match view(door, operation).await? {
            Ok(view) => {
                if let Some(code) = end(&view) {
                    return Ok(code);
                }
            }
            Err(failure) if !may_come_back(&failure) => return Ok(say_failure(&failure)),
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// An operation that has been submitted is worth waiting for, also while its console restarts.
fn may_come_back(failure: &Failure) -> bool {
    failure.kind == FailureKind::Unavailable
        || failure.kind == FailureKind::RateLimited
        || failure.text.key == keys::CLI_UNREACHABLE
}

/// It waits for a person.
#[derive(Debug, thiserror::Error)]
#[error("the operation waits for a person")]
struct Waits;
