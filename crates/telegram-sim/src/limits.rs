//! Limits on sending: how much a bot may send in all, to one chat, and to one group.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// Limits as Telegram's FAQ gives them; each can be set otherwise or left out.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SendLimits {
    /// Messages of the bot in one second.
    pub bot_per_second: Option<u32>,
    /// Messages to one person in one second.
    pub chat_per_second: Option<u32>,
    /// How many messages one chat takes at once before that counts.
    pub chat_burst: u32,
    /// Messages to one group in a minute.
    pub group_per_minute: Option<u32>,
}

impl Default for SendLimits {
    fn default() -> Self {
        Self {
            bot_per_second: Some(30),
            chat_per_second: Some(1),
            chat_burst: 3,
            group_per_minute: Some(20),
        }
    }
}

/// Tokens of one limit, in thousandths so that whole numbers do.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    milli_tokens: i64,
    at: Millis,
}

/// What was sent lately.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    bot: Option<Bucket>,
    chats: HashMap<i64, Bucket>,
}

impl Buckets {
    /// Counts a message, or says in how many seconds it may be tried again; then nothing is counted.
    pub(crate) fn take(&mut self, limits: &SendLimits, chat: i64, now: Millis) -> Result<(), u64> {
        let of_chat = if chat < 0 {
            limits.group_per_minute.map(|most| (most, most, 60_000))
        } else {
            limits
                .chat_per_second
                .map(|rate| (rate, limits.chat_burst.max(1), 1000))
        };
        let of_bot = limits.bot_per_second.map(|rate| (rate, rate, 1000));
        let chat_before = self.chats.get(&chat).copied();
        let chat_after = of_chat.map(|limit| spend(chat_before, limit, now)).transpose()?;
        let bot_after = of_bot.map(|limit| spend(self.bot, limit, now)).transpose()?;
        if let Some(bucket) = chat_after {
            self.chats.insert(chat, bucket);
        }
        self.bot = bot_after.or(self.bot);
        Ok(())
    }
}

/// One token of a bucket that gets `rate` in `per` milliseconds and holds `most`.
fn spend(before: Option<Bucket>, (rate, most, per): (u32, u32, i64), now: Millis) -> Result<Bucket, u64> {
    let (rate, full) = (i64::from(rate).max(1), i64::from(most) * 1000);
    let tokens = before.map_or(full, |bucket| {
        let won = (now - bucket.at).max(0).saturating_mul(rate * 1000) / per;
        bucket.milli_tokens.saturating_add(won).min(full)
    });
    if tokens >= 1000 {
        return Ok(Bucket {
            milli_tokens: tokens - 1000,
            at: now,
        });
    }
    let wait = (1000 - tokens) * per / (rate * 1000);
    Err(u64::try_from(wait).unwrap_or_default().div_ceil(1000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_bot_chat_and_group() {
        let limits = SendLimits::default();
        let mut buckets = Buckets::default();
        for _ in 0..3 {
            assert_eq!(buckets.take(&limits, 5, 0), Ok(()));
        }
        assert_eq!(buckets.take(&limits, 5, 0), Err(1));
        assert_eq!(buckets.take(&limits, 5, 1000), Ok(()));
        for _ in 0..20 {
            assert_eq!(buckets.take(&limits, -5, 10_000), Ok(()));
        }
        assert_eq!(buckets.take(&limits, -5, 10_000), Err(3));
        // 30 in all at one moment.
        for chat in 100..110 {
            assert_eq!(buckets.take(&limits, chat, 10_000), Ok(()));
        }
        assert_eq!(buckets.take(&limits, 111, 10_000), Err(1));
        assert_eq!(buckets.take(&limits, 111, 10_050), Ok(()));
    }
}
