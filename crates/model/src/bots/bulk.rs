//! Several bots at once, a few at a time, and no further once too many did not come along.

use crate::access::{Permission, named};
use crate::region::{RegionId, Scope};
use crate::verbs::{Operation, Risk, Target};
use serde::{Deserialize, Serialize};

/// Bots that one operation changes at most.
pub const BULK_MOST: usize = 500;
/// Bots that change together at most.
pub const AT_ONCE_MOST: u16 = 50;
/// Bots that change together when nothing else is said.
pub const AT_ONCE: u16 = 5;

named! {
    /// What is wanted of the bots.
    BulkAction {
        /// They should run.
        Start = "start",
        /// They should not.
        Stop = "stop",
        /// Their owners begin anew.
        Restart = "restart",
    }
}

const fn at_once() -> u16 {
    AT_ONCE
}

/// `bots.change`: several bots start, stop or restart, `at_once` at a time. Cancelling it leaves those alone that have not begun; it stops by itself when more than
/// `may_fail` did not come into the wanted state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeBots {
    /// What is wanted.
    pub action: BulkAction,
    /// The bots' numbers, 500 at most.
    pub bots: Vec<i64>,
    /// The region that all of them live in. Without it the right is needed everywhere.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// How many change together.
    #[serde(default = "at_once")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = AT_ONCE_MOST)))]
    pub at_once: u16,
    /// How many may fail before the others are left alone.
    #[serde(default)]
    pub may_fail: u16,
}

/// What became of the bots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangedBots {
    /// So many are as wanted.
    pub changed: usize,
    /// These are not.
    pub failed: Vec<i64>,
}

impl Operation for ChangeBots {
    const KIND: &'static str = "bots.change";
    const EXAMPLE: &'static str =
        r#"{"action":"restart","bots":[700000001,700000002],"region":"eu-west-1","at_once":5,"may_fail":0}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = ChangedBots;

    fn target(&self) -> Target {
        Target {
            noun: "bots".into(),
            id: self.bots.len().to_string(),
            scope: Scope {
                environment: None,
                region: self.region.clone(),
            },
        }
    }

    /// One at a time: two that want different things of the same bots would wait for each other in vain.
    fn concurrency_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }
}
