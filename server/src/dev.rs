//! `bagua dev`: a stand-in for Telegram, for trying out and for demonstrations.

use crate::settings::ConfigArgs;
use crate::{telemetry, wiring};
use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use bagua_core::Actor;
use bagua_model::bots::{AddBot, TokenInput};
use bagua_model::operation::Submission;
use bagua_model::region::RegionId;
use bagua_model::settings::Settings;
use bagua_model::text::keys;
use bagua_telegram_sim::{Bot, Config, Load, NewBot, Shape, Share, Sim, SimClock, load};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What `bagua dev` can do.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Runs a stand-in for Telegram's Bot API on this machine; it prints its address. Never for real bots: it has no locks.
    Telegram(Telegram),
}

/// Options of `bagua dev telegram`.
#[derive(clap::Args)]
pub struct Telegram {
    #[command(flatten)]
    config: ConfigArgs,
    /// Runs as `global/telegram-sim` of the configuration, with a few bots that receive a trickle of messages, and adds
    /// them to the console.
    #[arg(long)]
    demo: bool,
    /// Port on the loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8081, conflicts_with = "demo")]
    port: u16,
    /// A bot to begin with; may be repeated. More are made with POST /sim/bots.
    #[arg(long = "bot", value_name = "TOKEN", conflicts_with = "demo")]
    bots: Vec<String>,
    /// Behaves as a local Bot API server.
    #[arg(long)]
    local: bool,
}

/// Carries out one verb.
pub async fn run(verb: Verb, stop: CancellationToken) -> anyhow::Result<()> {
    let Verb::Telegram(options) = verb;
    if options.demo {
        return demo(&options.config.load()?, options.local, stop).await;
    }
    let sim = Sim::start(Config {
        address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))),
        local: options.local,
        ..Config::default()
    })
    .await?;
    for token in options.bots {
        let token = Some(token);
        sim.add_bot(&NewBot {
            token,
            ..NewBot::default()
        })?;
    }
    println!("{}", sim.url());
    stop.cancelled().await;
    Ok(())
}

/// A demonstration bot: its number, its name, what people write to it, and how often.
struct Demo {
    id: i64,
    username: &'static str,
    text: &'static str,
    per_second: f64,
}

const DEMOS: [Demo; 3] = [
    Demo {
        id: 700_000_001,
        username: "parcel_help_bot",
        text: "Where is my parcel?",
        per_second: 0.5,
    },
    Demo {
        id: 700_000_002,
        username: "city_weather_bot",
        text: "Will it rain today?",
        per_second: 0.3,
    },
    Demo {
        id: 700_000_003,
        username: "table_booking_bot",
        text: "A table for two, please.",
        per_second: 0.2,
    },
];

/// Numbers of updates begin by the clock, four to a second: this process forgets everything at its end, and a number that
/// comes again within days is taken for the same update. 31 bits last until 2043.
fn first_update_id(clock: &SimClock) -> i64 {
    const BEGINNING_OF_2026: i64 = 1_767_225_600;
    (clock.seconds() - BEGINNING_OF_2026).max(0) * 4
}

async fn demo(settings: &Settings, local: bool, stop: CancellationToken) -> anyhow::Result<()> {
    let component = settings
        .component("global/telegram-sim")
        .context("The configuration has no component global/telegram-sim; `bagua up` writes one in dev")?;
    let server = settings
        .telegram
        .servers
        .iter()
        .find(|server| server.simulator)
        .context("The configuration names no Bot API server with simulator = true")?;
    telemetry::install()?;
    let beside = Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .merge(telemetry::metrics_route(None, || ()));
    let sim = Sim::start(Config {
        address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, component.port))),
        local,
        beside,
        ..Config::default()
    })
    .await?;
    let first = first_update_id(sim.clock());
    let mut added = Vec::new();
    for (demo, region) in DEMOS.iter().zip(settings.regions.iter().cycle()) {
        let bot = sim.add_bot(&NewBot {
            id: Some(demo.id),
            username: Some(demo.username.to_owned()),
            first_update_id: Some(first),
            ..NewBot::default()
        })?;
        tokio::spawn(trickle(Arc::clone(&bot), demo.text, demo.per_second));
        added.push(AddBot {
            region: RegionId::new(region.as_str()),
            server: server.name.clone(),
            token: TokenInput::new(bot.token()),
            home: None,
            standby: Vec::new(),
        });
    }
    tokio::select! {
        () = stop.cancelled() => {}
        added = add_all(settings, added) => {
            added?;
            stop.cancelled().await;
        }
    }
    Ok(())
}

/// A steady trickle as long as the process lives.
async fn trickle(bot: Arc<Bot>, text: &str, per_second: f64) {
    let share = |kind, of| Share { kind, of };
    let load = Load {
        updates: u64::MAX,
        chats: 40,
        per_second: Some(per_second),
        mixture: vec![
            share(Shape::Message, 12),
            share(Shape::Photo, 3),
            share(Shape::EditedMessage, 2),
            share(Shape::CallbackQuery, 2),
            share(Shape::MyChatMember, 1),
        ],
        // Nobody may be there to fetch them.
        wait_above: Some(10_000),
        text: text.to_owned(),
        ..Load::default()
    };
    load::run(&bot, load).await;
}

/// Adds the bots that the console does not have yet, by the operation that everybody uses.
async fn add_all(settings: &Settings, mut wanted: Vec<AddBot>) -> anyhow::Result<()> {
    let console = wiring::build(settings)?.console;
    let actor = Actor::system("demo");
    while let Some(add) = wanted.last() {
        let bot = add.token.bot();
        let there = match console.submit(&actor, add.clone(), Submission::default()).await {
            Ok(_) => true,
            Err(failure) => {
                let there = failure.fields.iter().any(|(_, text)| text.key == keys::BOT_THERE);
                if !there {
                    tracing::info!(bot, %failure, "the bot was not added; trying again");
                }
                there
            }
        };
        if there {
            wanted.pop();
        } else {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
    Ok(())
}
