//! A person's time zone as pages know it: its name, and when its distance from UTC changes.
//!
//! Only the server knows the rules of time zones. It sends the changes that matter, so that server and browser write
//! the same time, and the browser's module carries no table of the world's zones.

use serde::{Deserialize, Serialize};

/// The zone of who has chosen none.
pub const DEFAULT_ZONE: &str = "Asia/Shanghai";
/// The longest name that is kept; the longest known one has 32 letters.
pub const ZONE_NAME_LIMIT: usize = 64;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name in the IANA database, `Europe/Berlin`.
    pub name: String,
    /// From when on (Unix seconds) it is how many seconds ahead of UTC, oldest first. The first counts for all before.
    pub changes: Vec<(i64, i32)>,
}

impl Zone {
    /// Seconds ahead of UTC at a time.
    pub fn offset(&self, unix: i64) -> i32 {
        let later = self.changes.partition_point(|(from, _)| *from <= unix);
        self.changes
            .get(later.saturating_sub(1))
            .map_or(0, |(_, offset)| *offset)
    }
}

impl Default for Zone {
    /// Asia/Shanghai, which has kept UTC+8 without summer time since 1991.
    fn default() -> Zone {
        Zone {
            name: DEFAULT_ZONE.to_owned(),
            changes: vec![(0, 8 * 3_600)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_from_utc_is_that_of_the_last_change_before() {
        let zone = Zone {
            name: "Europe/Berlin".into(),
            changes: vec![(100, 3_600), (200, 7_200), (300, 3_600)],
        };
        for (at, hours) in [
            (0, 1),
            (100, 1),
            (199, 1),
            (200, 2),
            (299, 2),
            (300, 1),
            (9_999, 1),
        ] {
            assert_eq!(zone.offset(at), hours * 3_600, "{at}");
        }
        assert_eq!(Zone::default().offset(0), 28_800);
    }
}
