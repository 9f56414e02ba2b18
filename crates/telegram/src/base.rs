//! Where a bot's Bot API is: one address per bot, in the cloud or a local server.

use std::fmt;

use http::Uri;

use crate::Token;

/// Address of a Bot API server. It is part of a bot's desired state: a bot must never use two servers at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBase {
    root: String,
    test_centre: bool,
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// Neither `http` nor `https`, or no host.
    #[error("the address of a Bot API server is like https://api.telegram.org or http://127.0.0.1:8081")]
    NotAnAddress,
    /// A name, password, query or fragment stands in it.
    #[error("the address of a Bot API server has no user, no password, no ? and no #")]
    TooMuch,
}

impl ApiBase {
    /// Telegram's own server.
    #[must_use]
    pub fn cloud() -> Self {
        Self {
            root: "https://api.telegram.org".to_owned(),
            test_centre: false,
        }
    }

    /// Reads an address. A path is kept (a proxy may serve the API below one).
    ///
    /// # Errors
    /// When it is no http(s) address of a host, or has parts that have no meaning here.
    pub fn parse(text: &str) -> Result<Self, BaseError> {
        let text = text.trim();
        if text.contains(['?', '#', '@']) {
            return Err(BaseError::TooMuch);
        }
        let uri: Uri = text.parse().map_err(|_| BaseError::NotAnAddress)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(BaseError::NotAnAddress);
        }
        Ok(Self {
            root: text.trim_end_matches('/').to_owned(),
            test_centre: false,
        })
    }

    /// The same server, for a bot of Telegram's test data centres.
    #[must_use]
    pub fn for_test_centre(mut self) -> Self {
        self.test_centre = true;
        self
    }

    /// Whether this is Telegram's own server. There, files end at 20 MiB and webhooks need https.
    #[must_use]
    pub fn is_cloud(&self) -> bool {
        *self == Self::cloud() || *self == Self::cloud().for_test_centre()
    }

    /// Whether the token would cross the network readable by everybody on the way.
    #[must_use]
    pub fn is_in_clear(&self) -> bool {
        let host = self.root.strip_prefix("http://").map(|rest| {
            let rest = rest.split('/').next().unwrap_or_default();
            match rest.strip_prefix('[') {
                Some(six) => six.split(']').next().unwrap_or_default(),
                None => rest.split(':').next().unwrap_or_default(),
            }
        });
        host.is_some_and(|host| host != "localhost" && host != "::1" && !host.starts_with("127."))
    }

    /// Address of a method. It contains the token: never show it.
    pub(crate) fn method(&self, token: &Token, method: &str) -> Option<Uri> {
        let test = if self.test_centre { "/test" } else { "" };
        format!("{}/bot{}{test}/{method}", self.root, token.expose())
            .parse()
            .ok()
    }

    /// Address of a file's content. It contains the token: never show it.
    pub(crate) fn file(&self, token: &Token, path: &str) -> Option<Uri> {
        let test = if self.test_centre { "/test" } else { "" };
        format!("{}/file/bot{}{test}/{path}", self.root, token.expose())
            .parse()
            .ok()
    }
}

impl fmt::Display for ApiBase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::parse("7:abcdefghijklmnopqrstuvwxyzabcdef").expect("a token")
    }

    #[test]
    fn addresses() {
        let base = ApiBase::parse("http://127.0.0.1:8081/").expect("an address");
        let uri = base.method(&token(), "getMe").expect("an address");
        assert_eq!(
            uri,
            "http://127.0.0.1:8081/bot7:abcdefghijklmnopqrstuvwxyzabcdef/getMe"
        );
        let uri = ApiBase::cloud()
            .for_test_centre()
            .method(&token(), "getMe")
            .expect("an address");
        assert_eq!(uri.path(), "/bot7:abcdefghijklmnopqrstuvwxyzabcdef/test/getMe");
        let uri = base.file(&token(), "photos/file_1.jpg").expect("an address");
        assert_eq!(
            uri.path(),
            "/file/bot7:abcdefghijklmnopqrstuvwxyzabcdef/photos/file_1.jpg"
        );
        assert!(ApiBase::cloud().is_cloud() && !base.is_cloud());
    }

    #[test]
    fn refuses_what_is_no_address() {
        for (text, why) in [
            ("", BaseError::NotAnAddress),
            ("api.telegram.org", BaseError::NotAnAddress),
            ("ftp://api.telegram.org", BaseError::NotAnAddress),
            ("https://", BaseError::NotAnAddress),
            ("https://a:b@example.org", BaseError::TooMuch),
            ("https://example.org/?x=1", BaseError::TooMuch),
        ] {
            assert_eq!(ApiBase::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn says_when_a_token_would_be_readable() {
        for (text, clear) in [
            ("http://bots.example.org", true),
            ("http://10.0.0.7:8081", true),
            ("https://bots.example.org", false),
            ("http://127.0.0.1:8081", false),
            ("http://localhost:1", false),
            ("http://[::1]:8081/x", false),
        ] {
            assert_eq!(ApiBase::parse(text).expect(text).is_in_clear(), clear, "{text}");
        }
    }
}
