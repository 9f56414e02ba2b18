//! How many updates a second are polled, sealed, committed and confirmed, and how many rows the same database takes when it
//! is given nothing else to do: COPY of the same rows into the same tables.
//!
//! Part of `./dev bench`, which gives it a PostgreSQL with fsync on. By hand:
//! `BAGUA_TEST_DATABASE_URL=… cargo run --release -p bagua-bots --example ingest`. Runner, simulator and database share the
//! machine's cores. One line of JSON for each part.

#![expect(
    clippy::disallowed_methods,
    reason = "a measurement takes the machine's clock"
)]

use anyhow::{Context as _, Result, ensure};
use bagua_bots::ingest::{Committer, CommitterConfig, Ingest};
use bagua_bots::runner::{Parts, Runner, RunnerConfig};
use bagua_bots::{BotId, catalogue, counts};
use bagua_keys::{KeyStore, MasterKey};
use bagua_telegram::{ApiBase, Token, Transport};
use bagua_telegram_sim::{Bot, Config, Load, NewBot, Shape, Share, Sim, load};
use bagua_testkit::{Kind, TestDatabase, database_of};
use futures::TryStreamExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// Updates of one part, over all of its bots. A queue at Telegram holds 100,000.
const UPDATES: u64 = 60_000;
const BOTS: [u64; 3] = [1, 8, 50];
/// No part takes longer, or it failed.
const LIMIT: Duration = Duration::from_secs(120);
/// Tables that ingest writes rows into, without those of which it keeps one row for each bot.
const TABLES: [&str; 3] = ["update_ledger", "updates", "messages"];

fn mixed(updates: u64) -> Load {
    let share = |kind, of| Share { kind, of };
    Load {
        updates,
        chats: 1_000,
        mixture: vec![
            share(Shape::Message, 16),
            share(Shape::Photo, 2),
            share(Shape::EditedMessage, 1),
            share(Shape::CallbackQuery, 1),
        ],
        wait_above: None,
        ..Load::default()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let data = database_of(Kind::Data).await?;
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&data.owner).await?;
    for bots in BOTS {
        let data = database_of(Kind::Data).await?;
        let rate = ingest(&data, bots).await?;
        let (rows, raw) = copy(&data).await?;
        println!(
            r#"{{"part":"ingest","bots":{bots},"updates":{UPDATES},"updates_per_second":{rate:.0},"copy_updates_per_second":{raw:.0},"rows":{rows},"share":{:.3},"fsync":"{fsync}"}}"#,
            rate / raw
        );
    }
    Ok(())
}

/// Updates a second from the first poll to the last confirmation, which Telegram only gets for what is committed.
async fn ingest(data: &TestDatabase, bots: u64) -> Result<f64> {
    let keys_db = database_of(Kind::Keys).await?;
    let mut random = StdRng::from_os_rng();
    let keys = KeyStore::new(keys_db.app.clone(), MasterKey::new(&[1; 32]), &mut random, 10_000);
    let now = Arc::new(OffsetDateTime::now_utc);
    let committer = Committer::start(&data.app, CommitterConfig::default(), now);
    let sim = Sim::start(Config::default()).await?;
    let mut all: Vec<Arc<Bot>> = Vec::new();
    for _ in 0..bots {
        let bot = sim.add_bot(&NewBot::default())?;
        let (token, base) = (Token::parse(&bot.token())?, ApiBase::parse(&sim.url())?);
        catalogue::add(&data.app, &keys, &token, &base, "bench_bot").await?;
        load::run(&bot, mixed(UPDATES / bots)).await;
        all.push(bot);
    }
    let pushed = UPDATES / bots * bots;
    let parts = Parts {
        pool: data.app.clone(),
        keys: keys.clone(),
        ingest: Ingest::new(keys.clone(), committer),
        transport: Transport::new(Duration::from_secs(2))?,
    };
    let stop = CancellationToken::new();
    let config = RunnerConfig {
        take: 100,
        ..RunnerConfig::new("bench")
    };
    let began = Instant::now();
    let running = tokio::spawn(Runner::new(config, parts).run(stop.clone()));
    // A bot's queue is empty when all of it was confirmed. Asking is cheap and seldom: its log is not counted.
    while all.iter().any(|bot| bot.pending() > 0) {
        ensure!(began.elapsed() < LIMIT, "not confirmed within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    stop.cancel();
    running.await?;
    // A figure that lost or doubled something is none.
    for bot in &all {
        let found = counts::counts(&data.app, BotId(bot.id())).await?;
        let confirmed = i64::try_from(bot.totals().acknowledged)?;
        ensure!(
            found.lost(confirmed) == 0 && found.doubled == 0 && found.missing == 0,
            "bot {}: {found:?} of {confirmed} confirmed",
            bot.id()
        );
    }
    Ok(pushed as f64 / took.as_secs_f64())
}

/// The same rows once more, by COPY, one transaction for each table: rows in all, and updates a second.
async fn copy(data: &TestDatabase) -> Result<(u64, f64)> {
    let mut rows = 0;
    let mut took = Duration::ZERO;
    let mut updates = 0;
    for table in TABLES {
        let mut out = data.owner.acquire().await?;
        // What COPY reads of a partitioned table is a query.
        let statement = format!("COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)");
        let mut stream = out.copy_out_raw(&statement).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        drop(stream);
        // The same table and its indexes, empty.
        let truncate = format!("TRUNCATE {table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(truncate))
            .execute(&mut *out)
            .await?;
        let began = Instant::now();
        let statement = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let mut into = out.copy_in_raw(&statement).await?;
        for piece in bytes.chunks(1 << 16) {
            into.send(piece).await?;
        }
        let count = into.finish().await.context("COPY")?;
        took += began.elapsed();
        rows += count;
        if table == "updates" {
            updates = count;
        }
    }
    Ok((rows, updates as f64 / took.as_secs_f64()))
}
