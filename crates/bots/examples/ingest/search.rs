//! What the search index costs, how far it lags under load, and how long a search takes among many messages.

use crate::ground::Ground;
use crate::rate::{UPDATES, mixed};
use anyhow::{Context as _, Result};
use bagua_bots::BotId;
use bagua_bots::search::{Indexer, Search, behind, find, index, messages, of_query};
use bagua_keys::TermKey;
use bagua_telegram_sim::load;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// Messages that are searched when nothing else is said.
const MESSAGES: i64 = 1_000_000;
/// Words of the vocabulary. The word of rank n is as frequent as 1/n says, which is how words of people are spread (Zipf).
const WORDS: usize = 50_000;
/// Over so many days.
const DAYS: i64 = 60;
const LIMIT: Duration = Duration::from_secs(180);

/// Stores full queues of 8 bots with the indexer beside it; then what is left is indexed with nothing else to do.
pub async fn cost() -> Result<()> {
    let ground = Ground::with_bots(8).await?;
    let each = UPDATES / ground.bots.len() as u64;
    for bot in &ground.bots {
        load::run(bot, mixed(each)).await;
    }
    let stop = CancellationToken::new();
    let indexer = Indexer {
        pool: ground.data.app.clone(),
        keys: ground.keys.clone(),
    };
    let indexing = tokio::spawn(indexer.run(stop.clone()));
    let began = Instant::now();
    let running = ground.run("bench", ground.parts()?);
    ground.until("all confirmed", LIMIT, Ground::is_empty).await?;
    let stored = began.elapsed().as_secs_f64();
    let lag = behind(&ground.data.app).await?.since;
    let lag = lag.map_or(0.0, |since| (OffsetDateTime::now_utc() - since).as_seconds_f64());
    running.end().await?;
    stop.cancel();
    indexing.await?;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM search_work")
        .fetch_one(&ground.data.owner)
        .await?;
    let began = Instant::now();
    while index(&ground.data.app, &ground.keys, 1_000).await? > 0 {}
    let took = began.elapsed().as_secs_f64();
    ground.nothing_lost().await?;
    println!(
        r#"{{"part":"index","bots":8,"updates":{UPDATES},"updates_per_second":{:.0},"lag_s":{lag:.1},"left":{left},"indexed_per_second":{:.0}}}"#,
        UPDATES as f64 / stored,
        left as f64 / took
    );
    Ok(())
}

fn word(rank: usize) -> String {
    format!("word{rank}")
}

/// Searches among `BAGUA_BENCH_MESSAGES` messages (1,000,000), written into the tables as the indexer writes them.
pub async fn speed() -> Result<()> {
    let many: i64 = match std::env::var("BAGUA_BENCH_MESSAGES") {
        Ok(many) => many.parse().context("BAGUA_BENCH_MESSAGES is no number")?,
        Err(_) => MESSAGES,
    };
    let ground = Ground::with_bots(1).await?;
    let bot = BotId(ground.bots.first().context("a bot")?.id());
    let key = ground.keys.terms(bot.0).await?;
    let filling = Instant::now();
    fill(&ground, bot, &key, many).await?;
    let filling = filling.elapsed().as_secs_f64();
    let mut slowest = ("", 0.0_f64);
    let first = |rank: usize| word(rank);
    let searches = [
        ("one frequent word", first(1), None),
        ("one rare word", first(WORDS - 1), None),
        ("two frequent words", format!("{} {}", first(1), first(2)), None),
        (
            "a frequent and a rare word",
            format!("{} {}", first(1), first(WORDS - 2)),
            None,
        ),
        ("a word that nobody wrote", "nobody".to_owned(), None),
        ("a frequent word in one chat", first(1), Some(7)),
    ];
    for (what, typed, chat) in searches {
        let search = Search {
            words: of_query(&typed),
            chat,
            sender: None,
        };
        // The first is with cold caches of the connection's; the median of the others is what a person waits.
        let mut times = Vec::new();
        for _ in 0..7 {
            let began = Instant::now();
            find(
                &ground.data.app,
                &key,
                bot,
                &search,
                None,
                OffsetDateTime::now_utc(),
                51,
            )
            .await?;
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        if times[3] > slowest.1 {
            slowest = (what, times[3]);
        }
        eprintln!("search: {what}: {:.1} ms, at most {:.1} ms", times[3], times[6]);
    }
    let began = Instant::now();
    let lines = messages(&ground.data.app, bot, 7, None, 51).await?;
    let page = began.elapsed().as_secs_f64() * 1_000.0;
    anyhow::ensure!(lines.len() == 51, "a page of a chat has {} messages", lines.len());
    println!(
        r#"{{"part":"search","messages":{many},"slowest":"{}","slowest_ms":{:.1},"chat_page_ms":{page:.1},"fill_s":{filling:.0}}}"#,
        slowest.0, slowest.1
    );
    Ok(())
}

/// Eight words each, 1,000 chats, spread over [`DAYS`].
async fn fill(ground: &Ground, bot: BotId, key: &TermKey, many: i64) -> Result<()> {
    let owner = &ground.data.owner;
    sqlx::query("SELECT bots_make_partitions((now() AT TIME ZONE 'UTC')::date - $1::int, $1::int + 2)")
        .bind(i32::try_from(DAYS)?)
        .execute(owner)
        .await?;
    let words: Vec<i64> = (1..=WORDS)
        .map(|rank| key.term(b'w', word(rank).as_bytes()))
        .collect();
    let chats: Vec<i64> = (0..1_000_i64)
        .map(|chat| key.term(b'c', &chat.to_be_bytes()))
        .collect();
    const STEP: i64 = 250_000;
    let mut at = 0;
    while at < many {
        let until = (at + STEP).min(many);
        sqlx::query(
            "WITH new AS MATERIALIZED (
               SELECT n, n % 1000 AS chat, now() - make_interval(secs => $5 * 86400.0 * ($4 - n) / $4) AS date
               FROM generate_series($2::bigint, $3::bigint - 1) AS n
             ), lines AS (
               INSERT INTO messages (bot_id, chat_id, message_id, date, update_id, kind)
               SELECT $1, chat, n, date, n, 'message' FROM new
             )
             INSERT INTO message_terms (bot_id, chat_id, message_id, date, edit_date, terms)
             SELECT $1, chat, n, date, 0, ARRAY[
               $6[exp(random() * ln($8::float8))::int], $6[exp(random() * ln($8::float8))::int], $6[exp(random() * ln($8::float8))::int],
               $6[exp(random() * ln($8::float8))::int], $6[exp(random() * ln($8::float8))::int], $6[exp(random() * ln($8::float8))::int],
               $6[exp(random() * ln($8::float8))::int], $6[exp(random() * ln($8::float8))::int], $7[chat + 1]]
             FROM new",
        )
        .bind(bot.0)
        .bind(at)
        .bind(until)
        .bind(many)
        .bind(DAYS)
        .bind(&words)
        .bind(&chats)
        .bind(i64::try_from(WORDS)?)
        .execute(owner)
        .await?;
        at = until;
    }
    // As autovacuum does behind the indexer.
    for table in ["messages", "message_terms"] {
        let statement = format!("VACUUM (ANALYZE) {table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(owner)
            .await?;
    }
    Ok(())
}
