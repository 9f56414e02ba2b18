//! The room Bots: which Telegram bots there are, what is wanted of them, who runs them, and what they receive.
//!
//! A bot is named by the number that Telegram gives it and by the region whose data database it lives in.

use crate::access::{Permission, named};
use crate::region::{Environment, RegionId, Scope};
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use std::fmt;
use time::OffsetDateTime;

pub mod bulk;
pub mod calls;
pub mod chats;
pub mod rules;
mod settings;
pub mod tuning;
mod updates;

pub use settings::{BotSettings, ConfigureBot, SeenSettings};
pub use updates::{GetUpdate, ReadBot, TAIL, TAIL_MOST, TailBot, UpdateDetail, UpdateView};

/// What every concealed token begins with; no token of Telegram's does.
pub const SEALED_PREFIX: &str = "sealed:";
named! {
    /// Whether a bot should run.
    BotDesired {
        /// It should.
        Running = "running",
        /// It should not.
        Stopped = "stopped",
    }
}

named! {
    /// How updates come.
    BotMode {
        /// Its owner asks for them.
        Polling = "polling",
        /// Telegram pushes them.
        Webhook = "webhook",
    }
}

named! {
    /// What a bot is doing, in the order of how much it wants somebody's attention.
    BotCondition {
        /// Its token is not taken any more: nothing arrives until it is replaced.
        Invalid = "invalid",
        /// It failed again and again by our own fault and is left to a person.
        Failed = "failed",
        /// It should run, and no process owns it.
        Unowned = "unowned",
        /// Somebody else polls with its token.
        Conflict = "conflict",
        /// The last call did not succeed; it is tried again.
        Retrying = "retrying",
        /// Its owner has not said anything yet.
        Starting = "starting",
        /// It should not run; its owner still commits what it had received.
        Draining = "draining",
        /// It runs.
        Running = "running",
        /// It does not run, as wished.
        Stopped = "stopped",
    }
}

/// A bot in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BotView {
    /// Telegram's number, the part of the token before the colon.
    pub bot: i64,
    /// Name without the @.
    pub username: String,
    /// Whose data database it lives in.
    pub region: RegionId,
    /// Where it runs: its home first, then the regions that stand by, in their order. Never empty.
    pub regions: Vec<RegionId>,
    /// Where its owner runs; nothing while nobody owns it.
    pub runs_in: Option<RegionId>,
    /// Name of its Bot API server; the address where the settings do not name it.
    pub server: String,
    /// Whether that only stands in for Telegram.
    pub simulator: bool,
    /// How updates come.
    pub mode: BotMode,
    /// What is wanted.
    pub desired: BotDesired,
    /// What is.
    pub condition: BotCondition,
    /// Class of the last error, as its owner wrote it: `unauthorized`, `database`; words under `bot.error.<class>`.
    pub error: Option<String>,
    /// What was said, never with a token.
    pub detail: Option<String>,
    /// Since when its state is this one; nothing before its first owner spoke.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub since: Option<OffsetDateTime>,
    /// The process that owns it; nobody when its lease has ended.
    pub owner: Option<String>,
    /// The number with which its owner acquired it. It only grows.
    pub fence: i64,
    /// Updates stored in the last six days: so long the ledger keeps their numbers. Not known while the ledger has not
    /// been counted.
    pub stored: Option<i64>,
    /// Updates of that time of which it is known that they are not here: numbers that are missing between two that are there, and numbers
    /// without a row. Not known while they have not been counted.
    pub lost: Option<i64>,
    /// Rows beyond the first for one update. Not known while they have not been counted.
    pub doubled: Option<i64>,
    /// When that was counted.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub counted_at: Option<OffsetDateTime>,
    /// When the last update arrived here.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub last_received_at: Option<OffsetDateTime>,
    /// How much later than it was written the last message was stored, in milliseconds. Telegram's dates are whole
    /// seconds, so below one second it says nothing.
    pub lag_ms: Option<i64>,
    /// Updates stored within the last minute. Not known before this console has looked for a minute.
    pub per_minute: Option<i64>,
    /// How long 99 of 100 answers of the last five minutes took at most, from the update's commit to Telegram's confirmation, in
    /// milliseconds. Nothing when there was none.
    pub reply_p99_ms: Option<i64>,
    /// How long Telegram told it to wait (429) within the last 24 hours, in seconds, chats that waited together counted each.
    pub throttled_s: i64,
    /// How long until Telegram drops the first update that waits, if nobody fetches any, in seconds: because it is 24 hours old, or because
    /// 100,000 wait when they come as they have come: an estimate. Nothing when nothing waits, or when it is not known since when.
    pub time_to_loss_s: Option<i64>,
    /// Updates that wait at Telegram, when it was last asked.
    pub pending: Option<i64>,
    /// When it was asked.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub asked_at: Option<OffsetDateTime>,
    /// Updates without a number, kept for replay.
    pub quarantined: i64,
    /// Calls that wait or are being made.
    pub open_calls: i64,
    /// Calls of which nobody knows whether Telegram saw them.
    pub uncertain: i64,
    /// When it was added.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: OffsetDateTime,
}

impl BotView {
    /// The region that runs it in place of its home; nothing while its home does, or nobody.
    pub fn stood_in_by(&self) -> Option<&RegionId> {
        self.runs_in
            .as_ref()
            .filter(|place| self.regions.first() != Some(place))
    }
}

/// A Bot API server that a bot can be added at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerView {
    /// Its name.
    pub name: String,
    /// Whether it only stands in for Telegram.
    pub simulator: bool,
}

/// All bots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetView {
    /// Those that want attention first, then by name.
    pub bots: Vec<BotView>,
    /// Regions whose data database did not answer: their bots are as they were last seen, or missing.
    pub away: Vec<RegionId>,
    /// Whether bots can be added: without a key store nothing can be sealed.
    pub has_keys: bool,
    /// Where bots can be added.
    pub servers: Vec<ServerView>,
}

/// `bots.list`: the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ListBots {
    /// Only this region's.
    pub region: Option<RegionId>,
}

impl Query for ListBots {
    const KIND: &'static str = "bots.list";
    const PERMISSION: Permission = Permission::BotsView;
    type Answer = FleetView;
}

named! {
    /// What happened to a bot: how its ownership changed, or what its owner said of it from then on.
    BotChange {
        /// A process took a bot that nobody owned.
        Acquired = "acquired",
        /// A process took a bot whose owner had not renewed its lease.
        TakenOver = "taken_over",
        /// The owner gave it back.
        Released = "released",
        /// It runs.
        Running = "running",
        /// A call did not succeed; it is tried again.
        Retrying = "retrying",
        /// Somebody else polls with its token.
        Conflict = "conflict",
        /// Its token is not taken any more.
        Invalid = "invalid",
        /// It is left to a person.
        Failed = "failed",
        /// It stopped, as wished.
        Stopped = "stopped",
    }
}

/// A line of a bot's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BotEvent {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: OffsetDateTime,
    /// What happened.
    pub what: BotChange,
    /// Which process, where the ownership changed.
    pub owner: Option<String>,
    /// Class of the error, where its owner said one; words under `bot.error.<class>`.
    pub class: Option<String>,
    /// What was said, never with a token.
    pub detail: Option<String>,
    /// Under which fence.
    pub fence: i64,
}

/// A bot with its timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BotDetail {
    /// The bot, its ledger counted for this answer unless that takes longer than a second.
    pub bot: BotView,
    /// Who owned it and how it was, newest first, 50 at most.
    pub timeline: Vec<BotEvent>,
    /// How it is set, here and at Telegram.
    pub settings: BotSettings,
    /// The number that the next poll starts from: everything below is stored here.
    pub next_offset: i64,
}

/// `bots.one`: one bot, read from its region now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetBot {
    /// Its number.
    pub bot: i64,
}

impl Query for GetBot {
    const KIND: &'static str = "bots.one";
    const PERMISSION: Permission = Permission::BotsView;
    const EXAMPLE: &'static str = r#"{"bot":700000001}"#;
    type Answer = BotDetail;
}

/// A bot's token on its way in. A room puts its sealed form in its place before anything is made of it; `Debug` shows
/// neither.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TokenInput(String);

impl TokenInput {
    /// What was typed, or what is sealed.
    pub fn new(text: impl Into<String>) -> TokenInput {
        TokenInput(text.into())
    }

    /// The bot's number, which stands in both forms before the first colon behind the prefix; 0 where there is none.
    pub fn bot(&self) -> i64 {
        let text = self.0.trim();
        let text = text.strip_prefix(SEALED_PREFIX).unwrap_or(text);
        let number = text.split(':').next().unwrap_or_default();
        number.parse().ok().filter(|n| *n > 0).unwrap_or(0)
    }

    /// The part behind the bot's number of the sealed form; nothing for what somebody typed.
    pub fn sealed(&self) -> Option<&str> {
        self.0
            .strip_prefix(SEALED_PREFIX)?
            .split_once(':')
            .map(|(_, sealed)| sealed)
    }

    /// Everything. For sealing it, and for nothing that is shown or logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}:***\"", self.bot())
    }
}

fn bot_target(bot: i64, region: &RegionId) -> Target {
    Target {
        noun: "bot".into(),
        id: bot.to_string(),
        scope: Scope {
            environment: None::<Environment>,
            region: Some(region.clone()),
        },
    }
}

/// A bot that may run in other regions than that of its data is a matter of all regions.
fn placed_target(bot: i64, region: &RegionId, home: Option<&RegionId>, standby: &[RegionId]) -> Target {
    let mut target = bot_target(bot, region);
    if home.into_iter().chain(standby).any(|place| place != region) {
        target.scope.region = None;
    }
    target
}

/// `bot.add`: writes a bot down that polls and should run. Its token is asked at the server whose bot it is, and is
/// sealed before anything is recorded: nobody reads it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AddBot {
    /// Whose data database it will live in.
    pub region: RegionId,
    /// At which Bot API server, by the name in the settings.
    pub server: String,
    /// The token, as BotFather gives it.
    pub token: TokenInput,
    /// Where it shall run; nothing for the region of its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<RegionId>,
    /// Which regions take it over, in this order, while its home does not run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<RegionId>,
}

impl Operation for AddBot {
    const KIND: &'static str = "bot.add";
    const EXAMPLE: &'static str = r#"{"region":"eu-west-1","server":"telegram","token":"700000001:put_the_token_of_BotFather_in_here"}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    const SECRET: bool = true;
    /// The bot's name.
    type Outcome = String;

    fn target(&self) -> Target {
        placed_target(self.token.bot(), &self.region, self.home.as_ref(), &self.standby)
    }
}

macro_rules! wish {
    ($(#[$meta:meta])* $name:ident, $kind:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The bot's number.
            pub bot: i64,
            /// The region that it lives in.
            pub region: RegionId,
        }

        impl Operation for $name {
            const KIND: &'static str = $kind;
            const EXAMPLE: &'static str = r#"{"bot":700000001,"region":"eu-west-1"}"#;
            const PERMISSION: Permission = Permission::BotsManage;
            const RISK: Risk = Risk::Moderate;
            type Outcome = BotOutcome;

            fn target(&self) -> Target {
                bot_target(self.bot, &self.region)
            }
        }
    };
}

/// What is known when a bot is as wished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BotOutcome {
    /// What it is doing.
    pub condition: BotCondition,
    /// Who owns it.
    pub owner: Option<String>,
    /// With which fence.
    pub fence: i64,
}

wish! {
    /// `bot.start`: it should run, and the operation ends when it does.
    StartBot, "bot.start"
}
wish! {
    /// `bot.stop`: it should not run. What its owner has received is stored first; what waits at Telegram stays there, for
    /// as long as Telegram keeps it.
    StopBot, "bot.stop"
}
wish! {
    /// `bot.restart`: its owner begins anew with the settings of this moment.
    RestartBot, "bot.restart"
}

/// `bot.replace_token`: the same bot goes on with another token; its history stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplaceToken {
    /// The bot's number.
    pub bot: i64,
    /// The region that it lives in.
    pub region: RegionId,
    /// The new token, of the same bot.
    pub token: TokenInput,
}

impl Operation for ReplaceToken {
    const KIND: &'static str = "bot.replace_token";
    const EXAMPLE: &'static str =
        r#"{"bot":700000001,"region":"eu-west-1","token":"700000001:put_the_token_of_BotFather_in_here"}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    const SECRET: bool = true;
    type Outcome = BotOutcome;

    fn target(&self) -> Target {
        bot_target(self.bot, &self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_bot_in_both_forms_and_is_never_shown() {
        let typed = TokenInput::new("700000001:put_the_token_of_BotFather_in_here");
        let sealed = TokenInput::new("sealed:700000001:AQID");
        assert_eq!((typed.bot(), sealed.bot()), (700_000_001, 700_000_001));
        assert_eq!((typed.sealed(), sealed.sealed()), (None, Some("AQID")));
        for token in [typed, sealed] {
            assert_eq!(format!("{token:?}"), "\"700000001:***\"");
        }
        for odd in ["", ":", "-5:x", "bot:x", "sealed:"] {
            assert_eq!(TokenInput::new(odd).bot(), 0, "{odd}");
        }
    }
}
