//! From what Telegram sent to what is stored.

use crate::ingest::{Message, Update};
use bagua_telegram::header::{Header, TextFrom};
use bagua_telegram::{Kind, RawUpdate};
use bytes::Bytes;
use time::OffsetDateTime;

/// Longest name of a kind that is kept as such; Telegram's have 27 letters at most.
const LONGEST_NAME: usize = 64;

/// What an update turned out to be.
pub enum Read {
    /// One with a number.
    Update(Box<Update>),
    /// Something without: it goes to quarantine.
    WithoutNumber(Bytes),
}

/// Reads what storage needs. Odd parts are missing parts; the raw bytes are kept whatever they are.
pub fn read(raw: RawUpdate) -> Read {
    let Some(update_id) = raw.id else {
        return Read::WithoutNumber(raw.json);
    };
    let header = Header::read(&raw.json);
    let kind = match &header.kind {
        Some(kind) => plain(kind.name()),
        None => "none".to_owned(),
    };
    let update = Update {
        update_id,
        kind,
        chat: header.chat.as_ref().map(|chat| chat.id),
        sender: header.sender.as_ref().map(|sender| sender.id),
        message: message(&header),
        raw: raw.json.clone(),
    };
    Read::Update(Box::new(update))
}

/// A new or edited message, if it is one.
fn message(header: &Header<'_>) -> Option<Message> {
    let edited = match header.kind.as_ref()? {
        Kind::Message | Kind::ChannelPost | Kind::BusinessMessage | Kind::GuestMessage => false,
        Kind::EditedMessage | Kind::EditedChannelPost | Kind::EditedBusinessMessage => true,
        _ => return None,
    };
    let date = header.date.filter(|date| *date > 0)?;
    Some(Message {
        id: header.message_id?,
        // A year beyond 9999 is no date.
        date: OffsetDateTime::from_unix_timestamp(date).ok()?,
        edit_date: if edited {
            header.edit_date.unwrap_or(date)
        } else {
            0
        },
        media: header.media.as_ref().map(|media| plain(media.kind.name())),
        text: header.text.as_ref().and_then(|(from, text)| match from {
            TextFrom::Text | TextFrom::Caption => Some(text.to_string()),
            TextFrom::Query | TextFrom::Data => None,
        }),
    })
}

/// A name that PostgreSQL takes: without the character that it cannot store, and not endless.
pub(crate) fn plain(name: &str) -> String {
    name.chars()
        .filter(|letter| *letter != '\0')
        .take(LONGEST_NAME)
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    fn update(json: &'static str) -> Update {
        match read(RawUpdate::new(Bytes::from_static(json.as_bytes()))) {
            Read::Update(update) => *update,
            Read::WithoutNumber(_) => panic!("{json} has a number"),
        }
    }

    #[test]
    fn a_message_is_read() {
        let read = update(
            r#"{"update_id":9,"message":{"message_id":4,"from":{"id":42,"is_bot":false},"chat":{"id":-5,"type":"group"},"date":1795000000,"text":"hi"}}"#,
        );
        assert_eq!(
            (read.update_id, read.kind.as_str(), read.chat, read.sender),
            (9, "message", Some(-5), Some(42))
        );
        let message = read.message;
        assert!(message.is_some_and(|m| m.id == 4 && m.edit_date == 0 && m.text.as_deref() == Some("hi")));
    }

    #[test]
    fn an_edit_is_a_version_and_a_button_is_no_message() {
        let edit = update(
            r#"{"update_id":9,"edited_message":{"message_id":4,"chat":{"id":5,"type":"private"},"date":1795000000,"edit_date":1795000060,"text":"ho"}}"#,
        );
        assert!(edit.message.is_some_and(|m| m.edit_date == 1_795_000_060));
        let button = update(
            r#"{"update_id":9,"callback_query":{"id":"1","from":{"id":42},"message":{"message_id":4,"chat":{"id":5},"date":1795000000},"data":"x"}}"#,
        );
        assert!(button.message.is_none());
        assert_eq!(button.sender, Some(42));
    }

    #[test]
    fn what_postgresql_cannot_store_is_left_out_of_names_and_not_of_the_raw_update() {
        let odd = update(r#"{"update_id":9,"tele\u0000pathy":{"date":99999999999999}}"#);
        assert_eq!(odd.kind, "telepathy");
        assert!(odd.message.is_none());
        assert!(String::from_utf8_lossy(&odd.raw).contains("\\u0000"));
        assert_eq!(update(r#"{"update_id":9}"#).kind, "none");
    }

    #[test]
    fn an_update_without_a_number_is_kept_apart() {
        let raw = RawUpdate::new(Bytes::from_static(br#"{"update_id":"nine"}"#));
        assert!(matches!(read(raw), Read::WithoutNumber(_)));
    }
}
