//! What a bot received: its newest updates without and with who wrote what, and one as it came.

use crate::access::Permission;
use crate::verbs::Query;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Rows of [`TailBot`] and [`ReadBot`] when nothing else is said.
pub const TAIL: u32 = 30;
/// No answer has more.
pub const TAIL_MOST: u32 = 200;

/// One update as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateView {
    /// Telegram's number of it.
    pub update: i64,
    /// When it was stored.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub received_at: OffsetDateTime,
    /// Its kind, whatever Telegram calls it.
    pub kind: String,
    /// What it carries beside text, `photo` or `voice`, only where content may be read.
    pub media: Option<String>,
    /// The chat, only where content may be read.
    pub chat: Option<i64>,
    /// The sender, only where content may be read.
    pub sender: Option<i64>,
    /// The text, only where content may be read. Nothing when its key was destroyed.
    pub text: Option<String>,
}

/// `bots.tail`: the newest updates of a bot, without who and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TailBot {
    /// The bot's number.
    pub bot: i64,
    /// How many.
    #[serde(default = "usual_tail")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = TAIL_MOST)))]
    pub limit: u32,
}

const fn usual_tail() -> u32 {
    TAIL
}

impl Query for TailBot {
    const KIND: &'static str = "bots.tail";
    const PERMISSION: Permission = Permission::BotsView;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"limit":30}"#;
    type Answer = Vec<UpdateView>;
}

/// `bots.content`: the newest updates of a bot with who wrote what. Each reading is audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadBot {
    /// The bot's number.
    pub bot: i64,
    /// How many.
    #[serde(default = "usual_tail")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = TAIL_MOST)))]
    pub limit: u32,
}

impl Query for ReadBot {
    const KIND: &'static str = "bots.content";
    const PERMISSION: Permission = Permission::BotsContent;
    const PERSONAL_DATA: bool = true;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"limit":30}"#;
    type Answer = Vec<UpdateView>;
}

/// `bots.update`: one update as Telegram sent it. Each reading is audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetUpdate {
    /// The bot's number.
    pub bot: i64,
    /// Telegram's number of the update.
    pub update: i64,
    /// When it was stored, exactly: updates lie by days, and numbers come again.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub received_at: OffsetDateTime,
}

/// One update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateDetail {
    /// Name of the bot, without the @.
    pub username: String,
    /// What lists show of it.
    pub update: UpdateView,
    /// The JSON, byte for byte. Nothing when its key was destroyed.
    pub raw: Option<String>,
    /// What rules did with it that stays here, `drop` or `tag …`.
    pub marks: Vec<String>,
}

impl Query for GetUpdate {
    const KIND: &'static str = "bots.update";
    const PERMISSION: Permission = Permission::BotsContent;
    const PERSONAL_DATA: bool = true;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"update":1,"received_at":"2026-11-26T08:00:00Z"}"#;
    type Answer = UpdateDetail;
}
