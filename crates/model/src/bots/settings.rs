//! How a bot receives: what is wanted, and what Telegram says.

use super::{BotMode, BotOutcome, bot_target};
use crate::access::Permission;
use crate::region::RegionId;
use crate::verbs::{Operation, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What is set of a bot, and what Telegram says is set there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BotSettings {
    /// Kinds of updates that it asks for; none means Telegram's usual ones.
    pub update_kinds: Vec<String>,
    /// Where Telegram shall push to; nothing when it polls.
    pub webhook_url: Option<String>,
    /// Where Telegram would push to. Nothing where the region takes no pushes.
    pub push_url: Option<String>,
    /// Every kind that can be asked for.
    pub kinds: Vec<String>,
    /// Grows with every change.
    pub generation: i64,
    /// What Telegram said; nothing before it was asked.
    pub seen: Option<SeenSettings>,
}

/// What Telegram says of a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeenSettings {
    /// When it was asked.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: OffsetDateTime,
    /// The webhook that is set there; nothing when none is.
    pub webhook_url: Option<String>,
    /// Kinds that it sends; none means its usual ones.
    pub update_kinds: Vec<String>,
    /// When a push last failed.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub last_error_at: Option<OffsetDateTime>,
    /// Why, in Telegram's words.
    pub last_error: Option<String>,
}

impl BotSettings {
    /// Whether Telegram says what is wanted; the kinds of a bot that polls are those of its last poll, and it does not say them. Nothing
    /// before it was asked.
    pub fn agrees(&self) -> Option<bool> {
        let seen = self.seen.as_ref()?;
        let sorted = |kinds: &[String]| {
            let mut kinds = kinds.to_vec();
            kinds.sort();
            kinds
        };
        let kinds = || sorted(&self.update_kinds) == sorted(&seen.update_kinds);
        Some(self.webhook_url == seen.webhook_url && (self.webhook_url.is_none() || kinds()))
    }
}

/// `bot.configure`: how updates come, and which. Its owner sets it at Telegram; what waits there stays, and comes the new way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfigureBot {
    /// The bot's number.
    pub bot: i64,
    /// The region that it lives in.
    pub region: RegionId,
    /// How updates come.
    pub mode: BotMode,
    /// Which kinds; none means Telegram's usual ones.
    #[serde(default)]
    pub update_kinds: Vec<String>,
}

impl Operation for ConfigureBot {
    const KIND: &'static str = "bot.configure";
    const EXAMPLE: &'static str = r#"{"bot":700000001,"region":"eu-west-1","mode":"polling","update_kinds":["message","callback_query"]}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = BotOutcome;

    fn target(&self) -> Target {
        bot_target(self.bot, &self.region)
    }
}
