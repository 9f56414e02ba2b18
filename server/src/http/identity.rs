//! Who sends a request: the session cookie, and the reader's language and theme.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use bagua_access::Who;
use bagua_app::context::Theme;
use bagua_core::Actor;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Locale, Text, keys};
use bagua_model::zone::Zone;
use http::{HeaderMap, Method, StatusCode, header};
use std::sync::Arc;
use time::OffsetDateTime;

/// The name of the session cookie.
pub const SESSION_COOKIE: &str = "bagua_session";
/// The name of the language cookie.
pub const LOCALE_COOKIE: &str = "bagua_locale";
/// The name of the theme cookie.
pub const THEME_COOKIE: &str = "bagua_theme";

/// Put into every request's extensions.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The signed-in person with their grants.
    pub who: Option<Arc<Who>>,
    /// The session cookie's token, for signing out and for the re-checks of a stream.
    pub token: Option<String>,
    /// When PostgreSQL was last asked about the session.
    pub as_of: Option<OffsetDateTime>,
    /// Whether it could not be asked now: the session may have ended since, so it is good for reading only.
    pub stale: bool,
    /// The reader's language.
    pub locale: Locale,
    /// The reader's theme.
    pub theme: Theme,
}

impl Identity {
    /// Who acts.
    pub fn actor(&self) -> Option<Actor> {
        self.who.as_ref().map(|who| who.actor.clone())
    }

    /// The reader's time zone.
    pub fn zone(&self) -> Zone {
        self.who.as_ref().map(|who| who.zone.clone()).unwrap_or_default()
    }

    /// Why this session may change nothing now, if so: it cannot be known whether it has been revoked.
    pub fn read_only(&self) -> Option<Failure> {
        self.stale
            .then(|| Failure::new(FailureKind::Unavailable, Text::new(keys::FAILURE_SESSION_STALE)))
    }
}

/// One cookie of the request.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// A `Set-Cookie` value. `Lax` lets a link from a chat open a page with its session; changes are guarded by origin.
pub fn set_cookie(name: &str, value: &str, max_age_seconds: i64, http_only: bool, secure: bool) -> String {
    let mut line = format!("{name}={value}; Path=/; SameSite=Lax; Max-Age={max_age_seconds}");
    if http_only {
        line.push_str("; HttpOnly");
    }
    if secure {
        line.push_str("; Secure");
    }
    line
}

/// Finds out who sends the request. When sessions cannot be read at all, nobody is signed in.
pub async fn identify(State(state): State<super::AppState>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let token = cookie(headers, SESSION_COOKIE).map(str::to_owned);
    let locale = cookie(headers, LOCALE_COOKIE)
        .and_then(Locale::from_tag)
        .unwrap_or_else(|| {
            let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok());
            Locale::from_accept_language(accepted.unwrap_or_default())
        });
    let theme = cookie(headers, THEME_COOKIE)
        .map(Theme::from_name)
        .unwrap_or_default();
    let session = match &token {
        Some(token) => match state.access.sessions().actor_of(token).await {
            Ok(session) => session,
            // Not the same as "nobody": the session may well stand, so the reader is not sent to sign in.
            Err(fault) => {
                tracing::warn!(error = %fault, "session cannot be looked up");
                return away(locale);
            }
        },
        None => None,
    };
    let as_of = session.as_ref().map(|session| session.as_of);
    let stale = session.as_ref().is_some_and(|session| session.stale);
    let who = session.map(|session| session.who);
    request.extensions_mut().insert(Identity {
        who,
        token,
        as_of,
        stale,
        locale,
        theme,
    });
    next.run(request).await
}

fn away(locale: Locale) -> Response {
    let text = Text::new(keys::FAILURE_SESSIONS_AWAY).render(locale);
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, "5")],
        format!("{text}\n"),
    )
        .into_response()
}

/// Paths that are for people who are not signed in.
const PUBLIC: [&str; 3] = ["/sign-in", "/welcome", "/reset"];

/// Sends readers without a session to the sign-in page, and back afterwards.
pub async fn require_session(request: Request, next: Next) -> Response {
    let signed_in = request
        .extensions()
        .get::<Identity>()
        .is_some_and(|identity| identity.who.is_some());
    let path = request.uri().path();
    if signed_in || PUBLIC.contains(&path) {
        return next.run(request).await;
    }
    let wanted = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let target = match *request.method() {
        Method::GET if wanted != "/" => {
            format!(
                "/sign-in?{}",
                serde_urlencoded::to_string([("next", wanted)]).unwrap_or_default()
            )
        }
        _ => "/sign-in".to_owned(),
    };
    Redirect::to(&target).into_response()
}

/// A path on this console, or `/`: an address elsewhere must not be reached through our redirects. Browsers leave tabs
/// and line ends out before they read an address, so that `/<tab>/evil.example` would be `//evil.example`.
pub fn local_path(path: &str) -> &str {
    let odd = |c: char| c == '\\' || c.is_control();
    let local = path.starts_with('/') && !path.starts_with("//") && !path.contains(odd);
    if local { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            HeaderValue::from_static("a=1; bagua_session=abc; xbagua_session=no"),
        );
        assert_eq!(cookie(&headers, SESSION_COOKIE), Some("abc"));
        assert_eq!(cookie(&headers, "b"), None);
    }

    #[test]
    fn redirects_stay_on_this_console() {
        assert_eq!(
            local_path("/alerts?severity=critical"),
            "/alerts?severity=critical"
        );
        for elsewhere in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "",
            "evil",
            "/a\r\nb",
            "/\t/evil.example",
            "/\0",
        ] {
            assert_eq!(local_path(elsewhere), "/", "{elsewhere}");
        }
    }
}
