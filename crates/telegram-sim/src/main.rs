//! `telegram-sim`: the simulator for clients in other languages. Prints its address as the first line.

use std::net::SocketAddr;

use anyhow::Result;
use bagua_telegram_sim::{Config, NewBot, Sim};
use clap::Parser;

/// A stand-in for Telegram's Bot API on this machine.
#[derive(Parser)]
struct Arguments {
    /// Port on the loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// A bot to begin with; may be repeated. More are made with POST /sim/bots.
    #[arg(long = "bot", value_name = "TOKEN")]
    bots: Vec<String>,
    /// Behave as a local Bot API server.
    #[arg(long)]
    local: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let sim = Sim::start(Config {
        address: Some(SocketAddr::from(([127, 0, 0, 1], arguments.port))),
        local: arguments.local,
        ..Config::default()
    })
    .await?;
    for token in arguments.bots {
        sim.add_bot(&NewBot {
            token: Some(token),
            ..NewBot::default()
        })?;
    }
    println!("{}", sim.url());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
