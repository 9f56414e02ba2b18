//! The console over HTTP: pages, server functions, forms, the live stream and the hooks for machines.

pub mod api;
mod bots;
pub mod client;
mod forms;
mod guard;
mod hooks;
mod identity;
mod live;
mod pages;
mod site;
mod tokens;
mod trace;

use crate::telemetry;
use crate::wiring::Parts;
use anyhow::Context as _;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Router, extract::FromRef};
use bagua_access::Access;
use bagua_alerts::Alerts;
use bagua_app::assets::SiteAssets;
use bagua_core::Console;
use bagua_localization::Localization;
use bagua_model::region::{Environment, RegionId};
use bagua_model::settings::{Secret, Settings};
use http::StatusCode;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::timeout::TimeoutLayer;

/// Everything that a person types.
const FORM_LIMIT: usize = 256 * 1024;

/// How long a request that changes something may take, its body included: a client that sends a byte a minute holds no
/// handler, and no connection to the database, for longer.
const CHANGE_WITHIN: Duration = Duration::from_secs(30);

/// What every handler is given.
#[derive(Clone)]
pub struct AppState {
    /// Ask and submit.
    pub console: Arc<Console>,
    /// People and sessions.
    pub access: Arc<Access>,
    /// The alert feed's webhook.
    pub alerts: Arc<Alerts>,
    /// What `/localization/health` answers.
    pub localization: Arc<Localization>,
    /// The environment that this console looks after.
    pub environment: Environment,
    /// Regions in the order of configuration.
    pub regions: Arc<[RegionId]>,
    /// Names of the built browser files.
    pub assets: Arc<SiteAssets>,
    /// The files themselves.
    pub site: site::Site,
    /// Whether cookies travel over HTTPS only.
    pub secure: bool,
    /// What `/api/v1/openapi.json` answers.
    pub description: Arc<api::Description>,
    metrics_token: Secret,
    limits: Arc<api::Limits>,
    hosts: guard::Hosts,
    proxies: client::Proxies,
    stop: CancellationToken,
}

impl AppState {
    /// Reads the built browser files and takes what the handlers need from the settings.
    pub fn new(settings: &Settings, parts: &Parts, stop: CancellationToken) -> anyhow::Result<AppState> {
        let folder = site_folder(settings)?;
        let manifest = folder.join("manifest.json");
        let manifest = std::fs::read_to_string(&manifest).with_context(|| {
            format!(
                "{} cannot be read. Build the browser's files with `cargo xtask build`",
                manifest.display()
            )
        })?;
        Ok(AppState {
            environment: parts.console.environment,
            description: Arc::new(api::Description::new(parts.console.registry())),
            console: Arc::clone(&parts.console),
            access: Arc::clone(&parts.access),
            alerts: Arc::clone(&parts.alerts),
            localization: Arc::clone(&parts.localization),
            regions: settings.regions.iter().map(RegionId::new).collect(),
            assets: Arc::new(SiteAssets::from_manifest(&manifest).map_err(anyhow::Error::msg)?),
            site: site::Site::read(&folder)
                .with_context(|| format!("{} cannot be read", folder.display()))?,
            secure: settings.listen.public_url.starts_with("https://"),
            metrics_token: settings.metrics.token.clone(),
            limits: Arc::new(api::Limits::new(settings.api)),
            proxies: client::Proxies::new(&settings.listen)?,
            hosts: guard::Hosts::new(&settings.listen.public_url, settings.listen.address.port()),
            stop,
        })
    }
}

impl FromRef<AppState> for site::Site {
    fn from_ref(state: &AppState) -> site::Site {
        state.site.clone()
    }
}

/// `site` of the settings, else a folder `site` beside the executable or above it, where the build puts it.
fn site_folder(settings: &Settings) -> anyhow::Result<PathBuf> {
    if let Some(folder) = settings
        .site
        .clone()
        .or_else(|| std::env::var_os("BAGUA_SITE").map(PathBuf::from))
    {
        return Ok(folder);
    }
    let executable = std::env::current_exe().context("the system does not say where this executable lies")?;
    executable
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("site"))
        .find(|folder| folder.join("manifest.json").is_file())
        .context("The browser's files are not beside this executable. Build them with `cargo xtask build`, or set BAGUA_SITE")
}

/// All routes.
pub fn router(state: AppState) -> Router {
    let in_time = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, CHANGE_WITHIN);
    let own_page = || get(pages::page).layer(from_fn(identity::require_session));
    let changes = Router::new()
        .route("/sign-in", get(pages::page).post(forms::sign_in))
        .route("/sign-out", post(forms::sign_out))
        .route("/welcome", get(pages::page).post(forms::accept_invitation))
        .route("/reset", get(pages::page).post(forms::accept_invitation))
        .route("/preferences", own_page().post(forms::preferences))
        .route("/submit/{kind}", post(forms::submit))
        .route("/bots", own_page().post(bots::add))
        .route("/bots/{bot}", own_page().post(bots::replace))
        .route("/bots/{bot}/rules", own_page().post(bots::write_rule))
        .route("/bots/tuning", own_page().post(bots::tune))
        .route("/bots/{bot}/settings", own_page().post(bots::set))
        .route("/access/tokens", own_page().post(tokens::create))
        .route("/rpc/{*name}", post(pages::rpc))
        .layer(in_time);
    let pages = Router::new()
        .fallback(get(pages::page))
        .layer(from_fn(identity::require_session));
    let people = Router::new()
        .merge(changes)
        .route("/live", get(live::stream))
        .fallback_service(pages.with_state(state.clone()))
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(from_fn_with_state(state.clone(), identity::identify));
    let files = Router::new()
        .route("/pkg/{*path}", get(site::pkg))
        .route("/assets/{*path}", get(site::assets))
        .route("/favicon.ico", get(site::favicon));
    let machines = Router::new()
        .route("/hooks/alertmanager", post(hooks::alertmanager).layer(in_time))
        .route("/healthz", get(hooks::healthz))
        .route("/readyz", get(hooks::readyz))
        .route("/localization/health", get(hooks::localization));
    // A compressed stream would be held back until a block is full.
    let compressible = DefaultPredicate::new()
        .and(NotForContentType::const_new("text/event-stream"))
        .and(NotForContentType::const_new("application/wasm"));
    let metrics = telemetry::metrics_route(Some(state.metrics_token.expose().to_owned()), || ());
    let api = api::routes(&state);
    let (hosts, secure) = (state.hosts.clone(), guard::Secure(state.secure));
    let proxies = state.proxies.clone();
    let routes = Router::new()
        .merge(machines)
        .merge(files)
        .nest(api::PREFIX, api)
        .merge(people)
        .with_state(state)
        .merge(metrics);
    telemetry::track(routes)
        .layer(CatchPanicLayer::new())
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(compressible),
        )
        .layer(from_fn_with_state(proxies, client::address))
        .layer(from_fn_with_state(hosts, guard::guard))
        .layer(from_fn(api::problems))
        .layer(from_fn_with_state(secure, guard::headers))
        .layer(from_fn(trace::request))
}
