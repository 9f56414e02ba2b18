//! How many calls one caller may make: a bucket of calls for each token, each session, and each network address that has
//! neither. It is counted in this process: behind several consoles a caller has the limit at each of them.

use super::bearer;
use super::problem::Refused;
use crate::http::AppState;
use crate::http::identity::Identity;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::settings::Api;
use bagua_model::text::{Text, keys};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// So many buckets are kept before those that are full again are thrown away.
const BUCKETS: usize = 10_000;

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A token, by its id.
    Token(String),
    /// A session, by its name.
    Session(Uuid),
    /// Who has neither; all together where the address is not known.
    Address(Option<IpAddr>),
}

impl Key {
    fn of(request: &Request) -> Key {
        let identity = request.extensions().get::<Identity>();
        let Some(who) = identity.and_then(|identity| identity.who.as_ref()) else {
            return Key::Address(bearer::address(request.extensions()));
        };
        match who.actor.through() {
            Some(through) => Key::Token(through.token.clone()),
            None => Key::Session(who.session),
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Key::Token(_) => "token",
            Key::Session(_) => "session",
            Key::Address(_) => "address",
        }
    }
}

/// What is left after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    calls: u32,
    /// Until all of them are there again.
    full_in: Duration,
}

/// A call too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    wait: Duration,
    settings: Api,
}

/// The buckets.
pub struct Limits {
    settings: Api,
    buckets: RateLimiter<Key, HashMapStateStore<Key>, DefaultClock, StateInformationMiddleware>,
}

impl Limits {
    /// Full buckets.
    pub fn new(settings: Api) -> Limits {
        let quota = Quota::per_minute(settings.calls_per_minute).allow_burst(settings.burst);
        Limits {
            settings,
            buckets: RateLimiter::hashmap(quota).with_middleware(),
        }
    }

    /// Takes one call.
    pub fn take(&self, key: Key) -> Result<Left, Limited> {
        if self.buckets.len() > BUCKETS {
            self.buckets.retain_recent();
        }
        match self.buckets.check_key(&key) {
            Ok(snapshot) => {
                let calls = snapshot.remaining_burst_capacity();
                let missing = self.settings.burst.get().saturating_sub(calls);
                Ok(Left {
                    calls,
                    full_in: Duration::from_secs(60) * missing / self.settings.calls_per_minute.get(),
                })
            }
            Err(not_until) => {
                metrics::counter!("bagua_api_limited_total", "by" => key.word()).increment(1);
                Err(Limited {
                    wait: not_until.wait_time_from(self.buckets.clock().now()),
                    settings: self.settings,
                })
            }
        }
    }
}

/// Whole seconds, rounded up: whoever comes back then is not too early.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The headers of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it.
fn tell(headers: &mut HeaderMap, settings: Api, left: Left) {
    let window = seconds(Duration::from_secs(60) * settings.burst.get() / settings.calls_per_minute.get());
    let lines = [
        (POLICY, format!("\"default\";q={};w={window}", settings.burst)),
        (
            LEFT,
            format!("\"default\";r={};t={}", left.calls, seconds(left.full_in)),
        ),
    ];
    for (name, line) in lines {
        if let Ok(value) = HeaderValue::from_str(&line) {
            headers.insert(name, value);
        }
    }
}

/// The answer to a call too many.
pub fn refused(limited: &Limited) -> Response {
    let wait = seconds(limited.wait).max(1);
    let text = Text::new(keys::FAILURE_RATE_LIMITED).with("seconds", wait);
    let mut response = Refused::from(Failure::new(FailureKind::RateLimited, text)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    let left = Left {
        calls: 0,
        full_in: Duration::from_secs(wait),
    };
    tell(headers, limited.settings, left);
    response
}

/// Lets a call through while its caller has calls left.
pub async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match state.limits.take(Key::of(&request)) {
        Ok(left) => {
            let mut response = next.run(request).await;
            tell(response.headers_mut(), state.limits.settings, left);
            response
        }
        Err(limited) => refused(&limited),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn each_caller_has_a_bucket_of_their_own() {
        let limits = Limits::new(Api {
            calls_per_minute: 60.try_into().unwrap(),
            burst: 3.try_into().unwrap(),
        });
        let one = || Key::Token("one".into());
        for left in [2, 1, 0] {
            assert_eq!(limits.take(one()).unwrap().calls, left);
        }
        let limited = limits.take(one()).unwrap_err();
        assert_eq!(seconds(limited.wait), 1, "a call a second comes back");
        let other = limits.take(Key::Session(Uuid::nil())).unwrap();
        assert_eq!((other.calls, seconds(other.full_in)), (2, 1));
    }
}
