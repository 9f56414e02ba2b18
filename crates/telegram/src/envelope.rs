//! What surrounds an answer, and the single updates in one.

use bytes::Bytes;

use crate::TelegramError;
use crate::error::Refusal;
use crate::json;

/// One update as Telegram sent it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawUpdate {
    /// Its `update_id`; nothing when it has none that is a number. Such an update is still stored.
    pub id: Option<i64>,
    /// The update's own bytes: a part of the answer, not copied.
    pub json: Bytes,
}

impl RawUpdate {
    /// Takes an update that came alone: the body of a webhook call.
    #[must_use]
    pub fn new(json: Bytes) -> Self {
        let id = json::member(&json, "update_id").and_then(json::number);
        Self { id, json }
    }
}

/// Finds the result in an answer.
///
/// # Errors
/// The refusal when the answer is one; otherwise that it is no answer of a Bot API.
pub fn result(status: u16, body: &Bytes) -> Result<Bytes, TelegramError> {
    if json::member(body, "ok").is_some_and(json::is_true)
        && let Some(result) = json::member(body, "result")
    {
        return Ok(body.slice_ref(result));
    }
    if let Some(refusal) = Refusal::read(status, body) {
        return Err(refusal.into());
    }
    let start = &body[..body.len().min(120)];
    Err(TelegramError::Unintelligible {
        status,
        excerpt: String::from_utf8_lossy(start).into_owned(),
    })
}

/// The updates in an answer of `getUpdates`, in order. No update, however odd, keeps the others from being returned.
///
/// # Errors
/// As [`result`], and when the result is no array.
pub fn updates(status: u16, body: &Bytes) -> Result<Vec<RawUpdate>, TelegramError> {
    let result = result(status, body)?;
    if result.first() != Some(&b'[') {
        return Err(TelegramError::Unintelligible {
            status,
            excerpt: "the result of getUpdates is no list".to_owned(),
        });
    }
    Ok(json::items(&result)
        .map(|item| RawUpdate::new(result.slice_ref(item)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_updates_do_not_hide_the_others() {
        let body = Bytes::from_static(
            b"{\"ok\":true,\"result\":[{\"update_id\":1,\"message\":{\"text\":\"]}\"}}, null , {\"update_id\":\"x\"},\
              {\"message\":\"\xff\xfe\",\"update_id\":2147483647},{\"update_id\":7,\"new\\u006bind\":[[{}]]}]}",
        );
        let found = updates(200, &body).expect("updates");
        let ids: Vec<Option<i64>> = found.iter().map(|update| update.id).collect();
        assert_eq!(ids, [Some(1), None, None, Some(i64::from(i32::MAX)), Some(7)]);
        assert_eq!(
            found[3].json,
            &b"{\"message\":\"\xff\xfe\",\"update_id\":2147483647}"[..]
        );
    }

    #[test]
    fn answers_that_are_none() {
        for body in [
            "",
            "[]",
            "{}",
            "<html>",
            "{\"ok\":true}",
            "{\"ok\":1,\"result\":[]}",
        ] {
            let answer = result(502, &Bytes::from(body));
            assert!(
                matches!(answer, Err(TelegramError::Unintelligible { status: 502, .. })),
                "{body}"
            );
        }
        let no_list = updates(200, &Bytes::from_static(b"{\"ok\":true,\"result\":{}}"));
        assert!(matches!(no_list, Err(TelegramError::Unintelligible { .. })));
    }
}
