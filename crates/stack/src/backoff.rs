//! When a crashed process is tried again. Pure: time comes from outside.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::process::Timing;

/// The memory of one component's crashes.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// Crashes in a row, without a stable run between them.
    in_row: u32,
    recent: VecDeque<Instant>,
    looping: bool,
}

impl Backoff {
    /// A process ended by itself after running for `ran`. Answers how long to wait.
    pub(crate) fn crashed(&mut self, timing: &Timing, now: Instant, ran: Duration) -> Duration {
        if ran >= timing.stable_after {
            self.forget();
        }
        self.recent.push_back(now);
        while self
            .recent
            .front()
            .is_some_and(|at| now.duration_since(*at) > timing.loop_window)
        {
            self.recent.pop_front();
        }
        self.looping |= self.recent.len() >= timing.loop_exits;
        let wait = timing
            .first_wait
            .saturating_mul(2_u32.saturating_pow(self.in_row))
            .min(timing.longest_wait);
        self.in_row = self.in_row.saturating_add(1);
        if self.looping { timing.longest_wait } else { wait }
    }

    /// It has run for long enough, or somebody started it on purpose.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether it ends again and again.
    pub(crate) fn is_looping(&self) -> bool {
        self.looping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_the_loop_is_seen_and_a_stable_run_forgets() {
        let timing = Timing::default();
        let start = Instant::now();
        let mut backoff = Backoff::default();
        let short = Duration::from_millis(10);
        let waits: Vec<u128> = (0..4)
            .map(|n| {
                backoff
                    .crashed(&timing, start + Duration::from_secs(n), short)
                    .as_millis()
            })
            .collect();
        assert_eq!(waits, [200, 400, 800, 1600]);
        assert!(!backoff.is_looping());
        assert_eq!(
            backoff.crashed(&timing, start + Duration::from_secs(5), short),
            timing.longest_wait
        );
        assert!(backoff.is_looping(), "the fifth crash within a minute is a loop");
        let later = start + Duration::from_secs(200);
        assert_eq!(
            backoff
                .crashed(&timing, later, Duration::from_secs(61))
                .as_millis(),
            200
        );
        assert!(!backoff.is_looping());
    }

    #[test]
    fn crashes_far_apart_are_no_loop_but_waits_grow_to_the_limit() {
        let timing = Timing::default();
        let start = Instant::now();
        let mut backoff = Backoff::default();
        let mut last = Duration::ZERO;
        for n in 0..20 {
            last = backoff.crashed(
                &timing,
                start + Duration::from_secs(n * 59),
                Duration::from_secs(30),
            );
        }
        assert_eq!(last, Duration::from_secs(30));
        assert!(!backoff.is_looping());
    }
}
