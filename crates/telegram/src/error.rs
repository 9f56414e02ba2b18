//! What can go wrong with a call, in classes that a caller can act on.

use std::time::Duration;

use crate::json;

/// Why a call has no result. Neither `{}` nor `{:?}` contains a token.
#[derive(Debug, thiserror::Error)]
pub enum TelegramError {
    /// No connection came about; Telegram has seen nothing of the call.
    #[error("no connection to the Bot API server: {0}")]
    Unreachable(String),
    /// The call was under way when the connection ended. It may have been carried out.
    #[error("the connection to the Bot API server ended within the call: {0}")]
    Interrupted(String),
    /// No answer in time. The call may have been carried out.
    #[error("the Bot API server did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// An answer that is not the Bot API's: a proxy, or the wrong address.
    #[error("HTTP {status}, and no answer of a Bot API: {excerpt}")]
    Unintelligible {
        /// Status of HTTP.
        status: u16,
        /// The first characters.
        excerpt: String,
    },
    /// Telegram answered no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was to be sent cannot be written as JSON, or the address cannot be built.
    #[error("the call cannot be written: {0}")]
    Unwritable(String),
    /// A file is larger than the caller takes.
    #[error("the file has more than {limit} bytes, which is the most that is taken here")]
    FileTooBig {
        /// The caller's limit.
        limit: u64,
    },
}

/// Telegram's refusal of a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Telegram refused with {code}: {description}")]
pub struct Refusal {
    /// `error_code`, or the status of HTTP.
    pub code: i64,
    /// Telegram's sentence, in English.
    pub description: String,
    /// When to try again, from `parameters.retry_after`.
    pub retry_after: Option<Duration>,
    /// The id that the group has now, from `parameters.migrate_to_chat_id`.
    pub migrate_to_chat_id: Option<i64>,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again later, with growing pauses.
    Transient,
    /// Try again no sooner than this.
    Throttled(Duration),
    /// Somebody else polls this bot. It is a hint, no lock: without a waiting poll there is no such answer.
    OtherPoller,
    /// A webhook is set, so polling is refused.
    WebhookActive,
    /// The token was revoked. Nothing will ever work with it again.
    Unauthorized,
    /// The bot was logged out of this server; it may be at home at another.
    LoggedOut,
    /// The token belongs to another part of a local server that is cut into several.
    WrongServer,
    /// Neither this token nor this method exists there.
    NotFound,
    /// The group has another id now; send there.
    Migrated(i64),
    /// The receiver blocked the bot, or the bot was removed. Do not send there.
    Blocked,
    /// The file or message is too large; it will be so the next time.
    TooBig,
    /// The call itself is wrong; repeating it helps nobody.
    BadRequest,
}

impl Class {
    /// Whether no call of this bot will succeed until a person does something.
    #[must_use]
    pub fn ends_the_bot(self) -> bool {
        matches!(
            self,
            Self::Unauthorized | Self::LoggedOut | Self::WrongServer | Self::NotFound
        )
    }

    /// A name for metrics and rows, which never changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled(_) => "throttled",
            Self::OtherPoller => "other_poller",
            Self::WebhookActive => "webhook_active",
            Self::Unauthorized => "unauthorized",
            Self::LoggedOut => "logged_out",
            Self::WrongServer => "wrong_server",
            Self::NotFound => "not_found",
            Self::Migrated(_) => "migrated",
            Self::Blocked => "blocked",
            Self::TooBig => "too_big",
            Self::BadRequest => "bad_request",
        }
    }
}

impl TelegramError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable(_) | Self::Interrupted(_) | Self::TimedOut(_) | Self::Unintelligible { .. } => {
                Class::Transient
            }
            Self::Refused(refusal) => refusal.class(),
            Self::Unwritable(_) => Class::BadRequest,
            Self::FileTooBig { .. } => Class::TooBig,
        }
    }

    /// Whether the call may have been carried out although it has no result. A message that may have been sent must
    /// not be sent again without a person's word.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Interrupted(_) | Self::TimedOut(_) => true,
            // A proxy's 502 says nothing about what happened behind it.
            Self::Unintelligible { status, .. } => *status < 400 || *status >= 500,
            Self::Refused(refusal) => refusal.code >= 500,
            Self::Unreachable(_) | Self::Unwritable(_) | Self::FileTooBig { .. } => false,
        }
    }
}

impl Refusal {
    /// Reads the parts of an answer whose `ok` is not true.
    pub(crate) fn read(status: u16, body: &[u8]) -> Option<Self> {
        let code = json::member(body, "error_code").and_then(json::number);
        let description = json::member(body, "description").and_then(json::string);
        if code.is_none() && description.is_none() {
            return None;
        }
        let parameters = json::member(body, "parameters").unwrap_or_default();
        let seconds = json::member(parameters, "retry_after").and_then(json::number);
        Some(Self {
            code: code.unwrap_or_else(|| status.into()),
            description: description.unwrap_or_default().into_owned(),
            retry_after: seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs),
            migrate_to_chat_id: json::member(parameters, "migrate_to_chat_id").and_then(json::number),
        })
    }

    /// What to do about it. Telegram has numbers for classes of errors only; the rest is in its sentences.
    #[must_use]
    pub fn class(&self) -> Class {
        let says = |words: &str| self.description.to_ascii_lowercase().contains(words);
        if let Some(to) = self.migrate_to_chat_id {
            return Class::Migrated(to);
        }
        // A pause is asked for with other numbers than 429, too.
        if let (Some(pause), 429 | 500..) = (self.retry_after, self.code) {
            return Class::Throttled(pause);
        }
        match self.code {
            429 => Class::Throttled(Duration::from_secs(1)),
            401 => Class::Unauthorized,
            404 => Class::NotFound,
            403 => Class::Blocked,
            409 if says("webhook is active") => Class::WebhookActive,
            409 => Class::OtherPoller,
            421 => Class::WrongServer,
            413 => Class::TooBig,
            400 if says("logged out") => Class::LoggedOut,
            400 if says("too big") || says("too long") || says("too large") => Class::TooBig,
            400..=499 => Class::BadRequest,
            _ => Class::Transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, body: &str) -> Class {
        Refusal::read(status, body.as_bytes()).expect("a refusal").class()
    }

    #[test]
    fn classes() {
        let seconds = Duration::from_secs;
        for (body, expected) in [
            (
                r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#,
                Class::Unauthorized,
            ),
            (
                r#"{"ok":false,"error_code":404,"description":"Not Found"}"#,
                Class::NotFound,
            ),
            (
                r#"{"ok":false,"error_code":400,"description":"Logged out"}"#,
                Class::LoggedOut,
            ),
            (
                r#"{"ok":false,"error_code":421,"description":"Misdirected Request"}"#,
                Class::WrongServer,
            ),
            (
                r#"{"ok":false,"error_code":400,"description":"Bad Request: file is too big"}"#,
                Class::TooBig,
            ),
            (
                r#"{"ok":false,"error_code":413,"description":"Request Entity Too Large"}"#,
                Class::TooBig,
            ),
            (
                r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
                Class::BadRequest,
            ),
            (
                r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
                Class::Blocked,
            ),
            (
                r#"{"ok":false,"error_code":500,"description":"Internal Server Error: restart"}"#,
                Class::Transient,
            ),
            (
                r#"{"ok":false,"error_code":429,"description":"x"}"#,
                Class::Throttled(seconds(1)),
            ),
            (
                r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":10072}}"#,
                Class::Throttled(seconds(10_072)),
            ),
            (
                r#"{"ok":false,"error_code":409,"description":"Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"}"#,
                Class::WebhookActive,
            ),
            (
                r#"{"ok":false,"error_code":409,"description":"Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"}"#,
                Class::OtherPoller,
            ),
            (
                r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1004503599627370495}}"#,
                Class::Migrated(-1_004_503_599_627_370_495),
            ),
        ] {
            assert_eq!(class(200, body), expected, "{body}");
        }
        // Odd parts are as good as absent.
        assert_eq!(
            class(
                502,
                r#"{"ok":false,"error_code":null,"description":"x","parameters":[]}"#
            ),
            Class::Transient
        );
        assert_eq!(Refusal::read(502, b"<html>bad gateway</html>"), None);
    }

    #[test]
    fn only_a_clear_no_means_that_nothing_happened() {
        let refused = |code| {
            TelegramError::Refused(Refusal {
                code,
                description: String::new(),
                retry_after: None,
                migrate_to_chat_id: None,
            })
        };
        assert!(!refused(400).may_have_happened());
        assert!(!refused(429).may_have_happened());
        assert!(refused(500).may_have_happened());
        assert!(TelegramError::TimedOut(Duration::ZERO).may_have_happened());
        assert!(TelegramError::Interrupted(String::new()).may_have_happened());
        assert!(!TelegramError::Unreachable(String::new()).may_have_happened());
    }
}
