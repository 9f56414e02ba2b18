//! The small servers of the platform itself: a region's gateway and runner, and the trickle of requests through them.
//!
//! They carry no console. They are the components that the console shows and acts on where nothing else is installed
//! yet, and all that they report about themselves is measured.

pub mod bots;
mod cache;
mod cell;
mod gateway;
mod runner;
#[cfg(test)]
mod tests;
mod traffic;

pub use gateway::gateway;
pub use runner::runner;
pub use traffic::traffic;

use anyhow::Context as _;
use axum::Json;
use axum::response::{IntoResponse as _, Response};
use bagua_model::settings::{Component, Settings};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How long open requests may go on after a stop.
const DRAIN: Duration = Duration::from_secs(2);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The configured component, or which key is missing.
fn component<'a>(settings: &'a Settings, region: &str, service: &str) -> anyhow::Result<&'a Component> {
    settings.component_of(region, service).with_context(|| {
        format!(
            "The configuration has no component {region}/{service}. Known regions: {}. Add it under [[components]], \
             or let `bagua up` write the file",
            settings.regions.join(", ")
        )
    })
}

/// Where a role listens: always the loopback, so that nothing is open to the network by accident.
fn loopback(component: &Component) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, component.port))
}

/// Seconds as people and dashboards read them.
fn rfc3339(moment: OffsetDateTime) -> String {
    // Formatting fails only for years outside 0..=9999.
    moment
        .format(&Rfc3339)
        .unwrap_or_else(|_| moment.unix_timestamp().to_string())
}

/// A failure in the form of RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Failure");
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}

/// A client for this machine: never through a proxy of the environment, never along a redirect.
fn http_client(connect_timeout: Duration) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .user_agent(concat!("bagua/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("no HTTP client could be made")
}
