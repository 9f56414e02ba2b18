//! What a reader is told when something cannot be done.

use crate::operation::OperationId;
use crate::text::{Text, keys};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of a failure; it decides the HTTP status and the exit code, never the wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The input is wrong; see `fields`.
    Invalid,
    /// Nobody is signed in.
    Unauthenticated,
    /// The person lacks the permission in that scope.
    Forbidden,
    /// There is no such thing, or the reader may not know that there is.
    NotFound,
    /// Another operation holds the target; see `operation`.
    Busy,
    /// The world is not what the plan saw: plan again.
    Drifted,
    /// The wish does not fit the present state (approve twice, cancel what has ended).
    Conflict,
    /// Too many attempts.
    RateLimited,
    /// Something that we need is away: database, engine. Try again later.
    Unavailable,
    /// Our fault. The log has the chain.
    Internal,
}

impl FailureKind {
    /// The HTTP status that goes with the kind.
    pub const fn status(self) -> u16 {
        match self {
            FailureKind::Invalid => 422,
            FailureKind::Unauthenticated => 401,
            FailureKind::Forbidden => 403,
            FailureKind::NotFound => 404,
            FailureKind::Busy | FailureKind::Drifted | FailureKind::Conflict => 409,
            FailureKind::RateLimited => 429,
            FailureKind::Unavailable => 503,
            FailureKind::Internal => 500,
        }
    }
}

/// A refusal or fault in the reader's words. Holds no secret and no personal data beyond what the reader typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What happened and what to do next.
    pub text: Text,
    /// Field errors: field name and sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, Text)>,
    /// The operation that holds the target, for `Busy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// The request's id, under which the log has the cause; set where a fault of ours leaves the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Failure {
    /// A failure with a sentence.
    pub fn new(kind: FailureKind, text: Text) -> Failure {
        Failure {
            kind,
            text,
            fields: Vec::new(),
            operation: None,
            request: None,
        }
    }

    /// Wrong input, with one field error.
    pub fn field(name: &str, text: Text) -> Failure {
        let mut failure = Failure::new(FailureKind::Invalid, Text::new(keys::FAILURE_INVALID));
        failure.fields.push((name.to_owned(), text));
        failure
    }

    /// There is no such thing.
    pub fn not_found(what: impl fmt::Display) -> Failure {
        Failure::new(
            FailureKind::NotFound,
            Text::new(keys::FAILURE_NOT_FOUND).with("what", what),
        )
    }

    /// Something that we need is away.
    pub fn unavailable(what: impl fmt::Display) -> Failure {
        Failure::new(
            FailureKind::Unavailable,
            Text::new(keys::FAILURE_UNAVAILABLE).with("what", what),
        )
    }

    /// The same with the request's id, when the cause is in the log and not in the reader's hands.
    #[must_use]
    pub fn in_request(mut self, id: Option<&str>) -> Failure {
        if matches!(self.kind, FailureKind::Internal | FailureKind::Unavailable) {
            self.request = id.map(str::to_owned);
        }
        self
    }

    /// Our fault; the cause goes to the log, not to the reader.
    pub fn internal() -> Failure {
        Failure::new(FailureKind::Internal, Text::new(keys::FAILURE_INTERNAL))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        for (name, text) in &self.fields {
            write!(f, " [{name}: {text}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_reader_cannot_mend_carries_the_requests_id() {
        assert_eq!(
            Failure::internal().in_request(Some("0190f5")).request.as_deref(),
            Some("0190f5")
        );
        assert_eq!(Failure::not_found("x").in_request(Some("0190f5")).request, None);
        // A failure of an older build has no such field.
        let json = serde_json::to_value(Failure::internal()).unwrap_or_default();
        assert!(json.get("request").is_none());
        assert!(serde_json::from_value::<Failure>(json).is_ok());
    }
}
