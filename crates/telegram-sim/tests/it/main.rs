//! The simulator, asked over HTTP as a bot would.

mod control;
mod life;
mod polling;
mod sending;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use bagua_telegram_sim::{Bot, Config, NewBot, Sim, SimClock};
use reqwest::Client;
use serde_json::{Value, json};

/// A simulator whose clock stands still, with one bot, and a client.
struct World {
    sim: Sim,
    bot: Arc<Bot>,
    http: Client,
}

const NOON: i64 = 1_764_072_000_000;

impl World {
    async fn new() -> Self {
        Self::with(false).await
    }

    async fn with(local: bool) -> Self {
        let clock = SimClock::standing_at(NOON);
        let config = Config {
            clock,
            local,
            ..Config::default()
        };
        let sim = Sim::start(config).await.expect("a free port");
        let bot = sim
            .add_bot(&NewBot {
                first_update_id: Some(1000),
                ..NewBot::default()
            })
            .expect("a bot");
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Self { sim, bot, http }
    }

    fn url(&self, method: &str) -> String {
        format!("{}/bot{}/{method}", self.sim.url(), self.bot.token())
    }

    /// The answer, as it is.
    async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self
            .http
            .post(self.url(method))
            .json(&params)
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        let code = body["error_code"].as_u64().unwrap_or(200);
        assert_eq!(u64::from(status), code, "{body}");
        body
    }

    /// The result.
    async fn call(&self, method: &str, params: Value) -> Value {
        let body = self.ask(method, params).await;
        assert_eq!(body["ok"], true, "{method}: {body}");
        body["result"].clone()
    }

    /// Status and sentence of a refusal.
    async fn refused(&self, method: &str, params: Value) -> (u64, String) {
        let body = self.ask(method, params).await;
        assert_eq!(body["ok"], false, "{method}: {body}");
        let description = body["description"].as_str().expect("a sentence").to_owned();
        (body["error_code"].as_u64().expect("a code"), description)
    }

    async fn poll(&self, offset: i64, more: Value) -> Vec<i64> {
        let mut params = json!({ "offset": offset });
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        let result = self.call("getUpdates", params).await;
        let updates = result.as_array().expect("a list");
        updates
            .iter()
            .map(|update| update["update_id"].as_i64().expect("an id"))
            .collect()
    }

    fn push(&self, chat: i64, text: &str) -> Option<i64> {
        self.bot.push(&message(chat, text))
    }
}

fn message(chat: i64, text: &str) -> String {
    let date = NOON / 1000;
    json!({ "message": {
        "message_id": 1, "from": { "id": 5, "is_bot": false, "first_name": "A" },
        "chat": { "id": chat, "type": "private" }, "date": date, "text": text,
    }})
    .to_string()
}

/// Waits until something is so, without a fixed pause for what is slow.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within 10 s: {what}");
}
