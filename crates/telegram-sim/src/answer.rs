//! Answers in the Bot API's envelope.

use bytes::Bytes;
use serde_json::{Value, json};

/// What a method comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The result.
    Ok(Value),
    /// The result, written already.
    Raw(Bytes),
    /// A refusal.
    Refused(Refused),
}

/// A refusal in Telegram's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Also the status of HTTP.
    pub code: u16,
    /// The sentence.
    pub description: String,
    /// `parameters.retry_after`.
    pub retry_after: Option<u64>,
    /// `parameters.migrate_to_chat_id`.
    pub migrate_to_chat_id: Option<i64>,
}

impl Refused {
    /// A refusal without parameters.
    pub fn new(code: u16, description: impl Into<String>) -> Self {
        Self {
            code,
            description: description.into(),
            retry_after: None,
            migrate_to_chat_id: None,
        }
    }

    /// 400 with a reason.
    #[must_use]
    pub fn bad(reason: &str) -> Self {
        Self::new(400, format!("Bad Request: {reason}"))
    }

    /// 429.
    #[must_use]
    pub fn too_many(retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(429, format!("Too Many Requests: retry after {retry_after}"))
        }
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Answer {
    /// The result `true`.
    #[must_use]
    pub fn yes() -> Self {
        Self::Ok(Value::Bool(true))
    }

    /// Status of HTTP.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Ok(_) | Self::Raw(_) => 200,
            Self::Refused(refused) => refused.code,
        }
    }

    /// The body.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        match self {
            Self::Raw(body) => body,
            Self::Ok(result) => json!({ "ok": true, "result": result }).to_string().into(),
            Self::Refused(refused) => {
                let mut body = json!({
                    "ok": false, "error_code": refused.code, "description": refused.description,
                });
                if let Some(seconds) = refused.retry_after {
                    body["parameters"]["retry_after"] = seconds.into();
                }
                if let Some(chat) = refused.migrate_to_chat_id {
                    body["parameters"]["migrate_to_chat_id"] = chat.into();
                }
                body.to_string().into()
            }
        }
    }
}
