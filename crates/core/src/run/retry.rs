//! Passing failures are tried again.

use bagua_model::operation::OperationId;
use std::time::Duration;

/// How often and how patiently a passing failure is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first one.
    pub times: u32,
    /// The first pause; each further one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            times: 5,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl Retry {
    pub(crate) fn pause(&self, tries: u32, operation: OperationId) -> Duration {
        let pause = self
            .first_pause
            .saturating_mul(1 << tries.min(16))
            .min(self.longest_pause);
        // Between half and all of it by the last byte of the id, which is random: operations that failed together do
        // not come back together.
        let share = f64::from(operation.0.as_bytes()[15]) / 255.0;
        pause.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn pauses_grow_to_the_longest_and_no_further() {
        let retry = Retry {
            times: 9,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(1),
        };
        for last in [0, 100, 255] {
            let operation = OperationId(Uuid::from_bytes([last; 16]));
            assert!(retry.pause(0, operation) <= Duration::from_millis(100));
            assert!(retry.pause(2, operation) >= Duration::from_millis(200));
            assert!(retry.pause(30, operation) <= Duration::from_secs(1));
        }
    }
}
