use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bagua_telegram_sim::{End, Load, load};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{World, until};

/// Statuses to answer, first to last, each with seconds of `Retry-After` where it has them.
type Plan = Vec<(u16, Option<u64>)>;

/// A bot's own server.
struct Receiver {
    seen: Mutex<Vec<(i64, i64)>>,
    secrets: Mutex<Vec<Option<String>>>,
    /// How many requests a chat has now, and the most that all had at once.
    now: Mutex<(HashMap<i64, usize>, usize)>,
    /// What it answers to a chat, first to last; then 200.
    plan: Mutex<HashMap<i64, Plan>>,
    gate: Semaphore,
    reply: Mutex<Option<Value>>,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> Response {
    let update: Value = serde_json::from_slice(&body).expect("JSON");
    let chat = update["message"]["chat"]["id"].as_i64().expect("a chat");
    let id = update["update_id"].as_i64().expect("an id");
    {
        let mut now = receiver.now.lock().expect("a lock");
        let here = now.0.entry(chat).or_default();
        *here += 1;
        assert_eq!(*here, 1, "two updates of chat {chat} at once");
        let all = now.0.values().sum();
        now.1 = now.1.max(all);
    }
    let secret = headers.get("x-telegram-bot-api-secret-token");
    let secret = secret.map(|secret| secret.to_str().expect("a text").to_owned());
    receiver.secrets.lock().expect("a lock").push(secret);
    receiver.seen.lock().expect("a lock").push((chat, id));
    receiver.gate.acquire().await.expect("the gate").forget();
    receiver.gate.add_permits(1);
    receiver.now.lock().expect("a lock").0.insert(chat, 0);
    let planned = {
        let mut plan = receiver.plan.lock().expect("a lock");
        plan.get_mut(&chat)
            .filter(|plan| !plan.is_empty())
            .map(|plan| plan.remove(0))
    };
    if let Some((status, retry_after)) = planned {
        let status = StatusCode::from_u16(status).expect("a status");
        return match retry_after {
            Some(seconds) => (status, [("retry-after", seconds.to_string())]).into_response(),
            None => status.into_response(),
        };
    }
    match receiver.reply.lock().expect("a lock").clone() {
        Some(reply) => axum::Json(reply).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn receiver(open: bool) -> (Arc<Receiver>, String) {
    let receiver = Arc::new(Receiver {
        seen: Mutex::default(),
        secrets: Mutex::default(),
        now: Mutex::default(),
        plan: Mutex::default(),
        gate: Semaphore::new(if open { 1000 } else { 0 }),
        reply: Mutex::default(),
    });
    let router = Router::new()
        .route("/hook", post(receive))
        .with_state(receiver.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (receiver, url)
}

#[tokio::test]
async fn one_after_the_other_in_a_chat_and_several_chats_at_once() {
    let world = World::new().await;
    let (receiver, url) = receiver(false).await;
    load::run(
        &world.bot,
        Load {
            updates: 60,
            chats: 12,
            ..Load::default()
        },
    )
    .await;
    world
        .call(
            "setWebhook",
            json!({ "url": url, "max_connections": 8, "secret_token": "a_B-9" }),
        )
        .await;
    until("eight at once", || receiver.now.lock().expect("a lock").1 == 8).await;
    receiver.gate.add_permits(1000);
    until("all acknowledged", || world.bot.totals().acknowledged == 60).await;
    assert_eq!(receiver.now.lock().expect("a lock").1, 8);
    let seen = receiver.seen.lock().expect("a lock").clone();
    let mut last: HashMap<i64, i64> = HashMap::new();
    for (chat, id) in seen {
        assert!(
            last.insert(chat, id).is_none_or(|before| before < id),
            "chat {chat}"
        );
    }
    let secrets = receiver.secrets.lock().expect("a lock").clone();
    assert!(secrets.iter().all(|secret| secret.as_deref() == Some("a_B-9")));
    let totals = world.bot.totals();
    assert_eq!((totals.delivered, totals.redelivered, totals.pending), (60, 0, 0));
    world
        .bot
        .with_log(|log| assert_eq!(log.updates[0].end, Some(End::Webhook { status: 204 })));
    // And what comes later.
    world.push(5, "later");
    until("the last", || world.bot.totals().acknowledged == 61).await;
}

#[tokio::test]
async fn a_failing_chat_holds_up_itself_only() {
    let world = World::new().await;
    let (receiver, url) = receiver(true).await;
    receiver
        .plan
        .lock()
        .expect("a lock")
        .insert(5, vec![(500, None), (503, Some(1))]);
    for chat in [5, 5, 6] {
        world.push(chat, "x");
    }
    world.call("setWebhook", json!({ "url": url })).await;
    until("all acknowledged", || world.bot.totals().acknowledged == 3).await;
    let seen = receiver.seen.lock().expect("a lock").clone();
    assert_eq!(seen.iter().filter(|(chat, _)| *chat == 6).count(), 1);
    let of_five: Vec<i64> = seen
        .iter()
        .filter(|(chat, _)| *chat == 5)
        .map(|(_, id)| *id)
        .collect();
    assert_eq!(of_five, [1000, 1000, 1000, 1001]);
    assert_eq!(world.bot.totals().redelivered, 2);
    let info = world.call("getWebhookInfo", json!({})).await;
    assert_eq!(info["last_error_message"], "Wrong response from the webhook: 503");
    assert_eq!(info["pending_update_count"], 0);
}

#[tokio::test]
async fn an_update_that_would_expire_before_the_next_try_is_dropped() {
    let world = World::new().await;
    let (receiver, url) = receiver(true).await;
    receiver
        .plan
        .lock()
        .expect("a lock")
        .insert(5, vec![(500, Some(3600))]);
    world.push(5, "x");
    world.sim.clock().advance(24 * 3_600_000 - 10_000);
    world.call("setWebhook", json!({ "url": url })).await;
    until("it is gone", || world.bot.totals().expired == 1).await;
    assert_eq!(receiver.seen.lock().expect("a lock").len(), 1);
}

#[tokio::test]
async fn webhook_and_polling_exclude_each_other() {
    let world = World::new().await;
    let (receiver, url) = receiver(true).await;
    let waiting = world.refused("getUpdates", json!({ "timeout": 20 }));
    let set = async {
        until("the poll waits", || {
            world.bot.with_log(|log| log.polls.len() == 1)
        })
        .await;
        world
            .call(
                "setWebhook",
                json!({ "url": url, "allowed_updates": ["message"] }),
            )
            .await;
    };
    let ((code, why), ()) = tokio::join!(waiting, set);
    assert_eq!(
        (code, why.as_str()),
        (409, "Conflict: terminated by setWebhook request")
    );
    let again = world
        .refused("setWebhook", json!({ "url": format!("{url}?2") }))
        .await;
    assert_eq!(again.0, 429);
    // A second 409 within three seconds comes three seconds late.
    let (code, why) = world.refused("getUpdates", json!({})).await;
    assert_eq!(code, 409);
    assert!(why.contains("webhook is active"), "{why}");
    let info = world.call("getWebhookInfo", json!({})).await;
    assert_eq!(
        (&info["url"], &info["max_connections"]),
        (&json!(url), &json!(40))
    );
    assert_eq!(info["allowed_updates"], json!(["message"]));
    world.call("deleteWebhook", json!({})).await;
    world.push(5, "x");
    assert_eq!(world.poll(0, json!({})).await, [1000]);
    world
        .call("deleteWebhook", json!({ "drop_pending_updates": true }))
        .await;
    assert_eq!(world.bot.totals().dropped, 1);
    assert!(receiver.seen.lock().expect("a lock").is_empty());
    let secret = json!({ "url": url, "secret_token": "with space" });
    // Once a second at most.
    let refused = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match world.refused("setWebhook", secret.clone()).await.0 {
                429 => tokio::task::yield_now().await,
                other => break other,
            }
        }
    });
    assert_eq!(refused.await.expect("not 429 for ever"), 400);
}

#[tokio::test]
async fn the_answer_may_carry_a_call() {
    let world = World::new().await;
    let (receiver, url) = receiver(true).await;
    *receiver.reply.lock().expect("a lock") =
        Some(json!({ "method": "sendMessage", "chat_id": 5, "text": "in the answer" }));
    world.push(5, "x");
    world.call("setWebhook", json!({ "url": url })).await;
    until("it is sent", || world.bot.totals().sends_done == 1).await;
    world
        .bot
        .with_log(|log| assert_eq!(log.sends[0].text.as_deref(), Some("in the answer")));
}
