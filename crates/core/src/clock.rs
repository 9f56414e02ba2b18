//! The time, as a parameter.

use std::sync::{Arc, Mutex, PoisonError};
use time::{Duration, OffsetDateTime};

/// Where the time comes from. Cheap to clone; clones of a set clock show the same time.
///
/// Leases are the one thing that does not ask it: they compare with the database's own clock, because several
/// consoles share them.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<Mutex<OffsetDateTime>>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that stands at `at` until somebody sets it: for tests.
    pub fn standing(at: OffsetDateTime) -> Clock {
        Clock(Some(Arc::new(Mutex::new(to_micros(at)))))
    }

    /// Now, in UTC, to the microsecond: what PostgreSQL keeps, so that a time survives the way through a row.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn now(&self) -> OffsetDateTime {
        match &self.0 {
            None => to_micros(OffsetDateTime::now_utc()),
            Some(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Sets a standing clock; does nothing to the machine's.
    pub fn set(&self, to: OffsetDateTime) {
        if let Some(at) = &self.0 {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = to_micros(to);
        }
    }

    /// Moves a standing clock on.
    pub fn advance(&self, by: Duration) {
        if let Some(at) = &self.0 {
            let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
            *at += by;
        }
    }
}

fn to_micros(at: OffsetDateTime) -> OffsetDateTime {
    let at = at.to_offset(time::UtcOffset::UTC);
    at.replace_microsecond(at.microsecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_standing_clock_move_together() {
        let clock = Clock::standing(OffsetDateTime::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(Duration::hours(72));
        assert_eq!(other.now(), OffsetDateTime::UNIX_EPOCH + Duration::hours(72));
        other.set(OffsetDateTime::UNIX_EPOCH + Duration::nanoseconds(1_234));
        assert_eq!(
            clock.now(),
            OffsetDateTime::UNIX_EPOCH + Duration::microseconds(1)
        );
    }
}
