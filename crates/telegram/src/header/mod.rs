//! The handful of facts that rules and storage need of an update.

mod kind;
mod names;

use std::borrow::Cow;
use std::time::Duration;

pub use kind::{ChatKind, Kind, Media};
pub use names::{Named, Names};

use crate::json::{is_true, items, member, members, number, string};

/// What an update is about. Every part may be missing: an odd part is a missing one, and never more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// `update_id`.
    pub update_id: Option<i64>,
    /// Nothing when there is no other member than `update_id`.
    pub kind: Option<Kind>,
    /// Where it happened.
    pub chat: Option<Chat>,
    /// Who did it.
    pub sender: Option<Sender<'a>>,
    /// Number of the message within its chat.
    pub message_id: Option<i64>,
    /// Thread or topic.
    pub thread_id: Option<i64>,
    /// Seconds since 1970; of the message that a button belongs to when it is about a button.
    pub date: Option<i64>,
    /// When it was edited.
    pub edit_date: Option<i64>,
    /// Words, and where they stood.
    pub text: Option<(TextFrom, Cow<'a, str>)>,
    /// What it carries.
    pub media: Option<Attachment<'a>>,
    /// Common to the parts of one album.
    pub media_group_id: Option<Cow<'a, str>>,
    /// What to answer a callback, inline, shipping or pre-checkout query with.
    pub query_id: Option<Cow<'a, str>>,
    /// The connected business account that it came through.
    pub business_connection_id: Option<Cow<'a, str>>,
    /// The id under which the group goes on.
    pub migrate_to_chat_id: Option<i64>,
    /// The id that the group had.
    pub migrate_from_chat_id: Option<i64>,
}

/// A chat. Ids have up to 52 significant bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// Its id; groups and channels are negative.
    pub id: i64,
    /// Its kind.
    pub kind: Option<ChatKind>,
}

/// Who did it: a person or bot, or a chat that speaks for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender<'a> {
    /// The id of the user, or of the chat.
    pub id: i64,
    /// Whether it is a chat.
    pub is_chat: bool,
    /// Whether it is a bot.
    pub is_bot: bool,
    /// The language of the sender's program, such as `pt-BR`.
    pub language_code: Option<Cow<'a, str>>,
}

/// Where words stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFrom {
    /// The message itself.
    Text,
    /// Below a picture or file.
    Caption,
    /// Of an inline query.
    Query,
    /// Behind the button that was pressed.
    Data,
}

/// A file, or another thing in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment<'a> {
    /// What it is.
    pub kind: Media,
    /// What this bot can fetch it with.
    pub file_id: Option<Cow<'a, str>>,
    /// What it is known by, to all bots and for ever.
    pub file_unique_id: Option<Cow<'a, str>>,
    /// In bytes; may exceed 31 bits.
    pub file_size: Option<i64>,
}

impl<'a> Header<'a> {
    /// Reads an update. Cannot fail: of a text that is no update, everything is missing.
    #[must_use]
    pub fn read(update: &'a [u8]) -> Self {
        let (update_id, kind, payload) = parts(update);
        let mut header = Self {
            update_id,
            kind,
            ..Self::default()
        };
        header.read_payload(payload);
        header
    }

    /// What must stay in order: updates of one chat, or of one person where there is no chat.
    #[must_use]
    pub fn order_key(&self) -> Option<i64> {
        let chat = self.chat.as_ref().map(|chat| chat.id);
        chat.or_else(|| self.sender.as_ref().map(|sender| sender.id))
    }

    /// When Telegram forgets it if it is not confirmed, in seconds since 1970; `received` is used for kinds without a
    /// date of their own.
    #[must_use]
    pub fn kept_until(&self, received: i64) -> i64 {
        let kept = self
            .kind
            .as_ref()
            .map_or(Duration::from_secs(24 * 3600), Kind::kept_for);
        let kept = i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
        let from = match &self.kind {
            Some(Kind::Message | Kind::ChannelPost | Kind::BusinessMessage | Kind::GuestMessage) => self.date,
            Some(Kind::EditedMessage | Kind::EditedChannelPost | Kind::EditedBusinessMessage) => {
                self.edit_date
            }
            _ => None,
        };
        from.unwrap_or(received).saturating_add(kept)
    }

    fn read_payload(&mut self, payload: &'a [u8]) {
        let mut user = None;
        let mut speaks_as = None;
        let mut of_a_button = None;
        for (name, value) in members(payload) {
            match &*name {
                b"message_id" => self.message_id = number(value),
                b"message_thread_id" => self.thread_id = number(value),
                b"chat" => self.chat = read_chat(value),
                b"from" | b"user" => user = read_user(value).or(user),
                b"sender_chat" | b"actor_chat" | b"voter_chat" => speaks_as = read_chat(value),
                b"date" => self.date = number(value),
                b"edit_date" => self.edit_date = number(value),
                b"text" => self.set_text(TextFrom::Text, value),
                b"caption" => self.set_text(TextFrom::Caption, value),
                b"query" => self.set_text(TextFrom::Query, value),
                b"data" => self.set_text(TextFrom::Data, value),
                b"media_group_id" => self.media_group_id = string(value),
                b"business_connection_id" => self.business_connection_id = string(value),
                b"migrate_to_chat_id" => self.migrate_to_chat_id = number(value),
                b"migrate_from_chat_id" => self.migrate_from_chat_id = number(value),
                b"id" => self.query_id = string(value),
                b"message" => of_a_button = Some(value),
                other => self.set_media(other, value),
            }
        }
        if !self.kind.as_ref().is_some_and(Kind::is_urgent) {
            // Elsewhere `id` names a poll or a connection.
            self.query_id = None;
        }
        if let Some(message) = of_a_button.filter(|value| value.first() == Some(&b'{')) {
            self.chat = self.chat.take().or(member(message, "chat").and_then(read_chat));
            self.message_id = self.message_id.or(member(message, "message_id").and_then(number));
            self.thread_id = self
                .thread_id
                .or(member(message, "message_thread_id").and_then(number));
            self.date = self.date.or(member(message, "date").and_then(number));
        }
        // A message that is too old to be seen has the date 0.
        self.date = self.date.filter(|date| *date > 0);
        self.edit_date = self.edit_date.filter(|date| *date > 0);
        self.sender = match speaks_as {
            Some(chat) => Some(Sender {
                id: chat.id,
                is_chat: true,
                is_bot: false,
                language_code: None,
            }),
            None => user,
        };
    }

    fn set_text(&mut self, from: TextFrom, value: &'a [u8]) {
        if let Some(text) = string(value) {
            self.text = Some((from, text));
        }
    }

    fn set_media(&mut self, name: &[u8], value: &'a [u8]) {
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        let kind = match Media::from_name(name) {
            // An animation comes as a document, too, and a venue as a location.
            Media::Other(_) => return,
            Media::Document | Media::Location if self.media.is_some() => return,
            kind => kind,
        };
        let file = match value.first() {
            Some(b'{') => value,
            // Sizes of a photo: the last is the largest.
            Some(b'[') => match items(value).last() {
                Some(largest) => largest,
                None => return,
            },
            _ => return,
        };
        let text = |name| member(file, name).and_then(string);
        self.media = Some(Attachment {
            kind,
            file_id: text("file_id"),
            file_unique_id: text("file_unique_id"),
            file_size: member(file, "file_size").and_then(number),
        });
    }
}

/// Number, kind and payload of an update.
fn parts(update: &[u8]) -> (Option<i64>, Option<Kind>, &[u8]) {
    let (mut update_id, mut found, mut payload): (_, Option<Kind>, &[u8]) = (None, None, &[]);
    for (name, value) in members(update) {
        if &*name == b"update_id" {
            update_id = update_id.or(number(value));
            continue;
        }
        let kind = Kind::from_name(&String::from_utf8_lossy(&name));
        let is_better = match (&found, &kind) {
            (None, _) => true,
            // Telegram sends one kind an update. Should a new member come beside it, the known one counts.
            (Some(Kind::Other(_)), known) => {
                !matches!(known, Kind::Other(_)) || payload.first() != Some(&b'{')
            }
            (Some(_), _) => false,
        };
        if is_better && (value.first() == Some(&b'{') || found.is_none()) {
            found = Some(kind);
            payload = value;
        }
    }
    (update_id, found, payload)
}

fn read_chat(value: &[u8]) -> Option<Chat> {
    let id = member(value, "id").and_then(number)?;
    let kind = member(value, "type").and_then(string);
    Some(Chat {
        id,
        kind: kind.map(|name| ChatKind::from_name(&name)),
    })
}

fn read_user(value: &[u8]) -> Option<Sender<'_>> {
    Some(Sender {
        id: member(value, "id").and_then(number)?,
        is_chat: false,
        is_bot: member(value, "is_bot").is_some_and(is_true),
        language_code: member(value, "language_code").and_then(string),
    })
}

#[cfg(test)]
mod tests;
