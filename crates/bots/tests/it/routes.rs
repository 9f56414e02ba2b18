//! Updates that rules send on: to other bots, and to addresses of the configuration.

use crate::ground::{Ground, Running, ground, reply, says, sim};
use crate::process::quick;
use anyhow::Result;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use bagua_bots::deliver::{Endpoint, Endpoints};
use bagua_bots::rules::{Action, Matches};
use bagua_bots::runner::RunnerConfig;
use bagua_telegram_sim::Bot;
use bagua_testkit::eventually;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use time::macros::datetime;

const SECRET: [u8; 32] = [7; 32];

#[derive(Clone)]
struct Post {
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
}

/// A receiver that answers with a status and remembers what came.
#[derive(Clone)]
struct Receiver {
    status: Arc<AtomicU16>,
    posts: Arc<Mutex<Vec<Post>>>,
    url: String,
}

/// Receivers behind a careful proxy answer with many headers.
type Answer = (StatusCode, [(&'static str, String); 1]);

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Answer {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    receiver.posts.lock().expect("posts").push(Post {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: body.to_vec(),
    });
    let status = StatusCode::from_u16(receiver.status.load(Ordering::Relaxed)).expect("a status");
    (status, [("content-security-policy", "x".repeat(6_000))])
}

impl Receiver {
    async fn start(status: u16) -> Result<Receiver> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Receiver {
            status: Arc::new(AtomicU16::new(status)),
            posts: Arc::default(),
            url: format!("http://{}/in", listener.local_addr()?),
        };
        let app = axum::Router::new()
            .route("/in", axum::routing::post(take))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(receiver)
    }

    fn posts(&self) -> Vec<Post> {
        self.posts.lock().expect("posts").clone()
    }

    async fn until(&self, posts: usize) -> Result<Vec<Post>> {
        eventually(&format!("{posts} posts"), || async {
            let there = self.posts();
            Ok((there.len() >= posts).then_some(there))
        })
        .await
    }

    fn runner(&self) -> Result<RunnerConfig> {
        let secret = format!("whsec_{}", STANDARD.encode(SECRET));
        let named = [("crm".to_owned(), Endpoint::new(&self.url, &secret)?)];
        let now = Arc::new(|| datetime!(2026-11-22 20:00:00 UTC));
        Ok(RunnerConfig {
            deliver: Arc::new(Endpoints::new(named, now)),
            ..quick("here/a")
        })
    }
}

fn deliver() -> Action {
    Action::Deliver { to: "crm".to_owned() }
}

/// What a bot said at Telegram.
fn said(bot: &Bot) -> Vec<String> {
    let mut said = bot.with_log(|log| {
        let sends = log.sends.iter();
        sends.filter_map(|send| send.text.clone()).collect::<Vec<_>>()
    });
    said.sort();
    said
}

async fn pushed(ground: &Ground, bot: &Bot, words: &[&str]) -> Result<()> {
    for (n, words) in words.iter().enumerate() {
        bot.push(&says(500, n + 1, words));
    }
    ground.until_stored(bot.id(), i64::try_from(words.len())?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_posted_signed_and_as_it_came() -> Result<()> {
    let (ground, sim, receiver) = (ground().await?, sim().await?, Receiver::start(204).await?);
    let bot = ground.bot_at(&sim).await?;
    let rule = ground.rule(bot.id(), Matches::default(), vec![deliver()]).await?;
    let runner = Running::start_as(&ground, receiver.runner()?)?;
    pushed(&ground, &bot, &["hello"]).await?;
    ground.until_calls(bot.id(), "sent", 1).await?;
    let posts = receiver.until(1).await?;
    runner.end().await?;
    let post = &posts[0];
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET)?;
    mac.update(format!("{}.{}.", post.id, post.timestamp).as_bytes());
    mac.update(&post.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(post.signature, expected);
    assert_eq!(
        post.timestamp,
        datetime!(2026-11-22 20:00:00 UTC).unix_timestamp().to_string()
    );
    let body: Value = serde_json::from_slice(&post.body)?;
    assert_eq!(body["type"], "telegram.update");
    assert_eq!(
        (&body["data"]["bot"], &body["data"]["rule"]),
        (&bot.id().into(), &rule.id.into())
    );
    assert_eq!(body["data"]["update"]["message"]["text"], "hello");
    // What is posted elsewhere is no less sealed here.
    let plain: i64 = ground
        .count("outbox WHERE position('hello' IN encode(payload, 'escape')) > 0")
        .await?;
    assert_eq!(plain, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_ill_gets_it_later_under_the_same_number_and_holds_up_no_reply() -> Result<()> {
    let (ground, sim, receiver) = (ground().await?, sim().await?, Receiver::start(503).await?);
    let bot = ground.bot_at(&sim).await?;
    let actions = vec![deliver(), reply("re: {text}")];
    ground.rule(bot.id(), Matches::default(), actions).await?;
    let runner = Running::start_as(&ground, receiver.runner()?)?;
    pushed(&ground, &bot, &["one", "two"]).await?;
    // Both are answered in the chat while nothing is taken there.
    eventually("both replies", || async {
        Ok((said(&bot).len() == 2).then_some(()))
    })
    .await?;
    receiver.until(2).await?;
    receiver.status.store(200, Ordering::Relaxed);
    ground.until_calls(bot.id(), "sent", 4).await?;
    runner.end().await?;
    let mut ids: Vec<String> = receiver.posts().into_iter().map(|post| post.id).collect();
    assert!(ids.len() >= 3, "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "the same number each time: {ids:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_refuses_waits_for_a_person() -> Result<()> {
    let (ground, sim, receiver) = (ground().await?, sim().await?, Receiver::start(400).await?);
    let bot = ground.bot_at(&sim).await?;
    ground.rule(bot.id(), Matches::default(), vec![deliver()]).await?;
    let other = Action::Deliver {
        to: "nowhere".to_owned(),
    };
    ground.rule(bot.id(), Matches::default(), vec![other]).await?;
    let runner = Running::start_as(&ground, receiver.runner()?)?;
    pushed(&ground, &bot, &["hello"]).await?;
    ground.until_calls(bot.id(), "failed", 2).await?;
    let classes: Vec<String> = sqlx::query_scalar("SELECT class FROM outbox ORDER BY class")
        .fetch_all(&ground.data.owner)
        .await?;
    assert_eq!(classes, ["webhook_refused", "webhook_unknown"]);
    assert_eq!(receiver.posts().len(), 1);
    // By a person's word it is posted once more.
    receiver.status.store(200, Ordering::Relaxed);
    let call: i64 = sqlx::query_scalar("SELECT outbox_id FROM outbox WHERE class = 'webhook_refused'")
        .fetch_one(&ground.data.owner)
        .await?;
    bagua_bots::outbox::resend(&ground.data.app, bagua_bots::BotId(bot.id()), call).await?;
    ground.until_calls(bot.id(), "sent", 1).await?;
    runner.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_bot_says_it_once_in_a_chat_of_its_own() -> Result<()> {
    let (ground, sim) = (ground().await?, sim().await?);
    let (hears, speaks) = (ground.bot_at(&sim).await?, ground.bot_at(&sim).await?);
    let relay = Action::Relay {
        bot: speaks.id(),
        chat: 900,
        template: "{sender} wrote: {text}".to_owned(),
    };
    ground.rule(hears.id(), Matches::default(), vec![relay]).await?;
    // Both may have an update of the same number; neither stands in the other's way.
    ground
        .rule(speaks.id(), Matches::default(), vec![reply("mine: {text}")])
        .await?;
    let runner = Running::start(&ground, "a")?;
    pushed(&ground, &hears, &["order 1", "order 2"]).await?;
    pushed(&ground, &speaks, &["to me"]).await?;
    ground.until_calls(speaks.id(), "sent", 3).await?;
    runner.end().await?;
    assert!(said(&hears).is_empty());
    assert_eq!(
        said(&speaks),
        ["500 wrote: order 1", "500 wrote: order 2", "mine: to me"]
    );
    Ok(())
}
