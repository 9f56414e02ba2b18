//! How many updates a second the simulator hands out on one core: it runs on one thread, the poller on another.
//!
//! `cargo run --release -p bagua-telegram-sim --example throughput`

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bagua_telegram_sim::{Config, Load, MOST_UPDATES, NewBot, Shape, Share, Sim, load};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Times that a full queue is emptied.
const ROUNDS: u32 = 5;
/// Updates that are made while they are fetched.
const STREAMED: u64 = 1_000_000;

fn load(updates: u64) -> Load {
    let share = |kind, of| Share { kind, of };
    Load {
        updates,
        chats: 1000,
        mixture: vec![
            share(Shape::Message, 16),
            share(Shape::Photo, 2),
            share(Shape::EditedMessage, 1),
            share(Shape::CallbackQuery, 1),
        ],
        ..Load::default()
    }
}

fn main() -> Result<()> {
    let simulator = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let sim = simulator.block_on(Sim::start(Config::default()))?;
    let bot = sim.add_bot(&NewBot::default())?;
    let address = sim.url().trim_start_matches("http://").to_owned();
    let poller = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    let mut emptying = Duration::ZERO;
    let mut bytes = 0;
    let mut offset = 0;
    for _ in 0..ROUNDS {
        let full = Load {
            wait_above: None,
            ..load(MOST_UPDATES as u64)
        };
        simulator.block_on(load::run(&bot, full));
        let begun = Instant::now();
        let (next, got) = poller.block_on(fetch(&address, &bot.token(), offset, MOST_UPDATES as u64))?;
        emptying += begun.elapsed();
        (offset, bytes) = (next, bytes + got);
    }
    let handed_out = u64::from(ROUNDS) * MOST_UPDATES as u64;
    report("from a full queue", handed_out, bytes, emptying);

    let making = simulator.spawn({
        let bot = bot.clone();
        async move { load::run(&bot, load(STREAMED)).await }
    });
    let begun = Instant::now();
    let (_, bytes) = poller.block_on(fetch(&address, &bot.token(), offset, STREAMED))?;
    report(
        "made on the same core at the same time",
        STREAMED,
        bytes,
        begun.elapsed(),
    );
    simulator.block_on(making)?;
    let totals = bot.totals();
    println!("{totals:?}");
    ensure!(
        totals.acknowledged as u64 == handed_out + STREAMED,
        "not everything was acknowledged"
    );
    Ok(())
}

fn report(what: &str, updates: u64, bytes: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{what}: {:.0} updates/s, {:.0} MB/s ({updates} updates in {seconds:.2} s)",
        updates as f64 / seconds,
        bytes as f64 / seconds / 1e6,
    );
}

/// Polls until so many updates came and are confirmed; the next offset and the bytes of the answers are returned. It
/// reads no JSON but the last id, so that it is not what is measured.
async fn fetch(address: &str, token: &str, mut offset: i64, mut left: u64) -> Result<(i64, u64)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 8 << 20];
    let mut bytes = 0;
    while left > 0 {
        let body = exchange(&mut stream, &mut buffer, token, offset, 10).await?;
        let count = count_ids(body);
        bytes += body.len() as u64;
        left = left.saturating_sub(count);
        if count > 0 {
            offset = last_id(body).context("an update without an id")? + 1;
        }
    }
    exchange(&mut stream, &mut buffer, token, offset, 0).await?;
    Ok((offset, bytes))
}

const ID: &[u8] = b"{\"update_id\":";

fn count_ids(body: &[u8]) -> u64 {
    body.windows(ID.len()).filter(|window| *window == ID).count() as u64
}

fn last_id(body: &[u8]) -> Option<i64> {
    let at = body.windows(ID.len()).rposition(|window| window == ID)?;
    let digits = &body[at + ID.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

async fn exchange<'a>(
    stream: &mut TcpStream,
    buffer: &'a mut [u8],
    token: &str,
    offset: i64,
    timeout: u8,
) -> Result<&'a [u8]> {
    let request =
        format!("GET /bot{token}/getUpdates?offset={offset}&timeout={timeout} HTTP/1.1\r\nhost: sim\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut have = 0;
    loop {
        let got = stream.read(&mut buffer[have..]).await?;
        ensure!(got > 0, "the connection ended");
        have += got;
        let Some(head) = buffer[..have]
            .windows(4)
            .take(2000)
            .position(|window| window == b"\r\n\r\n")
        else {
            continue;
        };
        let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
        let length = text
            .split("content-length: ")
            .nth(1)
            .context("an answer without a length")?;
        let length: usize = length.lines().next().unwrap_or_default().trim().parse()?;
        let whole = head + 4 + length;
        while have < whole {
            let got = stream.read(&mut buffer[have..]).await?;
            ensure!(got > 0, "the connection ended");
            have += got;
        }
        return Ok(&buffer[head + 4..whole]);
    }
}
