//! The bearer credential of a bot.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A bot's token: who has it is the bot. It is wiped from memory when dropped, compared in constant time, and neither
/// `{}` nor `{:?}` shows it; there is no `Serialize` on purpose.
#[derive(Clone)]
pub struct Token {
    text: Zeroizing<String>,
    bot_id: i64,
}

/// Why a text is no token. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no number before the colon.
    #[error("a token begins with the bot's number and a colon, such as 123456789:AAE…")]
    NoBotId,
    /// The second half is too short, too long, or has other characters than letters, digits, `-` and `_`.
    #[error("after the colon a token has 30 to 64 letters, digits, - or _")]
    BadSecret,
}

impl Token {
    /// Reads what BotFather gives; white space around it is forgiven.
    ///
    /// # Errors
    /// When it cannot be a token. What is accepted here is safe to stand in a path of a URL.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let (id, secret) = text.split_once(':').ok_or(TokenError::NoBotId)?;
        // "+5" and "-5" parse as numbers and are no ids.
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TokenError::NoBotId);
        }
        let bot_id: i64 = id.parse().map_err(|_| TokenError::NoBotId)?;
        // Ids have up to 52 significant bits.
        if bot_id == 0 || bot_id >= 1 << 52 {
            return Err(TokenError::NoBotId);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(30..=64).contains(&secret.len()) || !secret.bytes().all(plain) {
            return Err(TokenError::BadSecret);
        }
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            bot_id,
        })
    }

    /// The bot's user id, which is the public half. A new token of the same bot has the same.
    #[must_use]
    pub fn bot_id(&self) -> i64 {
        self.bot_id
    }

    /// The whole token. For the address of a request and for sealing it; for nothing that is shown or logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.text.as_bytes().ct_eq(other.text.as_bytes()).into()
    }
}
impl Eq for Token {}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:…", self.bot_id)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "4503599627370495:abcdefghijklmnopqrstuvwxyz_-ABCDE01";

    #[test]
    fn is_never_shown() {
        let token = Token::parse(GOOD).expect("a token");
        for shown in [format!("{token}"), format!("{token:?}"), format!("{token:#?}")] {
            assert!(!shown.contains("abcdef"), "{shown}");
            assert!(shown.contains("4503599627370495"), "{shown}");
        }
    }

    #[test]
    fn takes_tokens_and_nothing_that_would_change_the_path() {
        assert_eq!(
            Token::parse(&format!(" {GOOD}\n")).map(|token| token.bot_id()),
            Ok((1 << 52) - 1)
        );
        let long = "a".repeat(65);
        for (text, why) in [
            ("", TokenError::NoBotId),
            ("abc", TokenError::NoBotId),
            ("x1:abcdefghijklmnopqrstuvwxyzabcdef", TokenError::NoBotId),
            ("-5:abcdefghijklmnopqrstuvwxyzabcdef", TokenError::NoBotId),
            (":abcdefghijklmnopqrstuvwxyzabcdef", TokenError::NoBotId),
            ("0:abcdefghijklmnopqrstuvwxyzabcdef", TokenError::NoBotId),
            (
                "4503599627370496:abcdefghijklmnopqrstuvwxyzabcdef",
                TokenError::NoBotId,
            ),
            ("5:short", TokenError::BadSecret),
            ("5:abcdefghijklmnopqrstuvwxyz/../getMe", TokenError::BadSecret),
            ("5:abcdefghijklmnopqrstuvwxyzabcd?f", TokenError::BadSecret),
            ("5:abcdefghijklmnopqrstuvwxyzabcdéf", TokenError::BadSecret),
            (&format!("5:{long}"), TokenError::BadSecret),
        ] {
            assert_eq!(Token::parse(text).map(|token| token.bot_id()), Err(why), "{text}");
        }
    }

    #[test]
    fn equal_when_the_whole_is_equal() {
        let token = Token::parse(GOOD).expect("a token");
        assert_eq!(token, token.clone());
        let other = Token::parse(&GOOD.replace("01", "02")).expect("a token");
        assert_ne!(token, other);
        assert_eq!(token.bot_id(), other.bot_id());
    }
}
