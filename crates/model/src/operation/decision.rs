//! What people decide about operations: cancel, approve, reject, go on.

use super::{OperationId, OperationState};
use crate::access::{Permission, named};
use crate::region::Scope;
use crate::verbs::{Operation, Risk, Target};
use serde::{Deserialize, Serialize};

/// The target of an operation on an operation. Its scope stands in the row of the operation it is about, where the
/// engine reads it before it checks the permission.
fn operation_target(operation: OperationId) -> Target {
    Target {
        noun: "operation".into(),
        id: operation.to_string(),
        scope: Scope::ANY,
    }
}

/// `operation.cancel`: asks an operation to stop; what it has done is undone. One's own needs no more than to see
/// it, somebody else's needs `operations.cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelOperation {
    /// Which.
    pub operation: OperationId,
    /// Why, in the canceller's words.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Operation for CancelOperation {
    const KIND: &'static str = "operation.cancel";
    const EXAMPLE: &'static str =
        r#"{"operation":"0190f5f1-30aa-7c4e-b2d1-9e8f7a6b5c4d","reason":"not tonight"}"#;
    const PERMISSION: Permission = Permission::OperationsRead;
    const RISK: Risk = Risk::Trivial;
    /// The state right after: `cancelled` when nothing had begun, else the state in which it will see the wish.
    type Outcome = OperationState;

    fn target(&self) -> Target {
        operation_target(self.operation)
    }
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}

/// `operation.approve`: the second person agrees to the plan with this hash, and to no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApproveOperation {
    /// Which.
    pub operation: OperationId,
    /// The hash of the plan that the approver was shown.
    pub hash: String,
}

impl Operation for ApproveOperation {
    const KIND: &'static str = "operation.approve";
    const EXAMPLE: &'static str = r#"{"operation":"0190f5f1-30aa-7c4e-b2d1-9e8f7a6b5c4d","hash":"abababababababababababababababababababababababababababababababab"}"#;
    const PERMISSION: Permission = Permission::OperationsApprove;
    const RISK: Risk = Risk::Trivial;
    type Outcome = OperationState;

    fn target(&self) -> Target {
        operation_target(self.operation)
    }
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}

/// `operation.reject`: the second person disagrees; the operation ends as cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RejectOperation {
    /// Which.
    pub operation: OperationId,
    /// Why, in the rejecter's words.
    pub reason: String,
}

impl Operation for RejectOperation {
    const KIND: &'static str = "operation.reject";
    const EXAMPLE: &'static str =
        r#"{"operation":"0190f5f1-30aa-7c4e-b2d1-9e8f7a6b5c4d","reason":"not tonight"}"#;
    const PERMISSION: Permission = Permission::OperationsApprove;
    const RISK: Risk = Risk::Trivial;
    type Outcome = OperationState;

    fn target(&self) -> Target {
        operation_target(self.operation)
    }
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}

named! {
    /// What a person decides about an operation that waits for one.
    RetryDecision {
        /// Go on: at the open step, with the open undo, or with the new plan.
        Retry = "retry",
        /// Stop: undo what has been done; after a failed undo, end as it stands.
        GiveUp = "give_up",
    }
}

/// `operation.retry`: decides about an operation in `needs_operator`. To retry takes the permission of the
/// operation's own kind; to give up one's own takes no more than to see it, somebody else's `operations.cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryOperation {
    /// Which.
    pub operation: OperationId,
    /// Go on or give up.
    pub decision: RetryDecision,
    /// The hash of the new plan, when the plan had drifted: what the person was shown and confirms.
    #[serde(default)]
    pub hash: Option<String>,
}

impl Operation for RetryOperation {
    const KIND: &'static str = "operation.retry";
    const EXAMPLE: &'static str =
        r#"{"operation":"0190f5f1-30aa-7c4e-b2d1-9e8f7a6b5c4d","decision":"retry"}"#;
    const PERMISSION: Permission = Permission::OperationsRead;
    const RISK: Risk = Risk::Moderate;
    type Outcome = OperationState;

    fn target(&self) -> Target {
        operation_target(self.operation)
    }
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}
