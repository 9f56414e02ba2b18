//! What the bot runtime takes, how soon, and at what cost. Runner, simulator and database share the machine's cores.
//!
//! Part of `./dev bench`, which gives it a PostgreSQL with fsync on. By hand:
//! `BAGUA_TEST_DATABASE_URL=… cargo run --release -p bagua-bots --example ingest [PART…]`. One line of JSON for each figure. Every
//! part is bounded in time and in what it sends, and ends by itself.

#![expect(
    clippy::disallowed_methods,
    reason = "a measurement takes the machine's clock"
)]

mod ground;
mod handover;
mod idle;
mod latency;
mod rate;
mod search;

use anyhow::{Result, bail};

/// The same as `bagua runner` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTS: [&str; 8] = [
    "rate", "webhook", "stored", "reply", "idle", "handover", "index", "search",
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    if ground::is_child() {
        return ground::run_as_child().await;
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(odd) = wanted.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part {odd}; there are {}", PARTS.join(", "));
    }
    ground::flushes().await?;
    for part in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == part) {
            continue;
        }
        match part {
            "rate" => rate::polled().await?,
            "webhook" => rate::pushed().await?,
            "stored" => latency::stored().await?,
            "reply" => latency::reply().await?,
            "idle" => idle::memory().await?,
            "index" => search::cost().await?,
            "search" => search::speed().await?,
            _ => handover::drain_and_takeover().await?,
        }
    }
    Ok(())
}
