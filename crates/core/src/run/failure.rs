//! Why a step does not go on.

use crate::db;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::Text;

/// Why a step, and with it the run, does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepFailure {
    /// It will not work: what has been done is undone, and the operation ends as failed.
    Failed(Text),
    /// It may work when tried again: the step is repeated with back-off, then it counts as failed.
    Transient(Text),
    /// Nobody but a person can say how to go on.
    NeedsOperator(Text),
    /// A cancel was asked for: what has been done is undone, and the operation ends as cancelled.
    Cancelled,
    /// Another worker holds the operation now. Return it at once and touch nothing.
    Lost,
}

impl StepFailure {
    /// A permanent failure in words that have no translation (an engine's own error text).
    pub fn failed(words: impl std::fmt::Display) -> StepFailure {
        StepFailure::Failed(Text::verbatim(words))
    }

    /// A passing failure in words that have no translation.
    pub fn transient(words: impl std::fmt::Display) -> StepFailure {
        StepFailure::Transient(Text::verbatim(words))
    }
}

impl From<Failure> for StepFailure {
    fn from(failure: Failure) -> StepFailure {
        match failure.kind {
            FailureKind::Unavailable | FailureKind::Busy | FailureKind::RateLimited => {
                StepFailure::Transient(failure.text)
            }
            _ => StepFailure::Failed(failure.text),
        }
    }
}

impl From<sqlx::Error> for StepFailure {
    fn from(error: sqlx::Error) -> StepFailure {
        db::failure(error).into()
    }
}
