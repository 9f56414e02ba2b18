//! The configuration file that every role of the `bagua` binary reads with `--config`.
//!
//! One-machine mode writes it (`<data>/console.toml`), an operator of many machines writes it by hand; both
//! sides share this one shape, so a key that one side does not know is refused instead of silently ignored.
//! Parsing the TOML itself is left to the caller: this crate also compiles for the browser.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which environment this installation is: `dev`, `staging` or `prod`.
    pub environment: String,
    /// Region identifiers that are served, in display order (the order also fixes the ports on one machine).
    pub regions: Vec<String>,
    /// Where the built browser files lie. Absent: the server looks beside its executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<PathBuf>,
    /// Where the console listens.
    pub listen: Listen,
    /// The control database.
    pub control: Database,
    /// Redis: caches only, nothing that may not vanish.
    pub redis: Engine,
    /// Prometheus.
    pub prometheus: Engine,
    /// Alertmanager.
    pub alertmanager: Engine,
    /// The process supervisor of one-machine mode; absent where something else runs the processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<Supervisor>,
    /// Notifications that come in from Alertmanager.
    pub alerts: Alerts,
    /// The console's own `/metrics`.
    pub metrics: Metrics,
    /// How many calls of the HTTP API are answered.
    #[serde(default)]
    pub api: Api,
    /// The key store. Absent: no bot runs here, since nothing that it receives could be sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// The Bot API servers that bots may be at.
    #[serde(default)]
    pub telegram: Telegram,
    /// Where rules of bots may post updates to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// One data database per region.
    #[serde(default)]
    pub cells: Vec<Cell>,
    /// Everything that runs, with its address.
    #[serde(default)]
    pub components: Vec<Component>,
}

/// Where the console listens and what people type to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Socket address to bind.
    pub address: SocketAddr,
    /// Address in the browser, without a trailing slash; also the one origin whose requests may change things.
    pub public_url: String,
    /// Proxies before the console, as addresses or networks (`10.0.0.7`, `10.0.0.0/24`): what they say of the client's
    /// address is believed. Nobody else is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// Where they say it.
    #[serde(default)]
    pub client_header: ClientHeader,
}

/// The header in which a proxy names the client. Only one is read: of the other the proxy knows nothing, so that any
/// client could have written it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// How to reach one PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connection URL of the application role, which may neither change nor delete audit rows.
    pub url: Secret,
    /// Connection URL of the owning role, used by `bagua migrate` and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_url: Option<Secret>,
}

/// One region's data database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Region whose data lives here.
    pub region: String,
    /// Connection URL of the application role.
    pub url: Secret,
    /// Connection URL of the owning role, used by `bagua migrate` and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_url: Option<Secret>,
    /// Address below which Telegram reaches the region's gateway, `https://hooks.example.com`; `/v1/hooks/telegram/{bot}` is put behind it.
    /// Without it bots of this region can only poll. Telegram's cloud takes nothing but https, on port 443, 80, 88 or 8443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
}

/// The key store: where the keys lie that seal tokens and what people write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Connection URL of the application role.
    pub url: Secret,
    /// Connection URL of the owning role, used by `bagua migrate` and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_url: Option<Secret>,
    /// File with the master key, 64 hexadecimal digits (`openssl rand -hex 32`). Without it nothing that was sealed can be
    /// read again: it wants a backup of its own, apart from the database's.
    pub master_key_file: PathBuf,
}

/// Where bots may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telegram {
    /// Bot API servers, by name. A bot's token is sent to these and to no other address.
    pub servers: Vec<TelegramServer>,
}

impl Default for Telegram {
    /// Telegram's own.
    fn default() -> Telegram {
        Telegram {
            servers: vec![TelegramServer {
                name: "telegram".to_owned(),
                url: "https://api.telegram.org".to_owned(),
                simulator: false,
            }],
        }
    }
}

/// One Bot API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelegramServer {
    /// What it is called on screens and in operations.
    pub name: String,
    /// Its address, without a trailing slash.
    pub url: String,
    /// Whether it only stands in for Telegram: its bots are shown as such.
    #[serde(default)]
    pub simulator: bool,
}

/// An address that rules of bots may post updates to. Rules name it, so that whoever writes them reaches no other address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// What rules call it.
    pub name: String,
    /// Where it is; it may carry a key of its own.
    pub url: Secret,
    /// What each post is signed with, as base64 behind `whsec_`, 24 to 64 bytes: the receiver knows it too.
    pub secret: Secret,
}

/// An engine reached by URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Base URL, without a trailing slash; may carry a password.
    pub url: Secret,
}

/// The supervisor's control interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervisor {
    /// Path of its Unix socket; the wire types are in [`crate::supervisor`].
    pub socket: PathBuf,
}

/// Notifications that come in from Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Bearer token that `POST /hooks/alertmanager` must carry.
    pub webhook_token: Secret,
}

/// The console's own `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Bearer token that `GET /metrics` must carry.
    pub token: Secret,
}

/// How many calls of the HTTP API one token, one session, or one network address without either may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// In the long run.
    pub calls_per_minute: NonZeroU32,
    /// At once, after a rest.
    pub burst: NonZeroU32,
}

impl Default for Api {
    /// Fifty calls a second: a script that walks through every region and alert does not notice, one that runs wild
    /// leaves the console to the others.
    fn default() -> Api {
        Api {
            calls_per_minute: NonZeroU32::new(3_000).unwrap_or(NonZeroU32::MIN),
            burst: NonZeroU32::new(600).unwrap_or(NonZeroU32::MIN),
        }
    }
}

/// One running thing that the console shows and acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// `<region>/<service>`, such as `ap-east-1/gateway`.
    pub id: String,
    /// Region identifier, or `global` for what all regions share.
    pub region: String,
    /// What it is, such as `gateway`; the `component` label of its metrics.
    pub service: String,
    /// Base URL without a trailing slash: `http://…`, `postgres://…` or `redis://…`, never with a password.
    pub url: String,
    /// TCP port it listens on.
    pub port: u16,
    /// The console itself cannot work without it: stopping it leaves nobody who could start it from the screen.
    #[serde(default)]
    pub critical: bool,
}

impl Settings {
    /// The component with this id.
    #[must_use]
    pub fn component(&self, id: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.id == id)
    }

    /// The component of this service in this region.
    #[must_use]
    pub fn component_of(&self, region: &str, service: &str) -> Option<&Component> {
        self.components
            .iter()
            .find(|component| component.region == region && component.service == service)
    }

    /// The data database of this region.
    #[must_use]
    pub fn cell(&self, region: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.region == region)
    }

    /// Checks what the types alone cannot say.
    ///
    /// # Errors
    /// The first [`SettingsError`], which names the key and the remedy.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let refuse = |key: &str, remedy: &str| {
            Err(SettingsError {
                key: key.to_owned(),
                remedy: remedy.to_owned(),
            })
        };
        if !matches!(self.environment.as_str(), "dev" | "staging" | "prod") {
            return refuse("environment", "use dev, staging or prod");
        }
        if self.regions.is_empty() {
            return refuse("regions", "name at least one region");
        }
        if !self.listen.public_url.starts_with("http://") && !self.listen.public_url.starts_with("https://") {
            return refuse("listen.public_url", "start it with http:// or https://");
        }
        if self.listen.public_url.ends_with('/') {
            return refuse("listen.public_url", "leave the trailing slash off");
        }
        for (key, url) in std::iter::once(("control.url", &self.control.url))
            .chain(self.keys.iter().map(|keys| ("keys.url", &keys.url)))
            .chain(self.cells.iter().map(|cell| ("cells.url", &cell.url)))
        {
            let url = url.expose();
            if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                return refuse(key, "write postgres://user:password@host:port/database");
            }
        }
        for (n, server) in self.telegram.servers.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if server.name.is_empty() || !server.name.chars().all(plain) {
                return refuse("telegram.servers.name", "use letters, digits and hyphens");
            }
            if self.telegram.servers[..n]
                .iter()
                .any(|other| other.name == server.name)
            {
                return refuse("telegram.servers.name", "give each server a name of its own");
            }
            if !server.url.starts_with("http://") && !server.url.starts_with("https://") {
                return refuse("telegram.servers.url", "start it with http:// or https://");
            }
        }
        for (n, webhook) in self.webhooks.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if webhook.name.is_empty() || !webhook.name.chars().all(plain) {
                return refuse("webhooks.name", "use letters, digits and hyphens");
            }
            if self.webhooks[..n].iter().any(|other| other.name == webhook.name) {
                return refuse("webhooks.name", "give each webhook a name of its own");
            }
            let url = webhook.url.expose();
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return refuse("webhooks.url", "start it with http:// or https://");
            }
            if !webhook.secret.expose().starts_with("whsec_") {
                return refuse(
                    "webhooks.secret",
                    "write whsec_ and 24 to 64 random bytes as base64",
                );
            }
        }
        for cell in &self.cells {
            if !self.regions.contains(&cell.region) {
                return refuse("cells.region", "use a region that `regions` names");
            }
        }
        for (key, token) in [
            ("alerts.webhook_token", &self.alerts.webhook_token),
            ("metrics.token", &self.metrics.token),
        ] {
            // Below this a token could be guessed over the network.
            if token.expose().len() < 24 {
                return refuse(key, "use at least 24 random characters");
            }
        }
        for component in &self.components {
            if component.id != format!("{}/{}", component.region, component.service) {
                return refuse("components.id", "make it <region>/<service>");
            }
        }
        Ok(())
    }
}

/// A value that cannot be used, and what to write instead. The value itself is left out: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of `{key}` cannot be used: {remedy}")]
pub struct SettingsError {
    /// Dotted path of the key.
    pub key: String,
    /// What to write instead.
    pub remedy: String,
}

/// Text that must not reach a log: it shows as `"***"` unless it is exposed on purpose.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"***\"")
    }
}
