//! getUpdates, as the Bot API server does it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::answer::{Answer, Refused};
use crate::bot::{Bot, State, WaitEnd, Waiter};
use crate::clock::Millis;
use crate::log::{End, PollRecord};
use crate::params::Params;

/// No poll waits longer, whatever it asks.
const LONGEST_WAIT: i64 = 50;
/// What arrives within this time of the first update comes in one answer.
const GATHER: Duration = Duration::from_millis(1);
/// A second 409 comes so much later.
const CONFLICT_PAUSE: Duration = Duration::from_secs(3);

const WEBHOOK_ACTIVE: &str = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
const OTHER_POLLER: &str =
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
const WEBHOOK_SET: &str = "Conflict: terminated by setWebhook request";

struct Ask {
    offset: i64,
    limit: usize,
    /// Place of this poll in the log.
    record: usize,
}

/// What a look at the queue comes to.
enum Look {
    Batch(Bytes),
    Wait(u64, oneshot::Receiver<WaitEnd>),
    Conflict(Conflict),
}

/// Leaves no waiter behind when the client goes away.
struct Leave<'a>(&'a Bot, u64);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.waiter.as_ref().is_some_and(|waiter| waiter.id == self.1) {
            state.waiter = None;
        }
    }
}

pub(crate) async fn get_updates(bot: &Arc<Bot>, params: &Params) -> Answer {
    let started = Instant::now();
    let offset = params.number("offset").unwrap_or(0);
    let mut limit = params.number("limit").unwrap_or(100).clamp(1, 100);
    let mut wait = params.number("timeout").unwrap_or(0).clamp(0, LONGEST_WAIT);
    let now = bot.clock.now();
    let mut ask = Ask {
        offset,
        limit: 0,
        record: 0,
    };
    let look = {
        let mut state = bot.state();
        let state = &mut *state;
        if state.webhook.is_some() {
            Look::Conflict(conflict(bot, state, WEBHOOK_ACTIVE))
        } else {
            state.allowed.update(params.get("allowed_updates"));
            if let Some((previous, at)) = state.last_poll
                && previous == offset
            {
                let since = started - at;
                if since < Duration::from_millis(500) {
                    limit = 1;
                }
                if since < Duration::from_secs(3) {
                    wait = wait.max(3);
                }
            }
            state.last_poll = Some((offset, started));
            ask.limit = usize::try_from(limit).unwrap_or(100);
            ask.record = state.log.polls.len();
            state.log.polls.push(PollRecord {
                at: now,
                offset,
                confirmed: 0,
                delivered: None,
            });
            look(state, &ask, wait > 0, now)
        }
    };
    let (waiter, end) = match look {
        Look::Batch(body) => return Answer::Raw(body),
        Look::Conflict(conflict) => return conflict.wait().await,
        Look::Wait(waiter, end) => (waiter, end),
    };
    let _leave = Leave(bot, waiter);
    let until = started + Duration::from_secs(wait.unsigned_abs());
    let why = match tokio::time::timeout_at(until, end).await {
        Ok(Ok(WaitEnd::OtherPoller)) => Some(OTHER_POLLER),
        Ok(Ok(WaitEnd::WebhookSet)) => Some(WEBHOOK_SET),
        Ok(Ok(WaitEnd::Arrived)) => {
            tokio::time::sleep(GATHER).await;
            None
        }
        Ok(Err(_)) | Err(_) => None,
    };
    if let Some(why) = why {
        let pause = conflict(bot, &mut bot.state(), why);
        return pause.wait().await;
    }
    let mut state = bot.state();
    if state.waiter.as_ref().is_some_and(|other| other.id == waiter) {
        state.waiter = None;
    }
    match look_without_waiting(&mut state, &ask, bot.clock.now()) {
        Some(body) => Answer::Raw(body),
        None => Answer::Raw(Bytes::from_static(b"{\"ok\":true,\"result\":[]}")),
    }
}

/// Confirms, and takes a batch; an empty one waits when it may.
fn look(state: &mut State, ask: &Ask, may_wait: bool, now: Millis) -> Look {
    if let Some(body) = look_without_waiting(state, ask, now) {
        return Look::Batch(body);
    }
    if !may_wait {
        return Look::Batch(Bytes::from_static(b"{\"ok\":true,\"result\":[]}"));
    }
    // Only here a second poller is noticed: while updates wait, both get them.
    state.end_wait(WaitEnd::OtherPoller);
    state.waiters += 1;
    let (end, receiver) = oneshot::channel();
    state.waiter = Some(Waiter {
        id: state.waiters,
        end,
    });
    Look::Wait(state.waiters, receiver)
}

fn look_without_waiting(state: &mut State, ask: &Ask, now: Millis) -> Option<Bytes> {
    state.expire(now);
    let State { queue, log, .. } = state;
    let from = queue.resolve(ask.offset);
    let end = if ask.offset < 0 {
        End::Dropped
    } else {
        End::Offset { offset: ask.offset }
    };
    let mut confirmed = 0;
    queue.confirm(from, |entry| {
        confirmed += 1;
        log.ended(entry.seq, now, end);
    });
    let mut size = 32;
    let batch: Vec<(usize, Bytes)> = queue
        .batch(ask.limit)
        .map(|entry| {
            size += entry.json.len() + 1;
            (entry.seq, entry.json.clone())
        })
        .collect();
    for (seq, _) in &batch {
        log.delivered(*seq, now);
    }
    if let Some(record) = log.polls.get_mut(ask.record) {
        record.confirmed += confirmed;
        record.delivered = Some(batch.len());
    }
    if batch.is_empty() {
        return None;
    }
    let mut body = BytesMut::with_capacity(size);
    body.put_slice(b"{\"ok\":true,\"result\":[");
    for (at, (_, json)) in batch.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        body.put_slice(json);
    }
    body.put_slice(b"]}");
    Some(body.freeze())
}

/// A 409, perhaps a late one.
struct Conflict {
    until: Option<Instant>,
    why: &'static str,
}

impl Conflict {
    async fn wait(self) -> Answer {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
        }
        Refused::new(409, self.why).into()
    }
}

fn conflict(bot: &Bot, state: &mut State, why: &'static str) -> Conflict {
    tracing::debug!(bot = bot.id, why, "409");
    state.log.conflicts += 1;
    let now = Instant::now();
    let late = state.next_conflict.is_some_and(|next| now < next);
    if !late {
        state.next_conflict = Some(now + CONFLICT_PAUSE);
    }
    Conflict {
        until: late.then(|| now + CONFLICT_PAUSE),
        why,
    }
}
