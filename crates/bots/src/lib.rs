//! The runtime of Telegram bots. See the README.

pub mod catalogue;
pub mod counts;
pub mod deliver;
pub mod figures;
pub mod fleet;
pub mod housekeeping;
pub mod ingest;
pub mod lease;
pub mod observe;
pub mod outbox;
pub mod outlook;
pub mod presence;
pub mod quarantine;
pub mod rules;
pub mod runner;
pub mod search;
pub mod texts;
pub mod tuning;
pub mod webhook;

/// A bot's number at Telegram: the part of its token before the colon. It stays when the token is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BotId(pub i64);

/// The number with which an owner acquired its lease. Every write carries it; a lower one changes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence(pub i64);
