//! The acknowledgement log: what became of every update and every send. It is the witness of crash tests, so it
//! counts from its own rows and keeps no totals beside them.

use serde::Serialize;

use crate::clock::Millis;

/// How an update left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum End {
    /// getUpdates was called with this offset.
    Offset {
        /// The offset.
        offset: i64,
    },
    /// The webhook answered with this status.
    Webhook {
        /// 200 to 299.
        status: u16,
    },
    /// Nobody confirmed it in time.
    Expired,
    /// `drop_pending_updates`, a negative offset or `logOut`.
    Dropped,
    /// The queue was full; it was never in it.
    Overflow,
}

impl End {
    /// Whether the bot said that it has it.
    #[must_use]
    pub fn is_acknowledged(self) -> bool {
        matches!(self, Self::Offset { .. } | Self::Webhook { .. })
    }
}

/// What became of one update.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateRecord {
    /// Place in the log, from 0; unlike the id it never comes twice.
    pub seq: usize,
    /// `update_id`; 0 when it never had one.
    pub id: i64,
    /// Chat or person.
    pub order: i64,
    /// When it was put into the queue.
    pub pushed_at: Millis,
    /// When it was first handed over (a delivery, not an acknowledgement).
    pub delivered_at: Option<Millis>,
    /// When it was handed over again.
    pub delivered_again_at: Vec<Millis>,
    /// When it left the queue.
    pub ended_at: Option<Millis>,
    /// How it left the queue.
    pub end: Option<End>,
}

impl UpdateRecord {
    fn deliver(&mut self, now: Millis) {
        match self.delivered_at {
            None => self.delivered_at = Some(now),
            Some(_) => self.delivered_again_at.push(now),
        }
    }
}

/// One call that changes something at Telegram.
#[derive(Clone, Debug, Serialize)]
pub struct SendRecord {
    /// Place in the log, from 0.
    pub seq: usize,
    /// Method, as it was called.
    pub method: String,
    /// The chat, when there is one.
    pub chat_id: Option<i64>,
    /// Text or caption, or the id of the query that is answered.
    pub text: Option<String>,
    /// When it came.
    pub received_at: Millis,
    /// When it was answered; nothing when the connection was cut.
    pub answered_at: Option<Millis>,
    /// Whether it was carried out: the receiver sees it.
    pub done: bool,
    /// Status of the answer, or of what it would have been.
    pub status: u16,
    /// The message that came of it.
    pub message_id: Option<i64>,
}

/// One call of getUpdates.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PollRecord {
    /// When it came.
    pub at: Millis,
    /// As it was given; 0 when it was not.
    pub offset: i64,
    /// Updates that it confirmed.
    pub confirmed: usize,
    /// Updates that it got; nothing while it waits, and when it was killed.
    pub delivered: Option<usize>,
}

/// Everything that is known of one bot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Log {
    /// Updates in the order in which they were put in.
    pub updates: Vec<UpdateRecord>,
    /// Sends in the order in which they came.
    pub sends: Vec<SendRecord>,
    /// Polls in the order in which they came.
    pub polls: Vec<PollRecord>,
    /// Updates of kinds that the bot did not ask for.
    pub not_wanted: usize,
    /// Polls that got 409.
    pub conflicts: usize,
}

/// Sums of a [`Log`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Updates that were put in, lost ones among them.
    pub pushed: usize,
    /// Updates that were handed over at least once.
    pub delivered: usize,
    /// Times that an update was handed over again.
    pub redelivered: usize,
    /// Updates that the bot confirmed.
    pub acknowledged: usize,
    /// Updates that were confirmed without having been handed over.
    pub acknowledged_unseen: usize,
    /// Updates that nobody confirmed in time.
    pub expired: usize,
    /// Updates that were dropped on request.
    pub dropped: usize,
    /// Updates that found the queue full.
    pub overflow: usize,
    /// Updates that wait.
    pub pending: usize,
    /// Updates of kinds that the bot did not ask for.
    pub not_wanted: usize,
    /// Calls that change something.
    pub sends: usize,
    /// Such calls that were carried out.
    pub sends_done: usize,
    /// Such calls that were carried out and whose answer never came.
    pub sends_done_unanswered: usize,
    /// Such calls that were refused or failed.
    pub sends_refused: usize,
    /// Carried-out calls that equal an earlier one in method, chat and text.
    pub sends_doubled: usize,
    /// Calls of getUpdates.
    pub polls: usize,
    /// Polls that got 409.
    pub conflicts: usize,
}

impl Log {
    /// A new update; the place in the log is returned.
    pub fn push(&mut self, order: i64, now: Millis) -> usize {
        let seq = self.updates.len();
        self.updates.push(UpdateRecord {
            seq,
            id: 0,
            order,
            pushed_at: now,
            delivered_at: None,
            delivered_again_at: Vec::new(),
            ended_at: None,
            end: None,
        });
        seq
    }

    /// An update is handed over.
    pub fn delivered(&mut self, seq: usize, now: Millis) {
        if let Some(update) = self.updates.get_mut(seq) {
            update.deliver(now);
        }
    }

    /// An update leaves the queue.
    pub fn ended(&mut self, seq: usize, now: Millis, end: End) {
        if let Some(update) = self.updates.get_mut(seq) {
            update.ended_at = Some(now);
            update.end = Some(end);
        }
    }

    /// Counts the rows.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            pushed: self.updates.len(),
            sends: self.sends.len(),
            polls: self.polls.len(),
            not_wanted: self.not_wanted,
            conflicts: self.conflicts,
            ..Totals::default()
        };
        for update in &self.updates {
            totals.delivered += usize::from(update.delivered_at.is_some());
            totals.redelivered += update.delivered_again_at.len();
            match update.end {
                None => totals.pending += 1,
                Some(End::Expired) => totals.expired += 1,
                Some(End::Dropped) => totals.dropped += 1,
                Some(End::Overflow) => totals.overflow += 1,
                Some(End::Offset { .. } | End::Webhook { .. }) => {
                    totals.acknowledged += 1;
                    totals.acknowledged_unseen += usize::from(update.delivered_at.is_none());
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        for send in &self.sends {
            if !send.done {
                totals.sends_refused += 1;
                continue;
            }
            totals.sends_done += 1;
            totals.sends_done_unanswered += usize::from(send.answered_at.is_none());
            if !seen.insert((&send.method, send.chat_id, &send.text)) {
                totals.sends_doubled += 1;
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_come_from_the_rows() {
        let mut log = Log::default();
        for _ in 0..6 {
            log.push(1, 10);
        }
        for (seq, end) in [
            (0, End::Offset { offset: 5 }),
            (1, End::Webhook { status: 204 }),
            (2, End::Expired),
            (3, End::Dropped),
            (4, End::Overflow),
        ] {
            log.ended(seq, 20, end);
        }
        log.delivered(0, 11);
        log.delivered(0, 12);
        log.delivered(5, 13);
        let send = SendRecord {
            seq: 0,
            method: "sendMessage".to_owned(),
            chat_id: Some(1),
            text: Some("a".to_owned()),
            received_at: 1,
            answered_at: Some(1),
            done: true,
            status: 200,
            message_id: Some(1),
        };
        log.sends.push(send.clone());
        log.sends.push(SendRecord {
            answered_at: None,
            ..send.clone()
        });
        log.sends.push(SendRecord {
            done: false,
            status: 403,
            ..send
        });
        let expected = Totals {
            pushed: 6,
            delivered: 2,
            redelivered: 1,
            acknowledged: 2,
            acknowledged_unseen: 1,
            expired: 1,
            dropped: 1,
            overflow: 1,
            pending: 1,
            sends: 3,
            sends_done: 2,
            sends_done_unanswered: 1,
            sends_refused: 1,
            sends_doubled: 1,
            ..Totals::default()
        };
        assert_eq!(log.totals(), expected);
    }
}
