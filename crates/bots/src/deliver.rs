//! Updates that rules post to addresses of the configuration.
//!
//! Each post is signed as Standard Webhooks says (<https://github.com/standard-webhooks/standard-webhooks>, specification 1.0): `webhook-id`,
//! `webhook-timestamp` in seconds of the epoch, and `webhook-signature` with `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. It is
//! posted until it is taken, so it may come twice, always with the same `webhook-id`.

use crate::BotId;
use crate::ingest::Now;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use http::Uri;
use serde_json::{Value, json, value::RawValue};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use time::OffsetDateTime;

/// What such a post is called among the calls of the outbox.
pub const METHOD: &str = "webhook";
/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No address.
    #[error("it is no http or https address")]
    Url,
    /// No secret.
    #[error("the secret is not whsec_ and the base64 of 24 to 64 bytes")]
    Secret,
}

/// One address.
pub struct Endpoint {
    pub(crate) url: Uri,
    secret: Vec<u8>,
}

impl Endpoint {
    /// An address with what is posted there is signed with.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn new(url: &str, secret: &str) -> Result<Endpoint, EndpointError> {
        let url: Uri = url.parse().map_err(|_| EndpointError::Url)?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none() {
            return Err(EndpointError::Url);
        }
        let secret = secret.strip_prefix(PREFIX).ok_or(EndpointError::Secret)?;
        let secret = STANDARD.decode(secret).map_err(|_| EndpointError::Secret)?;
        if !(24..=64).contains(&secret.len()) {
            return Err(EndpointError::Secret);
        }
        Ok(Endpoint { url, secret })
    }

    /// The headers of a post.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<[(&'static str, String); 3]> {
        // A key of any length is one for HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        Some([
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", format!("v1,{signature}")),
        ])
    }
}

/// The addresses by their names, and the clock by which posts are dated.
pub struct Endpoints {
    named: BTreeMap<String, Endpoint>,
    now: Now,
}

impl fmt::Debug for Endpoints {
    /// Names alone: addresses may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.named.keys()).finish()
    }
}

impl Default for Endpoints {
    /// None.
    fn default() -> Self {
        Endpoints::new([], Arc::new(|| OffsetDateTime::UNIX_EPOCH))
    }
}

impl Endpoints {
    /// As they are named.
    pub fn new(named: impl IntoIterator<Item = (String, Endpoint)>, now: Now) -> Endpoints {
        Endpoints {
            named: named.into_iter().collect(),
            now,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Endpoint> {
        self.named.get(name)
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        (self.now)()
    }
}

/// What lies in the outbox for a post: where to, and its body without the time.
pub(crate) fn post(to: &str, bot: BotId, rule: i64, raw: &[u8]) -> Value {
    // Numbers as they came, whatever their size: the raw update is put in as it is where the body is made.
    json!({ "to": to, "bot": bot.0, "rule": rule, "update": String::from_utf8_lossy(raw) })
}

/// The body of a post.
pub(crate) fn body(post: &Value, at: &str) -> Option<Vec<u8>> {
    let update = post["update"].as_str()?.to_owned();
    let update = RawValue::from_string(update).ok()?;
    #[derive(serde::Serialize)]
    struct Data<'a> {
        bot: &'a Value,
        rule: &'a Value,
        update: &'a RawValue,
    }
    #[derive(serde::Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        timestamp: &'a str,
        data: Data<'a>,
    }
    serde_json::to_vec(&Body {
        r#type: "telegram.update",
        timestamp: at,
        data: Data {
            bot: &post["bot"],
            rule: &post["rule"],
            update: &update,
        },
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_signed_as_the_specification_shows() {
        // The example of the specification's reference implementations.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let endpoint = Endpoint::new("https://receiver.example/hook", secret).expect("usable");
        let headers = endpoint
            .sign(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#,
            )
            .expect("signed");
        assert_eq!(
            headers[2],
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()
            )
        );
    }

    #[test]
    fn what_is_no_address_or_no_secret_is_refused() {
        let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for url in ["", "receiver", "ftp://receiver/x", "/path"] {
            assert_eq!(Endpoint::new(url, good).err(), Some(EndpointError::Url), "{url}");
        }
        for secret in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_no base64",
        ] {
            let told = Endpoint::new("http://127.0.0.1:1/", secret).err();
            assert_eq!(told, Some(EndpointError::Secret), "{secret}");
        }
    }

    #[test]
    fn an_update_is_posted_as_it_came() {
        let raw = br#"{"update_id":1,  "odd":{"big":12345678901234567890123,"a":1.0}}"#;
        let made = body(&post("crm", BotId(7), 3, raw), "2026-11-26T10:00:00Z").expect("a body");
        let text = String::from_utf8(made).expect("text");
        assert!(text.contains(std::str::from_utf8(raw).expect("text")), "{text}");
        assert!(text.starts_with(r#"{"type":"telegram.update","timestamp":"2026-11-26T10:00:00Z","data":{"bot":7,"rule":3,"update":{"#));
        assert_eq!(body(&json!({ "update": "no json" }), "x"), None);
    }
}
