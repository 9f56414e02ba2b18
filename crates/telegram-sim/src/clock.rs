//! The simulator's calendar: retention, limits on sending and the log go by it. Waiting polls go by real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub type Millis = i64;

/// A clock that can be set forward: the machine's time plus what was added.
#[derive(Clone, Debug, Default)]
pub struct SimClock {
    added: Arc<AtomicI64>,
    frozen_at: Option<Arc<AtomicI64>>,
}

impl SimClock {
    /// A clock that stands still at `now` until it is moved.
    #[must_use]
    pub fn standing_at(now: Millis) -> Self {
        Self {
            added: Arc::default(),
            frozen_at: Some(Arc::new(AtomicI64::new(now))),
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Millis {
        let base = match &self.frozen_at {
            Some(at) => at.load(Ordering::Relaxed),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
        };
        base + self.added.load(Ordering::Relaxed)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.now() / 1000
    }

    /// Moves the clock forward (or back).
    pub fn advance(&self, millis: Millis) {
        self.added.fetch_add(millis, Ordering::Relaxed);
    }
}
