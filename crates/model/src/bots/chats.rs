//! Chats that a bot has seen, what was written there, and finding it. Reading any of it is reading people's data: each reading is audited.

use crate::access::Permission;
use crate::operation::Page;
use crate::region::RegionId;
use crate::verbs::Query;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Rows of one answer.
pub const CHATS_AT_ONCE: u16 = 50;

/// How far what can be found is behind what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IndexView {
    /// Updates of all bots of the region that are stored and cannot be found yet; 10,000 stands for that many and more.
    pub behind: i64,
    /// For how long the first of them has been stored, in seconds. Nothing when none is behind.
    pub behind_s: Option<i64>,
}

/// A chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChatView {
    /// Telegram's number of it; of a private chat, that of the person.
    pub chat: i64,
    /// `private`, `group`, `supergroup`, `channel`, as Telegram calls it. Nothing where no update named it.
    pub kind: Option<String>,
    /// Title, or the person's name, as it was last seen. Nothing where no update named it, or where its key was destroyed.
    pub name: Option<String>,
    /// Messages received there, without edits.
    pub messages: i64,
    /// When the last update of it was stored.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub last_at: OffsetDateTime,
    /// Why the bot may not speak there. Nothing where it may.
    pub blocked: Option<String>,
}

/// Chats of a bot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChatsView {
    /// Name of the bot, without the @.
    pub username: String,
    /// Where it lives.
    pub region: RegionId,
    /// How far chats are behind what is stored.
    pub index: IndexView,
    /// Those in which something came last first.
    pub page: Page<ChatView>,
}

/// `chats.list`: chats that a bot has seen, all or those with a name. Each reading is audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListChats {
    /// The bot's number.
    pub bot: i64,
    /// Only those whose name has all of these words: the newest 50, without further pages.
    #[serde(default)]
    pub name: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

impl Query for ListChats {
    const KIND: &'static str = "chats.list";
    const PERMISSION: Permission = Permission::BotsContent;
    const PERSONAL_DATA: bool = true;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"name":"tea"}"#;
    type Answer = ChatsView;
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageView {
    /// Its number in its chat.
    pub message: i64,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub written_at: OffsetDateTime,
    /// When this version of it was written. Nothing for a message as it was first sent.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub edited_at: Option<OffsetDateTime>,
    /// Who wrote it: a person, or a chat that speaks for itself.
    pub sender: Option<i64>,
    /// What they are called, as far as an update named them.
    pub sender_name: Option<String>,
    /// What it carries beside text, `photo` or `voice`.
    pub media: Option<String>,
    /// Its text or caption. Nothing when it has none, or when its key was destroyed.
    pub text: Option<String>,
    /// Whether it had a text whose key was destroyed.
    pub destroyed: bool,
    /// Whether the bot itself wrote it. It has no update then, and no sender.
    pub by_bot: bool,
    /// The update that brought it.
    pub update: Option<i64>,
    /// When that was stored. Nothing for what was stored before this was written down.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub received_at: Option<OffsetDateTime>,
}

/// Somebody who wrote in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberView {
    /// Telegram's number of the person.
    pub person: i64,
    /// What they are called, as far as an update named them.
    pub name: Option<String>,
    /// Messages that they wrote there, without edits.
    pub messages: i64,
}

/// A chat with its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConversationView {
    /// Name of the bot, without the @.
    pub username: String,
    /// The chat. Nothing while nothing of it has been indexed.
    pub chat: Option<ChatView>,
    /// The ten who wrote most, with the first page only.
    pub members: Vec<MemberView>,
    /// Newest first, each in its newest version, with what the bot itself wrote in the last six days between them; of the latter 50 a page at most.
    pub page: Page<MessageView>,
}

/// `messages.list`: what was written in a chat. Each reading is audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListMessages {
    /// The bot's number.
    pub bot: i64,
    /// The chat's number.
    pub chat: i64,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

impl Query for ListMessages {
    const KIND: &'static str = "messages.list";
    const PERMISSION: Permission = Permission::BotsContent;
    const PERSONAL_DATA: bool = true;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"chat":-1001234567890}"#;
    type Answer = ConversationView;
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FoundMessage {
    /// Its chat.
    pub chat: i64,
    /// What that is called, as far as an update named it.
    pub chat_name: Option<String>,
    /// The message, in the version that was found.
    pub message: MessageView,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FoundView {
    /// Name of the bot, without the @.
    pub username: String,
    /// How far what can be found is behind what is stored.
    pub index: IndexView,
    /// Newest first.
    pub page: Page<FoundMessage>,
}

/// `messages.search`: messages of a bot that have all of what is asked for. Each reading is audited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SearchMessages {
    /// The bot's number.
    pub bot: i64,
    /// Whole words in any order, without regard to case; parts of words where a script puts no spaces. May be empty when a sender is named.
    #[serde(default)]
    pub words: String,
    /// Only in this chat.
    #[serde(default)]
    pub chat: Option<i64>,
    /// Only by this person, or by this chat that speaks for itself.
    #[serde(default)]
    pub sender: Option<i64>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

impl Query for SearchMessages {
    const KIND: &'static str = "messages.search";
    const PERMISSION: Permission = Permission::BotsContent;
    const PERSONAL_DATA: bool = true;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"words":"where parcel"}"#;
    type Answer = FoundView;
}
