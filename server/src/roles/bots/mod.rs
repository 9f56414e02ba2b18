//! The bots of a region's runner: those of its own cell, and those of other cells that name its region.
//!
//! Each cell has a task of its own. It reads the cell's tuning, owns bots with it, and begins anew when the tuning was changed: what was
//! received is stored, the leases are given back, and are taken again a moment later.

mod figures;
mod serve;

pub use figures::describe;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use bagua_bots::deliver::{Endpoint, Endpoints};
use bagua_bots::presence::Reads;
use bagua_bots::runner::SETTLE;
use bagua_bots::webhook::{self, Webhooks};
use bagua_model::settings::{Cell, Keys, Settings};
use http::StatusCode;
use serve::{Place, Served};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How long the bots may take to store what they have received. `bagua up` waits 10 s before it kills a runner.
pub const DRAIN: Duration = Duration::from_secs(9);

/// What the runner's own work and its bots' share.
#[derive(Default)]
pub struct Shared {
    /// Look-ups in Redis.
    pub redis: Arc<Reads>,
    /// Seconds for which Redis keeps what was read; 0: as usual.
    pub redis_seconds: AtomicU64,
}

/// The bots of one process.
pub struct Bots {
    region: String,
    process: String,
    keys: Keys,
    cells: Vec<Cell>,
    /// Where Telegram reaches this region.
    push_base: Option<String>,
    /// From when on bots are asked back from regions that stand in for this one.
    settled: Instant,
    hooks: Arc<ArcSwap<Vec<Hooks>>>,
    deliver: Arc<Endpoints>,
    shared: Arc<Shared>,
}

/// Who takes pushes for a cell.
#[derive(Clone)]
struct Hooks {
    cell: String,
    webhooks: Webhooks,
}

impl Bots {
    /// Nothing where the settings name no key store: what bots receive could not be sealed. Connects to nothing yet. Within a runtime of
    /// tokio.
    ///
    /// # Errors
    /// When a value of the settings cannot be used.
    pub fn new(settings: &Settings, region: &str, shared: Arc<Shared>) -> anyhow::Result<Option<Bots>> {
        let Some(keys) = &settings.keys else {
            tracing::info!("the settings name no key store, so this runner runs no bots");
            return Ok(None);
        };
        let own = settings
            .cell(region)
            .with_context(|| format!("The configuration has no data database for {region}"))?;
        let host = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok());
        let bots = Bots {
            // A process that comes after this one is another owner, whatever became of this one.
            process: format!(
                "{region}/{}:{}",
                host.unwrap_or_else(|| "localhost".to_owned()),
                std::process::id()
            ),
            region: region.to_owned(),
            keys: keys.clone(),
            cells: settings.cells.clone(),
            push_base: own.webhook_url.clone(),
            settled: Instant::now() + SETTLE,
            hooks: Arc::default(),
            deliver: Arc::new(endpoints(settings)?),
            shared,
        };
        // A value that cannot be used is said now, and not when a bot is to be taken.
        for cell in &bots.cells {
            serve::options(cell, region)?;
        }
        Served::key_store(&bots.keys, region, 1)?;
        Ok(Some(bots))
    }

    /// As if the process had been there for long.
    pub fn settled(self) -> Bots {
        Bots {
            settled: Instant::now(),
            ..self
        }
    }

    /// Owns bots until `stop`, then until everything that was received is stored.
    pub async fn run(self, stop: CancellationToken) {
        let mut cells = JoinSet::new();
        for cell in &self.cells {
            let own = cell.region == self.region;
            let place = Place {
                cell: cell.clone(),
                own,
                region: self.region.clone(),
                process: self.process.clone(),
                keys: self.keys.clone(),
                push_base: self.push_base.clone().filter(|_| !own),
                settled: self.settled,
                hooks: Arc::clone(&self.hooks),
                deliver: Arc::clone(&self.deliver),
                shared: Arc::clone(&self.shared),
            };
            let stop = stop.clone();
            cells.spawn(async move {
                if own {
                    place.own(&stop).await;
                } else {
                    place.stand_by(&stop).await;
                }
            });
        }
        while cells.join_next().await.is_some() {}
    }

    /// The route on which Telegram pushes to bots of this region; what comes goes the same way as what is polled.
    pub fn pushes(&self) -> Router {
        let hooks = Arc::clone(&self.hooks);
        let answer = move |request: Request| {
            let hooks = hooks.load_full();
            async move { answer(&hooks, request).await }
        };
        Router::new().route(&format!("{}{{bot}}", webhook::PATH), any(answer))
    }
}

/// Where rules may post updates to.
fn endpoints(settings: &Settings) -> anyhow::Result<Endpoints> {
    let named = settings
        .webhooks
        .iter()
        .map(|webhook| {
            let endpoint = Endpoint::new(webhook.url.expose(), webhook.secret.expose());
            let endpoint =
                endpoint.with_context(|| format!("the webhook {} cannot be used", webhook.name))?;
            Ok((webhook.name.clone(), endpoint))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Endpoints::new(named, Arc::new(OffsetDateTime::now_utc)))
}

/// Asks the own cell first, and those that this process stands in for where it does not know the bot.
async fn answer(hooks: &[Hooks], request: Request) -> http::Response<Body> {
    if let Some(bot) = webhook::pushed_to(&request) {
        for hook in hooks {
            match hook.webhooks.knows(bot).await {
                Ok(false) => {}
                // A cell that is away may be the bot's: Telegram tries again.
                Ok(true) | Err(_) => return hook.webhooks.answer(request).await.map(Body::new),
            }
        }
    }
    match hooks.first() {
        // Whatever is wrong with it is said there.
        Some(own) => own.webhooks.answer(request).await.map(Body::new),
        // Before the first cell is served nobody can say whose bot it is.
        None => {
            let mut response = http::Response::new(Body::empty());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    }
}

fn ticks(pause: Duration) -> Interval {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the next tick; `false` when `stop` came first.
async fn next(ticks: &mut Interval, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        _ = ticks.tick() => true,
    }
}
