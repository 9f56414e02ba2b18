//! Calls: what a bot shall say at Telegram, and what became of it.

use super::bot_target;
use crate::access::{Permission, named};
use crate::region::RegionId;
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Rows of one answer.
pub const CALLS_MOST: u32 = 200;
/// Calls that one operation changes at most.
pub const CALLS_AT_ONCE: usize = 100;

named! {
    /// Where a call is in its life.
    CallState {
        /// It was being made when its owner died, or when the answer did not come: nobody knows whether Telegram saw it.
        Uncertain = "uncertain",
        /// It will not be made.
        Failed = "failed",
        /// It will be made.
        Pending = "pending",
        /// It is being made.
        Sending = "sending",
        /// Telegram confirmed it.
        Sent = "sent",
    }
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallView {
    /// Its number.
    pub call: i64,
    /// Method of the Bot API.
    pub method: String,
    /// Where it is.
    pub state: CallState,
    /// The update that it answers.
    pub update: Option<i64>,
    /// The rule that made it.
    pub rule: Option<i64>,
    /// How often it was begun.
    pub attempts: i32,
    /// Telegram's number of the message that came of it.
    pub message: Option<i64>,
    /// Class of the last error; words under `bot.error.<class>` or `call.class.<class>`.
    pub class: Option<String>,
    /// What was said, never with a token.
    pub detail: Option<String>,
    /// When it was put in.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub changed_at: OffsetDateTime,
}

/// An update that has no number, kept as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuarantinedView {
    /// Its row.
    pub id: i64,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub received_at: OffsetDateTime,
    /// Why it is here.
    pub reason: String,
}

/// A bot's calls, without where they go and what they say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallsView {
    /// Name of the bot, without the @.
    pub username: String,
    /// Where it lives.
    pub region: RegionId,
    /// How many wait or are being made.
    pub open: i64,
    /// How many are uncertain.
    pub uncertain: i64,
    /// The newest, [`CALLS_MOST`] at most.
    pub calls: Vec<CallView>,
    /// Updates in quarantine, the newest [`CALLS_MOST`].
    pub quarantined: Vec<QuarantinedView>,
}

/// `calls.list`: what a bot shall say and has said, and what it received and cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListCalls {
    /// The bot's number.
    pub bot: i64,
    /// Only in this state.
    #[serde(default)]
    pub state: Option<CallState>,
}

impl Query for ListCalls {
    const KIND: &'static str = "calls.list";
    const PERMISSION: Permission = Permission::BotsView;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"state":"uncertain"}"#;
    type Answer = CallsView;
}

macro_rules! decides {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $risk:ident, $(#[$which:meta])* $list:ident, $outcome:ty) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The bot's number.
            pub bot: i64,
            /// The region that it lives in.
            pub region: RegionId,
            $(#[$which])*
            pub $list: Vec<i64>,
        }

        impl Operation for $name {
            const KIND: &'static str = $kind;
            const EXAMPLE: &'static str =
                concat!(r#"{"bot":700000001,"region":"eu-west-1",""#, stringify!($list), r#"":[1]}"#);
            const PERMISSION: Permission = Permission::BotsManage;
            const RISK: Risk = Risk::$risk;
            type Outcome = $outcome;

            fn target(&self) -> Target {
                bot_target(self.bot, &self.region)
            }
        }
    };
}

decides! {
    /// `call.resend`: uncertain or failed calls are made once more, by a person's word. Whoever had an uncertain one already gets it twice.
    /// The outcome is how many.
    ResendCalls, "call.resend", Moderate,
    /// Which calls, [`CALLS_AT_ONCE`] at most.
    calls, u64
}
decides! {
    /// `call.give_up`: pending or uncertain calls are not made any more. The outcome is how many.
    GiveUpCalls, "call.give_up", Moderate,
    /// Which calls, [`CALLS_AT_ONCE`] at most.
    calls, u64
}

/// What came of reading again what lay in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplayOutcome {
    /// Were stored as updates.
    pub stored: u64,
    /// Had been stored before, by the number that they have.
    pub repeats: u64,
    /// Still cannot be read, and stay.
    pub left: u64,
}

decides! {
    /// `quarantine.replay`: what came without a number is read again by this version, and stored as if it had just come when it has one now.
    ReplayQuarantine, "quarantine.replay", Moderate,
    /// Which rows, [`CALLS_AT_ONCE`] at most.
    rows, ReplayOutcome
}
decides! {
    /// `quarantine.discard`: what came without a number is thrown away; nobody reads it again. The outcome is how many.
    DiscardQuarantine, "quarantine.discard", High,
    /// Which rows, [`CALLS_AT_ONCE`] at most.
    rows, u64
}
