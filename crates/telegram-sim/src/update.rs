//! Updates before they have an id.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::Value;

use crate::clock::Millis;

/// An update that waits for its id.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The member beside `update_id`; empty when the text is no JSON object.
    pub kind: String,
    /// What a webhook keeps in order: the chat, or the person.
    pub order: i64,
    /// When Telegram forgets it.
    pub expires: Millis,
    /// What it can be answered by, and until when.
    pub query: Option<(String, Millis)>,
    /// The JSON object's text after its opening brace.
    pub rest: Bytes,
}

impl Draft {
    /// Reads an update without `update_id`; its bytes are kept as they are. A text that is no JSON object is taken, too:
    /// a client must stand it.
    #[must_use]
    pub fn read(text: &str, now: Millis) -> Self {
        let text = text.trim();
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let kind = value
            .as_object()
            .and_then(|members| members.keys().find(|name| *name != "update_id"))
            .cloned()
            .unwrap_or_default();
        let payload = &value[&kind];
        let rest = text.strip_prefix('{').unwrap_or(text).to_owned();
        let id = |value: &Value| value["id"].as_i64();
        let chat = id(&payload["chat"]).or_else(|| id(&payload["message"]["chat"]));
        let person = id(&payload["from"]).or_else(|| id(&payload["user"]));
        let by_person = matches!(
            kind.as_str(),
            "callback_query" | "inline_query" | "shipping_query" | "pre_checkout_query"
        );
        let order = if by_person {
            person.or(chat)
        } else {
            chat.or(person)
        };
        let date = if kind.starts_with("edited_") {
            &payload["edit_date"]
        } else {
            &payload["date"]
        };
        let expires = kept_until(&kind, date.as_i64(), now);
        let query = payload["id"].as_str().filter(|_| by_person);
        Self {
            query: query.map(|id| (id.to_owned(), expires)),
            kind,
            order: order.unwrap_or_default(),
            expires,
            rest: rest.into(),
        }
    }

    /// The update with its id.
    #[must_use]
    pub fn with_id(&self, id: i64) -> Bytes {
        let mut digits = itoa::Buffer::new();
        let mut json = BytesMut::with_capacity(self.rest.len() + 32);
        json.put_slice(b"{\"update_id\":");
        json.put_slice(digits.format(id).as_bytes());
        if self.rest.trim_ascii_start().first() != Some(&b'}') {
            json.put_u8(b',');
        }
        json.put_slice(&self.rest);
        json.freeze()
    }
}

/// How long Telegram keeps an update: messages by their own date, what somebody waits for only as long as they do.
#[must_use]
pub fn kept_until(kind: &str, date: Option<i64>, now: Millis) -> Millis {
    let seconds = match kind {
        "inline_query" => 30,
        "callback_query" | "shipping_query" | "pre_checkout_query" => 150,
        "chosen_inline_result" => 600,
        _ => 24 * 3600,
    };
    let from = match kind {
        "message"
        | "edited_message"
        | "channel_post"
        | "edited_channel_post"
        | "business_message"
        | "edited_business_message"
        | "guest_message" => date.map_or(now, |date| date.saturating_mul(1000)),
        _ => now,
    };
    from.saturating_add(seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept() {
        let text = r#"{ "message" : {"chat":{"id":-5},"from":{"id":7},"date":100, "text":"\u00e9"} }"#;
        let draft = Draft::read(text, 900_000);
        assert_eq!(
            (draft.kind.as_str(), draft.order, draft.expires),
            ("message", -5, 86_500_000)
        );
        let json = draft.with_id(12);
        assert_eq!(
            &json[..],
            [&b"{\"update_id\":12,"[..], &text.as_bytes()[1..]].concat()
        );
        assert_eq!(&Draft::read("{}", 0).with_id(1)[..], b"{\"update_id\":1}");
    }

    #[test]
    fn each_kind_has_its_own_end() {
        let callback =
            r#"{"callback_query":{"id":"9","from":{"id":7},"message":{"chat":{"id":-5},"date":1}}}"#;
        let draft = Draft::read(callback, 1000);
        assert_eq!(
            (draft.order, draft.expires, draft.query),
            (7, 151_000, Some(("9".to_owned(), 151_000)))
        );
        assert_eq!(
            Draft::read(r#"{"inline_query":{"id":"9","from":{"id":7}}}"#, 1000).expires,
            31_000
        );
        assert_eq!(Draft::read(r#"{"chosen_inline_result":{}}"#, 0).expires, 600_000);
        assert_eq!(
            Draft::read(r#"{"edited_message":{"date":1,"edit_date":200}}"#, 0).expires,
            86_600_000
        );
        assert_eq!(Draft::read("no JSON", 5).expires, 86_400_005);
    }
}
