//! API tokens: who is behind one. PostgreSQL is asked with every call and no copy is kept: a program can bear the
//! fraction of a millisecond, and a token is dead in the moment in which it is revoked or its owner disabled.

use crate::record::Visitor;
use crate::store::tokens::{self, Shown};
use crate::token::{self, TokenHash};
use crate::{Access, Who};
use bagua_core::{Actor, Through, db};
use bagua_model::access::Me;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Text, keys};
use bagua_model::tokens::{TOKEN_ID_LENGTH, TOKEN_PREFIX};
use bagua_model::zone::Zone;
use std::sync::Arc;
use std::time::Duration as StdDuration;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Use is written down at most this often.
const TOUCH: Duration = Duration::minutes(1);
/// Longest wait for PostgreSQL.
const TIMEOUT: StdDuration = StdDuration::from_millis(2_500);

/// An API token before its hash has been stored.
pub struct NewToken {
    /// The whole token. A secret: shown once, written nowhere.
    pub token: String,
    hash: TokenHash,
}

impl NewToken {
    /// The hash as `token.create` takes it.
    pub fn hash_hex(&self) -> String {
        token::hex(&self.hash)
    }
}

/// Makes a token from 256 random bits of the operating system.
///
/// # Errors
/// When the operating system gives no random bits.
pub fn new_token() -> Result<NewToken, Failure> {
    use rand::TryRngCore as _;
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gives no random bits");
        Failure::internal()
    })?;
    let secret = token::hex(&bytes);
    let hash = token::hash(&secret);
    let id = &token::hex(&hash)[..TOKEN_ID_LENGTH];
    Ok(NewToken {
        token: format!("{TOKEN_PREFIX}{id}_{secret}"),
        hash,
    })
}

/// The hash of a token's secret, or `None` for what cannot be a token: its id is the beginning of the hash, so what was
/// mistyped or made up is known without asking anybody.
fn read(text: &str) -> Option<TokenHash> {
    let (id, secret) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
    token::from_hex(secret)?;
    let hash = token::hash(secret);
    (id.len() == TOKEN_ID_LENGTH && token::hex(&hash).starts_with(id)).then_some(hash)
}

fn refused(result: &'static str, key: &str) -> Failure {
    metrics::counter!("bagua_token_calls_total", "result" => result).increment(1);
    Failure::new(FailureKind::Unauthenticated, Text::new(key))
}

impl Access {
    /// Who acts with an API token.
    ///
    /// # Errors
    /// `Unauthenticated` with a remedy when it is none, has lapsed, was revoked or its owner disabled; `Unavailable`
    /// when PostgreSQL is away.
    pub async fn bearer(&self, text: &str, visitor: &Visitor) -> Result<Arc<Who>, Failure> {
        let hash = read(text).ok_or_else(|| refused("malformed", keys::FAILURE_TOKEN_MALFORMED))?;
        let shown = tokio::time::timeout(TIMEOUT, tokens::shown(&self.db, &hash)).await;
        let shown = match shown {
            Ok(shown) => shown.map_err(db::failure)?,
            Err(_) => {
                let text = Text::new(keys::FAILURE_TOKENS_AWAY);
                return Err(Failure::new(FailureKind::Unavailable, text));
            }
        };
        let shown = shown.ok_or_else(|| refused("unknown", keys::FAILURE_TOKEN_UNKNOWN))?;
        let now = self.clock.now();
        let refusal = if shown.revoked {
            Some(("revoked", keys::FAILURE_TOKEN_REVOKED))
        } else if shown.disabled {
            Some(("disabled", keys::FAILURE_TOKEN_OWNER_DISABLED))
        } else if shown.expires_at <= now {
            Some(("expired", keys::FAILURE_TOKEN_EXPIRED))
        } else {
            None
        };
        if let Some((result, key)) = refusal {
            tracing::info!(token = shown.id, result, "a token was refused");
            let mut failure = refused(result, key);
            failure.text = failure.text.with("name", &shown.name);
            return Err(failure);
        }
        metrics::counter!("bagua_token_calls_total", "result" => "accepted").increment(1);
        if shown.last_used_at.is_none_or(|at| now - at >= TOUCH) {
            self.touch_token(&shown.id, visitor, now);
        }
        Ok(Arc::new(who(shown)))
    }

    /// In the background: nobody waits until it is written down that they were here.
    fn touch_token(&self, id: &str, visitor: &Visitor, now: OffsetDateTime) {
        let (db, id, from) = (self.db.clone(), id.to_owned(), visitor.tidy().address);
        tokio::spawn(async move {
            let touch = tokens::touch(&db, &id, now, TOUCH, &from);
            if !matches!(tokio::time::timeout(TIMEOUT, touch).await, Ok(Ok(()))) {
                tracing::debug!("the use of a token could not be written down; the next call tries again");
            }
        });
    }
}

fn who(shown: Shown) -> Who {
    Who {
        // No session; limits and logs tell tokens apart by their id.
        session: Uuid::nil(),
        person: shown.person,
        me: Me {
            person: shown.person,
            name: shown.person_name.clone(),
            email: shown.email.clone(),
            grants: shown.grants.clone(),
        },
        ends_at: shown.expires_at,
        // A program reads times as they are written, in UTC.
        zone: Zone::default(),
        actor: Actor::Person {
            id: shown.person,
            name: shown.person_name,
            email: shown.email,
            grants: shown.grants,
            through: Some(Box::new(Through {
                token: shown.id,
                name: shown.name,
                limit: shown.limit,
                expires_at: shown.expires_at,
            })),
        },
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_token_is_known_by_its_own_checksum() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one.token, other.token);
        assert_eq!(one.token.len(), TOKEN_PREFIX.len() + TOKEN_ID_LENGTH + 1 + 64);
        assert_eq!(read(&one.token), Some(one.hash));
        let (id, secret) = one.token[TOKEN_PREFIX.len()..].split_once('_').unwrap();
        assert!(one.hash_hex().starts_with(id));
        let other_secret = other.token.rsplit_once('_').unwrap().1;
        for wrong in [
            String::new(),
            one.token.to_uppercase(),
            one.token[..one.token.len() - 1].to_owned(),
            format!("{TOKEN_PREFIX}{id}_{other_secret}"),
            format!("{TOKEN_PREFIX}_{secret}"),
            format!("{TOKEN_PREFIX}{id}_{}", "é".repeat(32)),
            format!("github_{id}_{secret}"),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
