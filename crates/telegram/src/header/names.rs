//! What chats and people are called: needed for showing and finding them, not on the way of every update.

use super::{Chat, ChatKind, parts, read_chat};
use crate::json::{member, string};

/// A person or a chat, as an update names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub id: i64,
    /// What kind of chat; nothing for a person.
    pub kind: Option<ChatKind>,
    /// Title of a chat, or first and last name of a person; then the user name with an @, where there is one. Never empty.
    pub name: String,
}

/// What an update says of names. Every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The chat that it is about.
    pub chat: Option<Named>,
    /// The person who caused it; nothing when a chat speaks for itself.
    pub person: Option<Named>,
}

impl Names {
    /// Reads an update. Cannot fail: of a text that is no update, everything is missing.
    #[must_use]
    pub fn read(update: &[u8]) -> Names {
        let (_, _, payload) = parts(update);
        let within = member(payload, "message").filter(|value| value.first() == Some(&b'{'));
        let chat = member(payload, "chat").or_else(|| within.and_then(|message| member(message, "chat")));
        let person = member(payload, "from").or_else(|| member(payload, "user"));
        Names {
            chat: chat.and_then(named),
            person: person.and_then(named),
        }
    }
}

fn named(value: &[u8]) -> Option<Named> {
    let Chat { id, kind } = read_chat(value)?;
    let part = |name: &str| {
        let text = member(value, name).and_then(string)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let user = part("username").map(|user| format!("@{user}"));
    let words: Vec<String> = [part("title"), part("first_name"), part("last_name"), user]
        .into_iter()
        .flatten()
        .collect();
    (!words.is_empty()).then(|| Named {
        id,
        kind,
        name: words.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Plain = Option<(i64, String)>;

    fn read(text: &str) -> (Plain, Plain) {
        let names = Names::read(text.as_bytes());
        let plain = |named: Option<Named>| named.map(|named| (named.id, named.name));
        (plain(names.chat), plain(names.person))
    }

    #[test]
    fn a_group_has_a_title_and_a_person_up_to_two_names() {
        let (chat, person) = read(
            r#"{"update_id":1,"message":{"from":{"id":42,"first_name":"Li\u006e","last_name":"Wei","username":"linwei"},
            "chat":{"id":-100,"type":"supergroup","title":"Tea \"lovers\""},"text":"x"}}"#,
        );
        assert_eq!(chat, Some((-100, r#"Tea "lovers""#.to_owned())));
        assert_eq!(person, Some((42, "Lin Wei @linwei".to_owned())));
    }

    #[test]
    fn a_button_is_in_the_chat_of_its_message_and_a_channel_has_no_person() {
        let (chat, person) = read(
            r#"{"update_id":1,"callback_query":{"from":{"id":42,"first_name":"A"},"message":{"chat":{"id":42,"first_name":"A"}}}}"#,
        );
        assert_eq!(
            (chat, person),
            (Some((42, "A".to_owned())), Some((42, "A".to_owned())))
        );
        let (chat, person) = read(
            r#"{"update_id":1,"channel_post":{"sender_chat":{"id":-7,"title":"News"},"chat":{"id":-7,"title":"News"}}}"#,
        );
        assert_eq!((chat, person), (Some((-7, "News".to_owned())), None));
    }

    #[test]
    fn what_has_no_name_or_no_number_is_not_there() {
        let nothing = (None, None);
        assert_eq!(
            read(r#"{"update_id":1,"message":{"chat":{"id":-5},"from":{"first_name":"A"}}}"#),
            nothing
        );
        assert_eq!(
            read(r#"{"update_id":1,"message":{"chat":{"id":-5,"title":"  "},"from":7}}"#),
            nothing
        );
        assert_eq!(read("no update"), nothing);
    }
}
