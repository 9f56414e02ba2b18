//! Updates pushed to a bot's webhook: one after the other within a chat, several chats at once, again until 2xx.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bot::Bot;
use crate::clock::Millis;
use crate::log::End;
use crate::params::Params;

/// A delivery that takes longer has failed.
const TIME_OUT: Duration = Duration::from_secs(60);
/// Pauses between tries double up to a number between this and twice this; here, up to this.
const LONGEST_PAUSE: u64 = 60;
/// A `Retry-After` is believed up to this.
const LONGEST_RETRY_AFTER: u64 = 3600;
/// A webhook that answers 410 for so long is deleted.
const GONE_AFTER: Millis = 23 * 3600 * 1000;

/// What setWebhook set.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) max_connections: usize,
    pub(crate) ip_address: Option<String>,
    pub(crate) last_error: Option<(Millis, String)>,
    pub(crate) gone_since: Option<Millis>,
    /// Ends the pushing.
    pub(crate) stop: CancellationToken,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Waiting {
    id: i64,
    seq: usize,
    expires: Millis,
    json: Bytes,
    failures: u32,
    pause: u64,
}

struct Pushed {
    order: i64,
    id: i64,
    answer: Result<(u16, Option<u64>, Bytes), String>,
}

type Http = Pool<HttpConnector, Full<Bytes>>;

/// Where updates go.
pub(crate) struct Target {
    pub(crate) uri: Uri,
    pub(crate) secret: Option<String>,
    pub(crate) connections: usize,
    pub(crate) stop: CancellationToken,
}

/// Pushes until the webhook is deleted or replaced.
pub(crate) async fn push(bot: Arc<Bot>, target: Target) {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    let http = Pool::builder(TokioExecutor::new())
        .pool_max_idle_per_host(target.connections)
        .build(tcp);
    let mut pusher = Pusher {
        bot: bot.clone(),
        chats: HashMap::new(),
        ready: VecDeque::new(),
        later: BinaryHeap::new(),
        loaded_to: i64::MIN,
    };
    let mut under_way = FuturesUnordered::new();
    loop {
        pusher.load();
        pusher.due();
        while under_way.len() < target.connections
            && let Some((order, id, json)) = pusher.next()
        {
            under_way.push(deliver(&http, &target, order, id, json));
        }
        let due = pusher.later.peek().map(|Reverse((at, _))| *at);
        tokio::select! {
            biased;
            () = target.stop.cancelled() => return,
            Some(pushed) = under_way.next(), if !under_way.is_empty() => pusher.finish(pushed),
            () = bot.arrived.notified() => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
}

struct Pusher {
    bot: Arc<Bot>,
    chats: HashMap<i64, VecDeque<Waiting>>,
    /// Chats whose first update may go.
    ready: VecDeque<i64>,
    /// Chats whose first update must wait.
    later: BinaryHeap<Reverse<(Instant, i64)>>,
    loaded_to: i64,
}

impl Pusher {
    fn load(&mut self) {
        let mut state = self.bot.state();
        state.expire(self.bot.clock.now());
        if state.queue.next_id() < self.loaded_to {
            self.loaded_to = i64::MIN;
        }
        for entry in state.queue.from(self.loaded_to) {
            let chat = self.chats.entry(entry.order).or_default();
            if chat.is_empty() {
                self.ready.push_back(entry.order);
            }
            chat.push_back(Waiting {
                id: entry.id,
                seq: entry.seq,
                expires: entry.expires,
                json: entry.json.clone(),
                failures: 0,
                pause: 1,
            });
        }
        self.loaded_to = state.queue.next_id();
    }

    fn due(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, order))) = self.later.peek().copied()
            && at <= now
        {
            self.later.pop();
            self.ready.push_back(order);
        }
    }

    /// The next update to go. Those that were dropped or have expired meanwhile are passed over.
    fn next(&mut self) -> Option<(i64, i64, Bytes)> {
        let now = self.bot.clock.now();
        let mut state = self.bot.state();
        state.expire(now);
        while let Some(order) = self.ready.pop_front() {
            let Some(chat) = self.chats.get_mut(&order) else {
                continue;
            };
            while let Some(first) = chat.front() {
                let waits = state
                    .queue
                    .from(first.id)
                    .next()
                    .is_some_and(|entry| entry.seq == first.seq);
                if waits {
                    state.log.delivered(first.seq, now);
                    return Some((order, first.id, first.json.clone()));
                }
                chat.pop_front();
            }
            self.chats.remove(&order);
        }
        None
    }

    fn finish(&mut self, pushed: Pushed) {
        let now = self.bot.clock.now();
        let mut retry_after = 0;
        let error = match &pushed.answer {
            Ok((200..=299, _, _)) => None,
            Ok((status, pause, _)) => {
                retry_after = pause.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                Some(format!("Wrong response from the webhook: {status}"))
            }
            Err(why) => Some(why.clone()),
        };
        let mut state = self.bot.state();
        let Some(error) = error else {
            let (status, _, body) = pushed.answer.unwrap_or_default();
            if let Some(entry) = state.queue.remove(pushed.id) {
                state.log.ended(entry.seq, now, End::Webhook { status });
            }
            if let Some(webhook) = &mut state.webhook {
                webhook.gone_since = None;
            }
            drop(state);
            self.pop(pushed.order);
            self.carry_out(&body);
            return;
        };
        let is_gone = matches!(pushed.answer, Ok((410, _, _)));
        if let Some(webhook) = &mut state.webhook {
            webhook.last_error = Some((now, error));
            let since = *webhook.gone_since.get_or_insert(now);
            if !is_gone {
                webhook.gone_since = None;
            } else if now - since > GONE_AFTER {
                state.webhook = None;
                return;
            }
        }
        let Some(first) = self.chats.get_mut(&pushed.order).and_then(VecDeque::front_mut) else {
            return;
        };
        // The first failure is tried again at once; then the pause doubles.
        let mut wait = retry_after;
        if retry_after == 0 && first.failures > 0 {
            first.pause = (first.pause * 2).min(LONGEST_PAUSE);
            wait = first.pause;
        }
        first.failures += 1;
        if now + i64::try_from(wait * 1000).unwrap_or(i64::MAX / 2) > first.expires {
            if let Some(entry) = state.queue.remove(pushed.id) {
                state.log.ended(entry.seq, now, End::Expired);
            }
            drop(state);
            self.pop(pushed.order);
            return;
        }
        let at = Instant::now() + Duration::from_secs(wait);
        self.later.push(Reverse((at, pushed.order)));
    }

    /// The first update of a chat is done; the next may go.
    fn pop(&mut self, order: i64) {
        let Some(chat) = self.chats.get_mut(&order) else {
            return;
        };
        chat.pop_front();
        if chat.is_empty() {
            self.chats.remove(&order);
        } else {
            self.ready.push_back(order);
        }
    }

    /// An answer may carry a call. Nobody hears what comes of it.
    fn carry_out(&self, body: &[u8]) {
        if body.first() != Some(&b'{') {
            return;
        }
        let Ok(params) = Params::from_json(body) else {
            return;
        };
        let Some(method) = params.get("method").map(str::to_owned) else {
            return;
        };
        let small = method.to_ascii_lowercase();
        if matches!(
            small.as_str(),
            "setwebhook" | "deletewebhook" | "close" | "logout"
        ) || small.starts_with("get")
        {
            return;
        }
        crate::send::carry_out(&self.bot, &method, &params, true);
    }
}

async fn deliver(http: &Http, target: &Target, order: i64, id: i64, json: Bytes) -> Pushed {
    let answer = tokio::time::timeout(TIME_OUT, exchange(http, target, json)).await;
    Pushed {
        order,
        id,
        answer: answer.unwrap_or_else(|_| Err("Read timeout expired".to_owned())),
    }
}

async fn exchange(http: &Http, target: &Target, json: Bytes) -> Result<(u16, Option<u64>, Bytes), String> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target.uri.clone())
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(secret) = &target.secret {
        request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
    }
    let request = request.body(Full::new(json)).map_err(|error| error.to_string())?;
    let answer = http.request(request).await.map_err(|error| {
        if error.is_connect() {
            "Connection refused"
        } else {
            "Webhook connection closed"
        }
        .to_owned()
    })?;
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let body = Limited::new(answer.into_body(), 1 << 20)
        .collect()
        .await
        .map_err(|_| "Webhook connection closed".to_owned())?
        .to_bytes();
    Ok((status, retry_after, body))
}
