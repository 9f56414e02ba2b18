//! `Authorization: Bearer …`: an API token instead of the session cookie.

use super::limits::{self, Key};
use super::problem::Refused;
use crate::http::AppState;
use crate::http::identity::{self, Identity};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bagua_access::Visitor;
use bagua_model::failure::FailureKind;
use bagua_model::settings::Secret;
use bagua_model::text::Locale;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::net::{IpAddr, SocketAddr};

/// The token of a request that carries one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let line = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = line.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token with which a request came, for a stream that has to ask again whether it still stands.
#[derive(Clone, Debug)]
pub struct Carried {
    pub token: Secret,
    pub visitor: Visitor,
}

/// Where a request comes from.
pub fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip())
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Finds out who calls. A token goes before the cookie: the call is the token's, whoever's browser it came from.
pub async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some(token) = bearer(request.headers()).map(Secret::new) else {
        return challenge(identity::identify(State(state), request, next).await, false);
    };
    let address = address(request.extensions());
    let locale = Locale::from_accept_language(text(request.headers(), header::ACCEPT_LANGUAGE));
    let carried = Carried {
        token,
        visitor: Visitor {
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            user_agent: text(request.headers(), header::USER_AGENT).to_owned(),
        },
    };
    match state
        .access
        .bearer(carried.token.expose(), &carried.visitor)
        .await
    {
        Ok(who) => {
            request.extensions_mut().insert(Identity {
                who: Some(who),
                locale,
                ..Identity::default()
            });
            request.extensions_mut().insert(carried);
            challenge(next.run(request).await, true)
        }
        Err(failure) => {
            // Whoever tries tokens is counted by where they come from.
            let stranger = failure.kind == FailureKind::Unauthenticated;
            if stranger && let Err(limited) = state.limits.take(Key::Address(address)) {
                return limits::refused(&limited);
            }
            challenge(Refused::from(failure).into_response(), true)
        }
    }
}

/// A 401 says what it wants (RFC 6750).
fn challenge(mut response: Response, with_token: bool) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        let wanted = if with_token {
            r#"Bearer realm="bagua", error="invalid_token""#
        } else {
            r#"Bearer realm="bagua""#
        };
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(wanted));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearers_line_is_a_token() {
        let of = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(line));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(of("Basic abc"), None);
        assert_eq!(of("Bearerabc"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
