//! How many updates a second are received, sealed, committed and confirmed, and how many rows the same database takes when it
//! is given nothing else to do: COPY of the same rows into the same tables.

use crate::ground::Ground;
use anyhow::{Context as _, Result};
use bagua_bots::webhook::{PATH, Webhooks};
use bagua_bots::{BotId, catalogue};
use bagua_telegram_sim::{Load, Shape, Share, load};
use bagua_testkit::TestDatabase;
use futures::TryStreamExt as _;
use std::time::{Duration, Instant};

/// Updates of one part, over all of its bots. A queue at Telegram holds 100,000.
pub const UPDATES: u64 = 60_000;
const BOTS: [u64; 3] = [1, 8, 50];
/// No part takes longer, or it failed.
const LIMIT: Duration = Duration::from_secs(120);
/// Tables that ingest writes rows into, without those of which it keeps one row for each bot.
const TABLES: [&str; 3] = ["update_ledger", "updates", "messages"];

pub fn mixed(updates: u64) -> Load {
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

/// Polled by 1, 8 and 50 bots.
pub async fn polled() -> Result<()> {
    for bots in BOTS {
        let ground = Ground::with_bots(bots).await?;
        let rate = from_full_queues(&ground).await?;
        let (rows, raw) = copy(&ground.data).await?;
        println!(
            r#"{{"part":"ingest","bots":{bots},"updates":{UPDATES},"updates_per_second":{rate:.0},"copy_updates_per_second":{raw:.0},"rows":{rows},"share":{:.3}}}"#,
            rate / raw
        );
    }
    Ok(())
}

/// Pushed to the webhook of one bot over 40 connections, which is what Telegram opens when it is told nothing else.
pub async fn pushed() -> Result<()> {
    let ground = Ground::with_bots(1).await?;
    let parts = ground.parts()?;
    let hooks = Webhooks::new(ground.data.app.clone(), ground.keys.clone(), parts.ingest.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let hooks = hooks.clone();
        async move { hooks.answer(request).await.map(axum::body::Body::new) }
    });
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let bot = ground.bots.first().context("a bot")?;
    load::run(bot, mixed(UPDATES)).await;
    let url = format!("http://{address}{PATH}{}", bot.id());
    catalogue::push_to(&ground.data.app, &ground.keys, BotId(bot.id()), &url).await?;
    // Its owner sets the webhook; the first push comes right behind.
    let running = ground.run("bench", parts);
    ground
        .until("the first push", LIMIT, |_| bot.totals().acknowledged > 0)
        .await?;
    let (began, before) = (Instant::now(), bot.totals().acknowledged);
    ground.until("all pushes", LIMIT, Ground::is_empty).await?;
    let rate = (bot.totals().acknowledged - before) as f64 / began.elapsed().as_secs_f64();
    running.end().await?;
    serving.abort();
    ground.nothing_lost().await?;
    println!(r#"{{"part":"webhook","connections":40,"updates":{UPDATES},"updates_per_second":{rate:.0}}}"#);
    Ok(())
}

/// Updates a second from the first poll to the last confirmation, which Telegram only gets for what is committed.
async fn from_full_queues(ground: &Ground) -> Result<f64> {
    let each = UPDATES / ground.bots.len() as u64;
    for bot in &ground.bots {
        load::run(bot, mixed(each)).await;
    }
    let began = Instant::now();
    let running = ground.run("bench", ground.parts()?);
    ground.until("all confirmed", LIMIT, Ground::is_empty).await?;
    let took = began.elapsed();
    running.end().await?;
    ground.nothing_lost().await?;
    Ok((each * ground.bots.len() as u64) as f64 / took.as_secs_f64())
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
