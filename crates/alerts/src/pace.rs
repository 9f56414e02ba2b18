//! How long the console waits before it reads Alertmanager's list again.

use std::time::Duration;

/// A reading takes at most one part in so many of the time, of this process and of Alertmanager.
const SHARE: u32 = 8;
/// However long a reading takes, the next comes within this.
const LONGEST: Duration = Duration::from_secs(30);
/// Two readings never follow each other closer, whoever asks for one.
const APART: Duration = Duration::from_millis(100);
/// Idle, the pause grows up to so many times the ordinary one.
const IDLE: u32 = 3;

/// The pause: short while something changes, longer while nothing does, and never so short that reading is all that
/// is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    ordinary: Duration,
    pause: Duration,
    cost: Duration,
}

impl Pace {
    pub(crate) fn new(ordinary: Duration) -> Pace {
        Pace {
            ordinary,
            pause: ordinary,
            cost: Duration::ZERO,
        }
    }

    /// A reading came to something, or to nothing, and took so long.
    pub(crate) fn went(&mut self, changed: bool, cost: Duration) {
        self.cost = cost;
        self.pause = if changed {
            self.ordinary
        } else {
            (self.pause * 3 / 2).min(self.ordinary * IDLE)
        };
    }

    /// Until the next reading.
    pub(crate) fn pause(&self) -> Duration {
        self.pause.max((self.cost * SHARE).min(LONGEST))
    }

    /// Until a reading that somebody asks for.
    pub(crate) fn apart(&self) -> Duration {
        self.cost.clamp(APART, LONGEST).min(self.pause())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_pause_grows_while_nothing_changes_and_has_a_bound() {
        let mut pace = Pace::new(SECOND * 2);
        pace.went(false, Duration::ZERO);
        assert_eq!(pace.pause(), SECOND * 3);
        for _ in 0..20 {
            pace.went(false, Duration::ZERO);
        }
        assert_eq!(pace.pause(), SECOND * 6);
        pace.went(true, Duration::ZERO);
        assert_eq!(pace.pause(), SECOND * 2);
    }

    #[test]
    fn a_reading_that_takes_long_is_made_seldom_and_made() {
        let mut pace = Pace::new(SECOND);
        pace.went(true, SECOND * 2);
        assert_eq!(pace.pause(), SECOND * 16);
        assert_eq!(pace.apart(), SECOND * 2);
        pace.went(true, SECOND * 60);
        assert_eq!((pace.pause(), pace.apart()), (LONGEST, LONGEST));
    }
}
