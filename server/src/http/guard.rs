//! What every response carries and what every request must pass: security headers, the host check and the guard
//! against requests forged by other sites.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use std::sync::Arc;

/// The names under which the console may be addressed. Requests for other hosts are refused, which ends DNS rebinding.
#[derive(Clone, Debug)]
pub struct Hosts(Arc<Vec<String>>);

impl Hosts {
    /// The public URL's host and port, and the loopback names on the port that is listened on.
    pub fn new(public_url: &str, port: u16) -> Hosts {
        let public = public_url
            .split("://")
            .nth(1)
            .unwrap_or(public_url)
            .trim_end_matches('/')
            .to_owned();
        Hosts(Arc::new(vec![
            public,
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ]))
    }

    fn knows(&self, host: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// Why a request that changes something is refused, if it is. Browsers say with `Sec-Fetch-Site` where a request
/// comes from; where that header is missing, `Origin` has to name this very host. A request with neither is no
/// browser form of ours. Leptos has no check of its own.
fn forged(hosts: &Hosts, method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let origin_is_ours = text(headers, header::ORIGIN)
        .and_then(|origin| origin.split("://").nth(1))
        .is_some_and(|host| hosts.knows(host));
    match text(headers, "sec-fetch-site") {
        Some("same-origin") => false,
        Some(_) => true,
        None => !origin_is_ours,
    }
}

/// Whether a request is no browser's own doing: machine-to-machine paths (`/hooks/`), and calls of the API that carry a
/// token. Another site's page can send neither: it has no token, a browser adds none by itself, and the header
/// `Authorization` needs a permission (CORS) that the console never gives. The cookie beside a token is not looked at.
fn by_token(path: &str, headers: &HeaderMap) -> bool {
    path.starts_with("/hooks/")
        || (path.starts_with(super::api::PREFIX) && super::api::bearer(headers).is_some())
}

/// Refuses unknown hosts and forged changes. What comes [by token](by_token) is no form of another site.
pub async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let host =
        text(request.headers(), header::HOST).or_else(|| request.uri().authority().map(|a| a.as_str()));
    if !host.is_some_and(|host| hosts.knows(host)) {
        return (
            StatusCode::MISDIRECTED_REQUEST,
            "This console does not answer under that host name.\n",
        )
            .into_response();
    }
    if !by_token(request.uri().path(), request.headers())
        && forged(&hosts, request.method(), request.headers())
    {
        return (
            StatusCode::FORBIDDEN,
            "This request came from another site and was refused. Open the console itself and try again.\n",
        )
            .into_response();
    }
    next.run(request).await
}

const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` forms would send `Origin: null` and the guard could not know them.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Whether the console is reached over HTTPS.
#[derive(Clone, Copy, Debug)]
pub struct Secure(pub bool);

/// Adds the security headers; pages set a policy with their nonce, everything else gets the strictest one.
pub async fn headers(State(secure): State<Secure>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if secure.0 {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(year);
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
        ));
    response
}

/// The policy of a page: scripts and style elements only with this response's nonce, nothing inline.
pub fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .filter_map(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
            })
            .collect()
    }

    #[test]
    fn only_a_form_of_our_own_page_may_change_something() {
        let hosts = Hosts::new("http://localhost:3000", 3000);
        let post = |pairs: &[(&'static str, &str)]| forged(&hosts, &Method::POST, &headers_of(pairs));
        assert!(!post(&[("sec-fetch-site", "same-origin")]));
        assert!(!post(&[("origin", "http://localhost:3000")]));
        assert!(post(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://localhost:3000")
        ]));
        assert!(
            post(&[("sec-fetch-site", "same-site")]),
            "another port of this machine is another site's page"
        );
        assert!(post(&[("origin", "http://evil.example")]));
        assert!(post(&[("origin", "null")]));
        assert!(post(&[]), "neither header: no browser page of ours");
        assert!(!forged(&hosts, &Method::GET, &HeaderMap::new()));
    }

    #[test]
    fn a_token_stands_for_a_page_of_ours_in_the_api_and_nowhere_else() {
        let token = headers_of(&[("authorization", "Bearer x"), ("sec-fetch-site", "cross-site")]);
        assert!(by_token("/api/v1/submit/component.restart", &token));
        assert!(!by_token("/submit/component.restart", &token));
        assert!(!by_token("/sign-out", &token));
        let basic = headers_of(&[("authorization", "Basic eDp5")]);
        assert!(!by_token("/api/v1/submit/component.restart", &basic));
        assert!(by_token("/hooks/alertmanager", &HeaderMap::new()));
    }

    #[test]
    fn only_known_host_names_are_answered() {
        let hosts = Hosts::new("https://console.example.org", 3000);
        assert!(hosts.knows("console.example.org"));
        assert!(hosts.knows("127.0.0.1:3000"));
        assert!(!hosts.knows("rebound.example:3000"));
    }
}
