//! One bot as Telegram sees it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::answer::Refused;
use crate::clock::{Millis, SimClock};
use crate::faults::Fault;
use crate::limits::{Buckets, SendLimits};
use crate::log::{End, Log, Totals};
use crate::queue::Queue;
use crate::update::Draft;
use crate::webhook::Webhook;

/// How to make a bot. Everything has a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewBot {
    /// The bot's user id; counted up when it is missing.
    pub id: Option<i64>,
    /// The token; made from the id when it is missing.
    pub token: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// The id of its first update.
    pub first_update_id: Option<i64>,
    /// Limits on sending; none when they are missing.
    pub limits: Option<SendLimits>,
}

/// Where a bot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Active,
    /// The token was revoked.
    Revoked,
    /// `logOut` was called; the bot may come back at this time.
    LoggedOut {
        until: Millis,
    },
    /// `close` was called; the server answers that it restarts until then.
    Closing {
        until: Millis,
    },
}

/// A file that the bot can fetch.
#[derive(Clone, Debug)]
pub(crate) struct SimFile {
    pub(crate) path: String,
    pub(crate) unique: String,
    pub(crate) size: u64,
    /// Nothing for a file of which only the size matters: it is too big to be fetched, or full of zeros.
    pub(crate) content: Option<Bytes>,
}

/// A getUpdates that waits for an update.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) id: u64,
    pub(crate) end: oneshot::Sender<WaitEnd>,
}

/// Why a wait ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    /// There are updates.
    Arrived,
    /// Another getUpdates waits now.
    OtherPoller,
    /// A webhook was set.
    WebhookSet,
}

#[derive(Debug, Default)]
pub(crate) struct ChatState {
    pub(crate) last_message_id: i64,
    /// Messages of the bot that are there, with what they say.
    pub(crate) messages: HashMap<i64, String>,
}

/// What a bot asks for by `allowed_updates`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed(pub(crate) Option<Vec<String>>);

/// Kinds that only come to whoever asks for them by name.
const ONLY_BY_NAME: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

impl Allowed {
    pub(crate) fn wants(&self, kind: &str) -> bool {
        match &self.0 {
            None => !ONLY_BY_NAME.contains(&kind),
            Some(kinds) => kinds.iter().any(|wanted| wanted == kind),
        }
    }

    /// Takes the parameter `allowed_updates`: left out it changes nothing, empty it means the default.
    pub(crate) fn update(&mut self, parameter: Option<&str>) -> bool {
        let Some(text) = parameter else { return false };
        let Ok(kinds) = serde_json::from_str::<Vec<String>>(text) else {
            return false;
        };
        let new = Self((!kinds.is_empty()).then_some(kinds));
        let changed = *self != new;
        *self = new;
        changed
    }
}

pub(crate) struct State {
    pub(crate) queue: Queue,
    pub(crate) log: Log,
    pub(crate) allowed: Allowed,
    pub(crate) life: Life,
    pub(crate) started_at: Millis,
    pub(crate) waiter: Option<Waiter>,
    pub(crate) waiters: u64,
    pub(crate) last_poll: Option<(i64, Instant)>,
    pub(crate) next_conflict: Option<Instant>,
    pub(crate) webhook: Option<Webhook>,
    pub(crate) next_set_webhook: Option<Instant>,
    pub(crate) chats: HashMap<i64, ChatState>,
    pub(crate) blocked: HashSet<i64>,
    pub(crate) migrated: HashMap<i64, i64>,
    pub(crate) limits: Option<SendLimits>,
    pub(crate) buckets: Buckets,
    pub(crate) queries: HashMap<String, Millis>,
    pub(crate) files: HashMap<String, SimFile>,
    pub(crate) faults: Vec<Fault>,
}

/// A bot of the simulator.
pub struct Bot {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) clock: SimClock,
    pub(crate) arrived: Notify,
    token: Mutex<String>,
    state: Mutex<State>,
}

impl Bot {
    pub(crate) fn new(id: i64, token: String, new: &NewBot, clock: SimClock) -> Arc<Self> {
        let first = new.first_update_id.unwrap_or(100_000_000 + id % 100_000_000);
        let state = State {
            queue: Queue::new(first),
            log: Log::default(),
            allowed: Allowed::default(),
            life: Life::Active,
            started_at: clock.now(),
            waiter: None,
            waiters: 0,
            last_poll: None,
            next_conflict: None,
            webhook: None,
            next_set_webhook: None,
            chats: HashMap::new(),
            blocked: HashSet::new(),
            migrated: HashMap::new(),
            limits: new.limits,
            buckets: Buckets::default(),
            queries: HashMap::new(),
            files: HashMap::new(),
            faults: Vec::new(),
        };
        Arc::new(Self {
            id,
            username: new.username.clone().unwrap_or_else(|| format!("sim_{id}_bot")),
            clock,
            arrived: Notify::new(),
            token: Mutex::new(token),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bot's user id.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// The token that works, or the last that did.
    #[must_use]
    pub fn token(&self) -> String {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_token(&self, token: String) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        self.state().life = Life::Active;
    }

    /// Puts an update in, given as a JSON object without `update_id`. The id is returned; nothing when the bot did not
    /// ask for this kind, or when the queue is full.
    pub fn push(&self, update: &str) -> Option<i64> {
        self.push_draft(&Draft::read(update, self.clock.now()))
    }

    /// Puts many updates in at once.
    pub fn push_all(&self, drafts: impl IntoIterator<Item = Draft>) -> usize {
        let now = self.clock.now();
        let mut state = self.state();
        state.expire(now);
        let pushed = drafts
            .into_iter()
            .filter_map(|draft| state.push(&draft, now))
            .count();
        self.wake(&mut state);
        pushed
    }

    pub(crate) fn push_draft(&self, draft: &Draft) -> Option<i64> {
        let now = self.clock.now();
        let mut state = self.state();
        state.expire(now);
        let id = state.push(draft, now);
        self.wake(&mut state);
        id
    }

    fn wake(&self, state: &mut State) {
        if state.queue.is_empty() {
            return;
        }
        // The waiter stays in its place until it wakes: another poll that comes first takes the updates.
        if let Some(waiter) = state.waiter.take() {
            let _ = waiter.end.send(WaitEnd::Arrived);
        }
        if state.webhook.is_some() {
            self.arrived.notify_one();
        }
    }

    /// Sums of the log.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut state = self.state();
        state.expire(self.clock.now());
        state.log.totals()
    }

    /// A copy of the log.
    #[must_use]
    pub fn log(&self) -> Log {
        self.state().log.clone()
    }

    /// Looks at the log without copying it.
    pub fn with_log<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.state().log)
    }

    /// How many updates wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        let mut state = self.state();
        state.expire(self.clock.now());
        state.queue.len()
    }

    /// Plans a fault.
    pub fn plan(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Takes all planned faults back.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Revokes the token: 401 from now on.
    pub fn revoke(&self) {
        self.state().life = Life::Revoked;
    }

    /// Blocks the bot in a chat (403), or lets it in again.
    pub fn block(&self, chat: i64, blocked: bool) {
        let mut state = self.state();
        if blocked {
            state.blocked.insert(chat);
        } else {
            state.blocked.remove(&chat);
        }
    }

    /// A group gets another id. Sends to the old one are refused with the new one.
    pub fn migrate(&self, from: i64, to: i64) {
        self.state().migrated.insert(from, to);
    }

    /// Sets the limits on sending, or takes them away.
    pub fn limit_sends(&self, limits: Option<SendLimits>) {
        let mut state = self.state();
        state.limits = limits;
        state.buckets = Buckets::default();
    }

    /// The next update gets this id, also a lower one, as Telegram may do after a week of silence. Only while no update
    /// waits; otherwise nothing changes and the answer is no.
    pub fn restart_ids_at(&self, id: i64) -> bool {
        let mut state = self.state();
        state.expire(self.clock.now());
        state.queue.restart_at(id)
    }

    /// Refuses what a bot in this state is refused.
    pub(crate) fn check_life(&self, now: Millis) -> Result<(), Refused> {
        let mut state = self.state();
        match state.life {
            Life::Active => Ok(()),
            Life::Revoked => Err(Refused::new(401, "Unauthorized")),
            Life::LoggedOut { until } if now < until => Err(Refused::new(400, "Logged out")),
            Life::Closing { until } if now < until => {
                Err(Refused::new(500, "Internal Server Error: restart"))
            }
            Life::LoggedOut { .. } | Life::Closing { .. } => {
                state.life = Life::Active;
                state.started_at = now;
                Ok(())
            }
        }
    }
}

impl State {
    pub(crate) fn expire(&mut self, now: Millis) {
        let log = &mut self.log;
        self.queue
            .expire(now, |entry| log.ended(entry.seq, now, End::Expired));
    }

    fn push(&mut self, draft: &Draft, now: Millis) -> Option<i64> {
        if !draft.kind.is_empty() && !self.allowed.wants(&draft.kind) {
            self.log.not_wanted += 1;
            return None;
        }
        let seq = self.log.push(draft.order, now);
        if let Some((query, until)) = &draft.query {
            self.queries.insert(query.clone(), *until);
        }
        match self
            .queue
            .push(seq, draft.order, draft.expires, |id| draft.with_id(id))
        {
            Ok(id) => {
                if let Some(record) = self.log.updates.get_mut(seq) {
                    record.id = id;
                }
                Some(id)
            }
            Err(_) => {
                self.log.ended(seq, now, End::Overflow);
                None
            }
        }
    }

    pub(crate) fn drop_pending(&mut self, now: Millis) {
        let log = &mut self.log;
        self.queue.clear(|entry| log.ended(entry.seq, now, End::Dropped));
    }

    /// Ends a waiting poll.
    pub(crate) fn end_wait(&mut self, why: WaitEnd) {
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.end.send(why);
        }
    }
}
