//! Silences as the console shows them, and the mark by which an operation knows its own.

use crate::alertmanager::{AlertmanagerError, ApiSilence};
use crate::snapshot::{Sight, Snapshot};
use bagua_core::StepFailure;
use bagua_model::failure::Failure;
use bagua_model::operation::OperationId;
use bagua_model::silences::SilenceView;
use bagua_model::text::{Text, keys};
use std::collections::HashMap;

/// Before the operation's id, on the last line of the comment: whoever reads it in Alertmanager finds the operation.
const MARK: &str = "Bagua operation ";

/// The comment with the mark of the operation.
pub(crate) fn marked(comment: &str, operation: OperationId) -> String {
    format!("{comment}\n{MARK}{operation}")
}

/// The comment without the mark, and the operation.
fn unmarked(comment: &str) -> (&str, Option<OperationId>) {
    let found = comment.rsplit_once(MARK).and_then(|(words, id)| {
        let id = id.trim().parse().ok()?;
        Some((words.trim_end(), Some(OperationId(id))))
    });
    found.unwrap_or((comment.trim_end(), None))
}

/// The comment as a person wrote it.
pub(crate) fn reason(comment: &str) -> &str {
    unmarked(comment).0
}

/// The operation that made it.
pub(crate) fn made_by(silence: &ApiSilence) -> Option<OperationId> {
    unmarked(&silence.comment).1
}

/// How many firing alerts each silence holds, of those that the reader may see.
pub(crate) fn holdings<'a>(snapshot: &'a Snapshot, sight: &'a Sight) -> HashMap<&'a str, u32> {
    let mut holds = HashMap::new();
    for id in snapshot.visible(sight).flat_map(|v| &v.suppressed_by) {
        *holds.entry(id.as_str()).or_default() += 1;
    }
    holds
}

/// A silence with what it holds.
pub(crate) fn view(silence: ApiSilence, holds: &HashMap<&str, u32>) -> SilenceView {
    let holds = holds.get(silence.id.as_str()).copied().unwrap_or_default();
    let (comment, operation) = unmarked(&silence.comment);
    SilenceView {
        state: silence.state(),
        matchers: silence.matchers(),
        comment: comment.to_owned(),
        operation,
        silence: silence.id,
        owner: silence.created_by,
        starts_at: silence.starts_at,
        ends_at: silence.ends_at,
        holds,
    }
}

fn alertmanager_noun() -> String {
    format!("@{}", keys::SILENCE_ALERTMANAGER)
}

/// What a reader is told when Alertmanager gives no usable answer.
pub(crate) fn alertmanager_failure(error: &AlertmanagerError) -> Failure {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "Alertmanager gave no usable answer about silences"
    );
    Failure::unavailable(alertmanager_noun())
}

/// What a step does about Alertmanager's error.
pub(crate) fn step_failure(error: &AlertmanagerError) -> StepFailure {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "Alertmanager did not do as asked"
    );
    match error {
        AlertmanagerError::Status { status, reason, .. } if (400..500).contains(status) => {
            StepFailure::Failed(Text::new(keys::SILENCE_FAILURE_REFUSED).with("reason", reason))
        }
        // Perhaps done, perhaps not: the next try asks first.
        _ => StepFailure::Transient(Text::new(keys::SILENCE_FAILURE_AWAY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn an_operation_knows_its_own_silence_by_the_comment() {
        let id = OperationId(Uuid::now_v7());
        assert_eq!(
            unmarked(&marked("works\nat the gate", id)),
            ("works\nat the gate", Some(id))
        );
        assert_eq!(
            unmarked("Bagua operation of ours"),
            ("Bagua operation of ours", None)
        );
        assert_eq!(unmarked("by amtool "), ("by amtool", None));
    }
}
