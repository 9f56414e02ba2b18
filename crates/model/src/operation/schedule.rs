//! Schedules: cron expressions that submit.

use super::OperationId;
use crate::access::Permission;
use crate::region::Scope;
use crate::text::Text;
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// A cron expression that submits an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleView {
    /// Id.
    pub schedule: Uuid,
    /// Name.
    pub name: String,
    /// Five-field cron expression, in UTC.
    pub cron: String,
    /// Kind of operation that is submitted.
    pub kind: String,
    /// Its input.
    pub input: Value,
    /// Paused schedules submit nothing.
    pub paused: bool,
    /// When it submits next.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub next_at: Option<OffsetDateTime>,
    /// What it submitted last.
    pub last_operation: Option<OperationId>,
    /// Why the last submission was refused.
    pub last_failure: Option<Text>,
}

/// `schedules.list`: by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListSchedules {}

impl Query for ListSchedules {
    const KIND: &'static str = "schedules.list";
    const PERMISSION: Permission = Permission::SchedulesRead;
    type Answer = Vec<ScheduleView>;
}

/// Characters of a schedule's name.
pub const LONGEST_NAME: usize = 100;

/// `schedule.create`: submits `kind` with `input` whenever `cron` comes round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateSchedule {
    /// A name that people recognise; unique.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = LONGEST_NAME)))]
    pub name: String,
    /// Five-field cron expression, in UTC.
    pub cron: String,
    /// Kind of operation.
    pub kind: String,
    /// Its input.
    pub input: Value,
}

impl Operation for CreateSchedule {
    const KIND: &'static str = "schedule.create";
    const EXAMPLE: &'static str = r#"{"name":"nightly","cron":"0 3 * * *","kind":"component.restart","input":{"component":"ap-east-1/gateway"}}"#;
    const PERMISSION: Permission = Permission::SchedulesManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = Uuid;

    fn target(&self) -> Target {
        Target {
            noun: "schedule".into(),
            id: self.name.clone(),
            scope: Scope::ANY,
        }
    }
}

/// `schedule.pause`: pauses or resumes a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseSchedule {
    /// The schedule's name.
    pub name: String,
    /// `true` pauses, `false` resumes.
    pub paused: bool,
}

impl Operation for PauseSchedule {
    const KIND: &'static str = "schedule.pause";
    const EXAMPLE: &'static str = r#"{"name":"nightly","paused":true}"#;
    const PERMISSION: Permission = Permission::SchedulesManage;
    const RISK: Risk = Risk::Trivial;
    type Outcome = ();

    fn target(&self) -> Target {
        Target {
            noun: "schedule".into(),
            id: self.name.clone(),
            scope: Scope::ANY,
        }
    }
}

/// `schedule.delete`: deletes a schedule; what it has submitted stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteSchedule {
    /// The schedule's name.
    pub name: String,
}

impl Operation for DeleteSchedule {
    const KIND: &'static str = "schedule.delete";
    const EXAMPLE: &'static str = r#"{"name":"nightly"}"#;
    const PERMISSION: Permission = Permission::SchedulesManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = ();

    fn target(&self) -> Target {
        Target {
            noun: "schedule".into(),
            id: self.name.clone(),
            scope: Scope::ANY,
        }
    }
}
