//! Sending: only the lease's owner does, at its own limits, and one call of a chat at a time, so that they stay in order.

use super::bot::{Bot, End};
use super::clerk::ClerkError;
use crate::outbox::buckets::Buckets;
use crate::outbox::store::{self, Due, Settled, State};
use crate::outbox::{context, is_repeatable};
use crate::{Fence, rules};
use bagua_keys::KeyError;
use bagua_telegram::{Class, Client, TelegramError};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use metrics::counter;
use serde_json::Value;
use std::collections::{HashSet, VecDeque};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How many calls are read ahead.
const AHEAD: i64 = 200;
/// After an answer that no call of this bot will succeed: whoever receives finds out, too, and ends the bot.
const HOPELESS_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause between two tries of a call that may be repeated, in seconds.
const LONGEST_PAUSE: u64 = 30;
/// With fewer than this the next ones are read.
const FEW: usize = 100;
/// How often writing down what came of a call is tried; then the successor calls it uncertain.
const SETTLE_TIMES: u32 = 20;
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// What a finished call means for the next ones.
struct Done {
    call: i64,
    line: i64,
    /// 429: this chat waits.
    freeze: Option<Duration>,
    /// No call succeeds at the moment.
    rest: Option<Duration>,
    /// The outbox holds something new: what was not sent waits in it again.
    again: bool,
    /// It could not be written down what came of it.
    lost_track: bool,
}

struct Sending {
    buckets: Buckets,
    waiting: VecDeque<Due>,
    /// Calls that are being made, and their lines.
    under_way: HashSet<i64>,
    busy: HashSet<i64>,
    /// Those of them that are posted to addresses of the configuration.
    deliveries: HashSet<i64>,
    /// Whether the outbox may hold what `waiting` does not, and is read before anything else is begun.
    stale: bool,
    /// Whether it holds more than was read: the rest is read when this has become few.
    more: bool,
    /// Whether it may hold calls that somebody left in the middle: an earlier owner, or this task when the database was away. Others
    /// cannot come after that, because marking needs the lease.
    unswept: bool,
    /// Until when nothing is begun.
    rest: Instant,
}

impl Bot {
    pub(super) async fn send(&self, client: &Client) -> End {
        let fence = self.lease.borrow().fence;
        let now = Instant::now();
        let mut sending = Sending {
            buckets: Buckets::new(now),
            waiting: VecDeque::new(),
            under_way: HashSet::new(),
            busy: HashSet::new(),
            deliveries: HashSet::new(),
            stale: true,
            more: false,
            unswept: true,
            rest: now,
        };
        let mut under_way = FuturesUnordered::new();
        loop {
            let mut next = None;
            if !self.stop.is_cancelled() && self.is_owner() && sending.rest <= Instant::now() {
                match Box::pin(self.begin(&mut sending, fence)).await {
                    Ok(Begun { calls, ready }) => {
                        next = ready;
                        for call in calls {
                            under_way.push(Box::pin(self.make(client, fence, call)));
                        }
                    }
                    Err(Stop::Lost) => return self.wait_for_all(under_way).await,
                    Err(Stop::Away(why)) => {
                        counter!("tg_runner_database_errors_total", "what" => "outbox").increment(1);
                        tracing::warn!(bot = self.id.0, why, "the outbox cannot be read; trying again");
                        sending.stale = true;
                        sending.rest = Instant::now() + self.config.pause;
                    }
                }
            }
            if self.stop.is_cancelled() && under_way.is_empty() {
                return End::Stopped;
            }
            if sending.rest > Instant::now() {
                next = Some(sending.rest);
            }
            tokio::select! {
                Some(done) = under_way.next(), if !under_way.is_empty() => sending.finished(done),
                () = self.stop.cancelled(), if !self.stop.is_cancelled() => {}
                () = self.wake.send.notified() => self.take_new(&mut sending),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Takes what rules have just put into the outbox; without that, somebody else put something in, and it is read.
    fn take_new(&self, sending: &mut Sending) {
        let new = std::mem::take(&mut *self.wake.calls.lock().unwrap_or_else(PoisonError::into_inner));
        if new.is_empty() {
            sending.stale = true;
        } else if sending.more || sending.waiting.len() > FEW * 4 {
            // It stands behind others that have not been read yet.
            sending.more = true;
        } else {
            let (urgent, others): (Vec<Due>, Vec<Due>) = new.into_iter().partition(|due| due.urgent);
            sending.waiting.extend(others);
            for due in urgent.into_iter().rev() {
                sending.waiting.push_front(due);
            }
        }
    }

    /// What was begun ends by itself; its answers are worth writing down also when the lease is lost.
    async fn wait_for_all(&self, mut under_way: FuturesUnordered<impl Future<Output = Done>>) -> End {
        while under_way.next().await.is_some() {}
        End::Lost
    }

    /// Chooses calls that may be made now and marks them. What is returned must be made at once.
    async fn begin(&self, sending: &mut Sending, fence: Fence) -> Result<Begun, Stop> {
        let pool = &self.parts.pool;
        if sending.unswept {
            let mine: Vec<i64> = sending.under_way.iter().copied().collect();
            let left = store::sweep(pool, self.id, fence, &mine).await?;
            if left > 0 {
                counter!("tg_sends_total", "result" => "uncertain").increment(left);
                tracing::warn!(
                    bot = self.id.0,
                    calls = left,
                    "an earlier owner left calls in the middle"
                );
            }
            sending.unswept = false;
        }
        if sending.stale || (sending.more && sending.waiting.len() < FEW) {
            sending.waiting = store::due(pool, self.id, AHEAD).await?.into();
            sending.more = sending.waiting.len() == usize::try_from(AHEAD).unwrap_or(usize::MAX);
            sending.stale = false;
        }
        let free = self.config.calls.saturating_sub(sending.under_way.len());
        // Receivers that take their time leave half of the places to Telegram.
        let deliveries = (self.config.calls / 2)
            .max(1)
            .saturating_sub(sending.deliveries.len());
        let (chosen, ready) = sending.choose(free, deliveries, Instant::now());
        let mut begun = Begun {
            calls: Vec::new(),
            ready,
        };
        let mut calls = Vec::with_capacity(chosen.len());
        for due in chosen {
            match self.open(&due).await {
                Ok(Ok(parameters)) => calls.push((due, parameters)),
                Ok(Err(class)) => {
                    store::refuse(pool, due.id, class).await?;
                    counter!("tg_sends_total", "result" => "failed").increment(1);
                    sending.busy.remove(&due.line());
                }
                Err(error) => {
                    // Nothing is marked yet, so all of them simply wait.
                    sending.busy.remove(&due.line());
                    for (due, _) in calls {
                        sending.busy.remove(&due.line());
                    }
                    return Err(error);
                }
            }
        }
        if calls.is_empty() {
            return Ok(begun);
        }
        let ids: Vec<i64> = calls.iter().map(|(due, _)| due.id).collect();
        let claimed = self.clerk.claim(self.id, fence, ids).await;
        let claimed = match claimed {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return Err(Stop::Lost),
            Err(error) => {
                // Perhaps they are marked. None of them is made; the next sweep finds those that are.
                sending.unswept = true;
                for (due, _) in calls {
                    sending.busy.remove(&due.line());
                }
                return Err(error.into());
            }
        };
        for (due, parameters) in calls {
            if claimed.contains(&due.id) {
                sending.under_way.insert(due.id);
                if due.is_delivery() {
                    sending.deliveries.insert(due.id);
                }
                begun.calls.push((due, parameters));
            } else {
                sending.busy.remove(&due.line());
            }
        }
        Ok(begun)
    }

    /// The call's parameters; the inner error is the class of one that can never be made.
    async fn open(&self, due: &Due) -> Result<Result<Value, &'static str>, Stop> {
        if due.blocked {
            return Ok(Err("blocked"));
        }
        let opened = self
            .parts
            .keys
            .open(&context(self.id, &due.effect), &due.payload)
            .await;
        match opened {
            Ok(plain) => Ok(match serde_json::from_slice::<Value>(&plain) {
                Ok(Value::Object(mut parameters)) => {
                    parameters.insert("chat_id".to_owned(), due.chat.into());
                    Ok(Value::Object(parameters))
                }
                _ => Err("unreadable"),
            }),
            Err(KeyError::Store(error)) => Err(error.into()),
            Err(_) => Ok(Err("unreadable")),
        }
    }

    /// Makes a call that is marked, and writes down what came of it.
    async fn make(&self, client: &Client, fence: Fence, (due, parameters): (Due, Value)) -> Done {
        // A process that was frozen between marking and calling wakes here: the lease has run out, and nothing goes out.
        let settled = if self.is_owner() && due.is_delivery() {
            self.deliver(&due, &parameters).await
        } else if self.is_owner() {
            let answer = client.call(&due.method, &parameters).await;
            self.judge(&due, answer.as_ref().map(|answer| answer.get()))
        } else {
            Settled {
                class: Some("lease_over"),
                ..Settled::new(State::Pending)
            }
        };
        let class = settled.class.unwrap_or_default();
        let mut done = Done {
            call: due.id,
            line: due.line(),
            freeze: (class == "throttled").then_some(settled.pause),
            rest: None,
            again: settled.state == State::Pending,
            lost_track: false,
        };
        if settled.state == State::Pending
            && ["unauthorized", "logged_out", "wrong_server", "not_found"].contains(&class)
        {
            done.rest = Some(HOPELESS_PAUSE);
        }
        let result = if settled.state == State::Pending {
            class
        } else {
            settled.state.as_str()
        };
        let series = if due.is_delivery() {
            "webhook_deliveries_total"
        } else {
            "tg_sends_total"
        };
        counter!(series, "result" => result.to_owned()).increment(1);
        done.lost_track = !self.settle(fence, &due, &settled).await;
        done
    }

    /// What an answer means for its call.
    fn judge(&self, due: &Due, answer: Result<&str, &TelegramError>) -> Settled {
        let error = match answer {
            Ok(result) => {
                let value: Value = serde_json::from_str(result).unwrap_or_default();
                return Settled {
                    message_id: value["message_id"].as_i64(),
                    ..Settled::new(State::Sent)
                };
            }
            Err(error) => error,
        };
        let class = error.class();
        let (state, pause) = match class {
            Class::Throttled(pause) => {
                counter!("retry_after_seconds_total").increment(pause.as_secs());
                (State::Pending, pause)
            }
            // Once; a group that moves on and on is no group.
            Class::Migrated(_) if !due.migrated => (State::Pending, Duration::ZERO),
            Class::Transient if error.may_have_happened() && !is_repeatable(&due.method) => {
                (State::Uncertain, Duration::ZERO)
            }
            Class::Transient => (State::Pending, backoff(due.attempts, LONGEST_PAUSE)),
            class if class.ends_the_bot() => (State::Pending, HOPELESS_PAUSE),
            _ => (State::Failed, Duration::ZERO),
        };
        Settled {
            class: Some(class.name()),
            detail: Some(error.to_string()),
            pause,
            moved_to: match class {
                Class::Migrated(to) => Some(to),
                _ => None,
            },
            ..Settled::new(state)
        }
    }

    /// Whether it is written down.
    async fn settle(&self, fence: Fence, due: &Due, settled: &Settled) -> bool {
        for _ in 0..SETTLE_TIMES {
            match self.write(fence, due, settled).await {
                Ok(()) => return true,
                Err(error) => super::away("settle", &error),
            }
            sleep(SETTLE_PAUSE).await;
        }
        tracing::error!(
            bot = self.id.0,
            call = due.id,
            "what came of a call cannot be written down; it will be called uncertain"
        );
        false
    }

    async fn write(&self, fence: Fence, due: &Due, settled: &Settled) -> Result<(), ClerkError> {
        let pool = &self.parts.pool;
        if settled.class == Some("throttled") {
            crate::outlook::throttled(pool, self.id, settled.pause).await;
        }
        if settled.class == Some("blocked") {
            let why = settled.detail.as_deref().unwrap_or("403");
            store::block(pool, self.id, due.chat, why).await?;
        }
        if let Some(to) = settled.moved_to {
            store::alias(pool, self.id, due.chat, to).await?;
            if let Err(error) = rules::migrate_chat(pool, self.id, due.chat, to).await {
                tracing::warn!(bot = self.id.0, %error, "rules do not follow a group to its new number");
            }
        }
        self.clerk.settle(fence, due.id, settled.clone()).await
    }
}

struct Begun {
    calls: Vec<(Due, Value)>,
    /// When the next one may go, as far as limits are in the way.
    ready: Option<Instant>,
}

enum Stop {
    Lost,
    Away(String),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Stop::Away(error.to_string())
    }
}

impl From<ClerkError> for Stop {
    fn from(error: ClerkError) -> Self {
        Stop::Away(error.to_string())
    }
}

/// 1, 2, 4 … seconds, and `longest` at most.
pub(super) fn backoff(attempts: i32, longest: u64) -> Duration {
    let doubled = 1_u64 << attempts.clamp(0, 16);
    Duration::from_secs(doubled.min(longest))
}

impl Sending {
    /// Takes the first calls whose lines are free and within the limits, `deliveries` to addresses of the configuration at most. Behind one
    /// that waits no other of its line goes.
    fn choose(&mut self, most: usize, mut deliveries: usize, now: Instant) -> (Vec<Due>, Option<Instant>) {
        let mut chosen = Vec::new();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        let mut held: HashSet<i64> = self.busy.clone();
        let mut ready: Option<Instant> = None;
        while let Some(due) = self.waiting.pop_front() {
            let full = chosen.len() == most || (due.is_delivery() && deliveries == 0);
            if full || held.contains(&due.line()) {
                held.insert(due.line());
                kept.push_back(due);
                continue;
            }
            held.insert(due.line());
            // What is not going to be sent takes no permit, and an answer to a button is no message.
            let permit = if due.blocked || due.is_delivery() || due.method.starts_with("answer") {
                Ok(())
            } else {
                self.buckets.take(due.chat, now)
            };
            match permit {
                Ok(()) => {
                    self.busy.insert(due.line());
                    if due.is_delivery() {
                        deliveries -= 1;
                    }
                    chosen.push(due);
                }
                Err(at) => {
                    ready = Some(ready.map_or(at, |soonest| soonest.min(at)));
                    kept.push_back(due);
                }
            }
        }
        self.waiting = kept;
        (chosen, ready)
    }

    fn finished(&mut self, done: Done) {
        let now = Instant::now();
        self.busy.remove(&done.line);
        self.under_way.remove(&done.call);
        self.deliveries.remove(&done.call);
        self.stale |= done.again;
        self.unswept |= done.lost_track;
        if let Some(pause) = done.freeze {
            self.buckets.freeze(done.line, pause, now);
        }
        if let Some(pause) = done.rest {
            self.rest = self.rest.max(now + pause);
        }
    }
}
