//! Time zones, from the IANA database that is compiled in: a machine's own may be old, or not there.

use bagua_model::zone::Zone;
use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use time::OffsetDateTime;

/// Nothing on a screen is older.
const SINCE: i64 = 1_577_836_800; // 2020-01-01
/// Schedules and silences reach into the future, though not this far.
const AHEAD_SECONDS: i64 = 3 * 366 * 86_400;

/// The changes of a zone that a screen can show; none when there is no such zone.
pub(crate) fn zone(name: &str, now: OffsetDateTime) -> Option<Zone> {
    let zone = tz::db().get(name).ok()?;
    let start = Timestamp::from_second(SINCE).ok()?;
    let end = now.unix_timestamp() + AHEAD_SECONDS;
    let mut changes = vec![(SINCE, zone.to_offset(start).seconds())];
    changes.extend(
        zone.following(start)
            .map(|change| (change.timestamp().as_second(), change.offset().seconds()))
            .take_while(|(at, _)| *at < end),
    );
    Some(Zone {
        name: name_of(&zone).unwrap_or(name).to_owned(),
        changes,
    })
}

fn name_of(zone: &TimeZone) -> Option<&str> {
    zone.iana_name()
}

/// Every zone that a person may choose, by name: places, and UTC. Names that are kept for old data only are left out.
pub(crate) fn names() -> Vec<String> {
    const PLACES: [&str; 10] = [
        "Africa/",
        "America/",
        "Antarctica/",
        "Arctic/",
        "Asia/",
        "Atlantic/",
        "Australia/",
        "Europe/",
        "Indian/",
        "Pacific/",
    ];
    let mut names: Vec<String> = tz::db()
        .available()
        .map(|name| name.to_string())
        .filter(|name| name == "UTC" || PLACES.iter().any(|place| name.starts_with(place)))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::zone::DEFAULT_ZONE;
    use time::macros::datetime;

    #[test]
    fn a_zone_knows_its_summers() {
        let now = datetime!(2026-11-25 12:00 UTC);
        let berlin = zone("Europe/Berlin", now);
        let hours = |at: OffsetDateTime| berlin.as_ref().map(|z| z.offset(at.unix_timestamp()) / 3_600);
        assert_eq!(hours(datetime!(2026-01-01 0:00 UTC)), Some(1));
        assert_eq!(hours(datetime!(2026-03-29 0:59:59 UTC)), Some(1));
        assert_eq!(hours(datetime!(2026-03-29 1:00 UTC)), Some(2));
        assert_eq!(hours(datetime!(2027-07-01 0:00 UTC)), Some(2));
        assert_eq!(zone("Middle/Earth", now), None);
    }

    #[test]
    fn the_default_zone_is_what_the_database_says() {
        let now = datetime!(2026-11-25 12:00 UTC);
        let known = zone(DEFAULT_ZONE, now);
        let offset = known.map(|z| (z.name.clone(), z.offset(now.unix_timestamp())));
        assert_eq!(offset, Some((DEFAULT_ZONE.to_owned(), Zone::default().offset(0))));
    }

    #[test]
    fn every_zone_that_is_offered_can_be_chosen() {
        let names = names();
        assert!(
            names.len() > 300 && names.iter().any(|n| n == DEFAULT_ZONE),
            "{}",
            names.len()
        );
        let now = datetime!(2026-11-25 12:00 UTC);
        assert!(names.iter().all(|name| zone(name, now).is_some()));
    }
}
