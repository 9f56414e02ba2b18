//! How much a bot may send. Telegram tells three limits and counts them for itself; keeping them here keeps its 429 away.
//!
//! A crate for token buckets (`governor`) takes from one bucket at a time; here three are taken together or none is.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// A refilling number of permits.
#[derive(Clone, Copy, Debug)]
struct Limit {
    burst: f64,
    per_second: f64,
}

/// 30 messages a second in all.
const BOT: Limit = Limit {
    burst: 30.0,
    per_second: 30.0,
};
/// One a second to a person, three at once.
const CHAT: Limit = Limit {
    burst: 3.0,
    per_second: 1.0,
};
/// Twenty a minute to a group.
const GROUP: Limit = Limit {
    burst: 20.0,
    per_second: 20.0 / 60.0,
};
/// More chats than that, and those that are full again are forgotten.
const REMEMBERED: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    permits: f64,
    at: Instant,
}

impl Bucket {
    fn now(self, limit: Limit, now: Instant) -> Bucket {
        let won = now.saturating_duration_since(self.at).as_secs_f64() * limit.per_second;
        Bucket {
            permits: (self.permits + won).min(limit.burst),
            at: now,
        }
    }

    /// When there is a whole permit.
    fn ready(self, limit: Limit) -> Instant {
        self.at + Duration::from_secs_f64(((1.0 - self.permits) / limit.per_second).max(0.0))
    }
}

/// One bot's limits, kept by its owner alone.
#[derive(Debug)]
pub(crate) struct Buckets {
    bot: Bucket,
    chats: HashMap<i64, Bucket>,
    /// Chats that Telegram told to wait, and until when.
    frozen: HashMap<i64, Instant>,
    bot_frozen: Instant,
}

impl Buckets {
    /// Full ones.
    pub(crate) fn new(now: Instant) -> Buckets {
        Buckets {
            bot: Bucket {
                permits: BOT.burst,
                at: now,
            },
            chats: HashMap::new(),
            frozen: HashMap::new(),
            bot_frozen: now,
        }
    }

    /// Takes a permit for a message to `chat`.
    ///
    /// # Errors
    /// When it may be tried again; nothing was taken then.
    pub(crate) fn take(&mut self, chat: i64, now: Instant) -> Result<(), Instant> {
        if self.bot_frozen > now {
            return Err(self.bot_frozen);
        }
        self.frozen.retain(|_, until| *until > now);
        if let Some(until) = self.frozen.get(&chat) {
            return Err(*until);
        }
        let limit = if chat < 0 { GROUP } else { CHAT };
        let full = Bucket {
            permits: limit.burst,
            at: now,
        };
        let mine = self.chats.get(&chat).copied().unwrap_or(full).now(limit, now);
        let all = self.bot.now(BOT, now);
        let ready = mine.ready(limit).max(all.ready(BOT));
        if ready > now {
            return Err(ready);
        }
        self.bot = Bucket {
            permits: all.permits - 1.0,
            ..all
        };
        self.chats.insert(
            chat,
            Bucket {
                permits: mine.permits - 1.0,
                ..mine
            },
        );
        if self.chats.len() > REMEMBERED {
            self.chats.retain(|chat, bucket| {
                let limit = if *chat < 0 { GROUP } else { CHAT };
                bucket.now(limit, now).permits < limit.burst
            });
        }
        Ok(())
    }

    /// Telegram said 429 of a chat. When a second one is told so while the first still waits, it is the bot as a whole.
    pub(crate) fn freeze(&mut self, chat: i64, pause: Duration, now: Instant) {
        let until = now + pause;
        self.frozen.retain(|_, until| *until > now);
        if self.frozen.keys().any(|other| *other != chat) {
            self.bot_frozen = self.bot_frozen.max(until);
        }
        self.frozen.insert(chat, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_takes_three_at_once_and_then_one_a_second() {
        let now = Instant::now();
        let mut buckets = Buckets::new(now);
        for _ in 0..3 {
            assert_eq!(buckets.take(5, now), Ok(()));
        }
        let ready = buckets.take(5, now).expect_err("a fourth at once");
        assert_eq!(ready, now + Duration::from_secs(1));
        assert_eq!(
            buckets.take(6, now),
            Ok(()),
            "another person has limits of their own"
        );
        assert_eq!(buckets.take(5, ready), Ok(()));
        assert!(buckets.take(5, ready).is_err());
    }

    #[test]
    fn a_group_takes_twenty_a_minute() {
        let now = Instant::now();
        let mut buckets = Buckets::new(now);
        for _ in 0..20 {
            assert_eq!(buckets.take(-5, now), Ok(()));
        }
        let ready = buckets.take(-5, now).expect_err("a 21st");
        assert!(ready > now + Duration::from_millis(2_999) && ready < now + Duration::from_millis(3_001));
    }

    #[test]
    fn the_bot_sends_thirty_a_second_and_what_is_refused_costs_nothing() {
        let now = Instant::now();
        let mut buckets = Buckets::new(now);
        for chat in 1..=30 {
            assert_eq!(buckets.take(chat, now), Ok(()));
        }
        for _ in 0..100 {
            assert!(buckets.take(31, now).is_err());
        }
        let soon = now + Duration::from_millis(34);
        assert_eq!(buckets.take(31, soon), Ok(()));
        // Of the person's three, one is gone: the refused ones took nothing.
        let later = soon + Duration::from_millis(100);
        assert_eq!(
            (buckets.take(31, later), buckets.take(31, later)),
            (Ok(()), Ok(()))
        );
    }

    #[test]
    fn a_chat_that_must_wait_freezes_alone_and_a_second_one_freezes_the_bot() {
        let now = Instant::now();
        let mut buckets = Buckets::new(now);
        buckets.freeze(5, Duration::from_secs(60), now);
        assert_eq!(buckets.take(5, now), Err(now + Duration::from_secs(60)));
        assert_eq!(buckets.take(6, now), Ok(()));
        buckets.freeze(6, Duration::from_secs(10), now);
        assert_eq!(buckets.take(7, now), Err(now + Duration::from_secs(10)));
        let later = now + Duration::from_secs(11);
        assert_eq!(buckets.take(7, later), Ok(()));
        assert!(buckets.take(5, later).is_err(), "the first still waits");
    }
}
