//! Operations as readers see them: states, plans, steps, events, approvals, schedules, audit records.

mod audit;
mod decision;
mod schedule;

pub use audit::{AuditView, ListAudit};
pub use decision::{ApproveOperation, CancelOperation, RejectOperation, RetryDecision, RetryOperation};
pub use schedule::{
    CreateSchedule, DeleteSchedule, LONGEST_NAME, ListSchedules, PauseSchedule, ScheduleView,
};

use crate::access::{Permission, named};
use crate::region::{Environment, RegionId};
use crate::text::Text;
use crate::verbs::{Query, Risk, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;
use uuid::Uuid;

/// An operation's id (UUID v7: ordered by time of submission).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct OperationId(pub Uuid);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OperationId {
    type Err = uuid::Error;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse().map(OperationId)
    }
}

named! {
    /// The life of an operation.
    OperationState {
        /// A second person has to approve.
        AwaitingApproval = "awaiting_approval",
        /// Waits for a worker.
        Queued = "queued",
        /// A worker holds the lease.
        Running = "running",
        /// Steps are being undone in reverse, after a failure or a cancel.
        Unwinding = "unwinding",
        /// An undo failed, or the plan drifted: a person has to decide.
        NeedsOperator = "needs_operator",
        /// Done.
        Succeeded = "succeeded",
        /// Failed; what could be undone has been.
        Failed = "failed",
        /// Cancelled, rejected or expired; what had been done has been undone.
        Cancelled = "cancelled",
    }
}

impl OperationState {
    /// Whether nothing more will happen by itself or by a person.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            OperationState::Succeeded | OperationState::Failed | OperationState::Cancelled
        )
    }
}

/// What an operation would do, in words and numbers, before anybody commits to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// One sentence: what would happen.
    pub summary: Text,
    /// What would change, one line each. Part of the binding facts.
    pub changes: Vec<Text>,
    /// Binding facts: what would be touched and how. The hash covers them; when they differ at start, the operation asks again.
    pub facts: BTreeMap<String, Value>,
    /// Estimates: durations, counts in flight. They may move.
    #[serde(default)]
    pub estimates: Vec<Text>,
    /// What the reader should think about first.
    #[serde(default)]
    pub warnings: Vec<Text>,
    /// Names of the steps, in order, as message keys (`step.<name>`).
    pub steps: Vec<String>,
    /// Set when a second person has to approve: why.
    #[serde(default)]
    pub approval: Option<Text>,
}

/// A plan together with what the screen needs to confirm it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanView {
    /// The kind of the operation.
    pub kind: String,
    /// Its input.
    pub input: Value,
    /// The plan.
    pub plan: Plan,
    /// SHA-256 of kind, input and binding facts, in hex; goes back with the confirmation.
    pub hash: String,
    /// What it acts on.
    pub target: Target,
    /// How much friction.
    pub risk: Risk,
    /// The operation that holds the target right now, if any: submitting would be refused.
    pub busy: Option<OperationId>,
    /// Why the reader may not submit it, if so.
    pub refused: Option<Text>,
}

/// A wish with what goes along with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The hash of the plan that was shown. Without it the engine plans at submission and binds to that.
    #[serde(default)]
    pub plan_hash: Option<String>,
    /// The submitter's words; required for break-glass.
    #[serde(default)]
    pub reason: Option<String>,
    /// Go on without the second person.
    #[serde(default)]
    pub break_glass: bool,
    /// The same token twice is the same submission: a form posted twice makes one operation.
    #[serde(default)]
    pub token: Option<Uuid>,
}

/// The answer to a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Submitted {
    /// The operation.
    pub operation: OperationId,
    /// Its state right after submission.
    pub state: OperationState,
}

named! {
    /// The life of one step.
    StepState {
        /// Begun; the outside effect may or may not have happened.
        Started = "started",
        /// Remembered.
        Done = "done",
        /// Failed.
        Failed = "failed",
        /// Undone.
        Undone = "undone",
        /// Its undo failed.
        UndoFailed = "undo_failed",
    }
}

/// A step of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepView {
    /// The step's name; its words are the message `step.<name>`.
    pub name: String,
    /// State.
    pub state: StepState,
    /// The attempt that ran it last.
    pub attempt: i32,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub finished_at: Option<OffsetDateTime>,
    /// Why it failed.
    pub failure: Option<Text>,
}

/// One line of an operation's own log, append-only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OperationEventView {
    /// 1, 2, 3 … within the operation.
    pub seq: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: OffsetDateTime,
    /// `submitted`, `approved`, `claimed`, `step_started`, `step_done`, `progress`, `step_failed`, `undo_started`, `undone`, `cancel_requested`, `finished` …
    pub name: String,
    /// What to show.
    pub text: Text,
    /// Progress from 0 to 1, when known.
    pub progress: Option<f32>,
}

/// An operation in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OperationSummary {
    /// Id.
    pub operation: OperationId,
    /// Kind.
    pub kind: String,
    /// The plan's sentence.
    pub summary: Text,
    /// State.
    pub state: OperationState,
    /// What it acts on.
    pub target: Target,
    /// Who submitted it: a person's name, or `schedule: …`, `system`.
    pub submitted_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub submitted_at: OffsetDateTime,
    /// When the first worker began.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub finished_at: Option<OffsetDateTime>,
    /// The step that runs now.
    pub current_step: Option<String>,
    /// Steps done, and steps in the plan.
    pub steps_done: i32,
    /// Steps in the plan.
    pub steps_total: i32,
}

/// An operation's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OperationView {
    /// What the list shows too.
    pub summary: OperationSummary,
    /// Input as submitted.
    pub input: Value,
    /// The plan that was confirmed.
    pub plan: Plan,
    /// Its hash.
    pub plan_hash: String,
    /// The submitter's reason.
    pub reason: Option<String>,
    /// Whether it went on without a second person.
    pub break_glass: bool,
    /// Attempts so far (a new worker takes over with the next number).
    pub attempt: i32,
    /// Steps so far.
    pub steps: Vec<StepView>,
    /// The log.
    pub events: Vec<OperationEventView>,
    /// The outcome, when it succeeded.
    pub outcome: Option<Value>,
    /// Why it failed or waits for an operator.
    pub failure: Option<Text>,
    /// Whether a cancel has been asked for.
    pub cancel_requested: bool,
    /// When the approval lapses.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub approval_expires_at: Option<OffsetDateTime>,
    /// Who approved or rejected.
    pub decided_by: Option<String>,
    /// Whether the reader may cancel it now.
    pub may_cancel: bool,
    /// Whether the reader may approve or reject it now.
    pub may_approve: bool,
    /// Whether the reader may retry it or give it up now ([`RetryOperation`]).
    #[serde(default)]
    pub may_retry: bool,
    /// The plan as it would be now, when the world has drifted from the confirmed one before the start.
    #[serde(default)]
    pub new_plan: Option<Plan>,
    /// The hash of `new_plan`; [`RetryOperation`] gives it back to confirm it.
    #[serde(default)]
    pub new_plan_hash: Option<String>,
}

/// A page of a list with the cursor of the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Page<T> {
    /// Rows.
    pub rows: Vec<T>,
    /// Give this back as `after` to get the next page; `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page from up to `limit + 1` rows: the one too many only says that there are more. `cursor` names a row.
    pub fn cut(mut rows: Vec<T>, limit: u16, cursor: impl Fn(&T) -> String) -> Page<T> {
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next = rows.last().filter(|_| more).map(cursor);
        Page { rows, next }
    }
}

/// `operations.list`: newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ListOperations {
    /// Only these states.
    pub states: Vec<OperationState>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this region.
    pub region: Option<RegionId>,
    /// Only this target (`component:ap-east-1/gateway`).
    pub target: Option<String>,
    /// Part of the target's id, of the kind or of who submitted it, or the beginning of the operation's id.
    pub text: Option<String>,
    /// Keyset cursor.
    pub after: Option<String>,
    /// At most so many rows (1 to 200; 50 when 0).
    pub limit: u16,
}

impl Query for ListOperations {
    const KIND: &'static str = "operations.list";
    const EXAMPLE: &'static str = r#"{"states":["running"],"limit":20}"#;
    const PERMISSION: Permission = Permission::OperationsRead;
    type Answer = Page<OperationSummary>;
}

/// `operations.get`: one operation with steps and log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetOperation {
    /// Which.
    pub operation: OperationId,
}

impl Query for GetOperation {
    const KIND: &'static str = "operations.get";
    const EXAMPLE: &'static str = r#"{"operation":"0190f5f1-30aa-7c4e-b2d1-9e8f7a6b5c4d"}"#;
    const PERMISSION: Permission = Permission::OperationsRead;
    type Answer = OperationView;
}

/// `operations.inbox`: what waits for the reader's approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalInbox {}

impl Query for ApprovalInbox {
    const KIND: &'static str = "operations.inbox";
    const PERMISSION: Permission = Permission::OperationsRead;
    type Answer = Vec<OperationView>;
}

/// A line of the event log: what happened, where, when, caused by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventView {
    /// Id.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: OffsetDateTime,
    /// `operation.submitted`, `alert.firing`, `component.state` …
    pub kind: String,
    /// Environment, if bound to one.
    pub environment: Option<Environment>,
    /// Region, if bound to one.
    pub region: Option<RegionId>,
    /// `noun:id` of what it is about.
    pub subject: String,
    /// What to show.
    pub text: Text,
    /// The operation that caused it.
    pub operation: Option<OperationId>,
}

/// `events.recent`: the event log, newest first ("what changed just before").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RecentEvents {
    /// Only this region.
    pub region: Option<RegionId>,
    /// Only this subject.
    pub subject: Option<String>,
    /// Only these kinds; `deployment` stands for every kind that begins with `deployment.` too. All when empty.
    pub kinds: Vec<String>,
    /// Only from this time on.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub since: Option<OffsetDateTime>,
    /// Only before this time.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub before: Option<OffsetDateTime>,
    /// At most so many (1 to 200; 20 when 0).
    pub limit: u16,
}

impl Query for RecentEvents {
    const KIND: &'static str = "events.recent";
    const EXAMPLE: &'static str = r#"{"region":"ap-east-1","limit":20}"#;
    const PERMISSION: Permission = Permission::OperationsRead;
    type Answer = Vec<EventView>;
}
