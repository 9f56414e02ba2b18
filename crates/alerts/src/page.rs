//! Keyset cursors of the feed: the place of the last row, so that rows that come and go move nothing.

use crate::snapshot::Place;
use bagua_model::alerts::{AlertView, Severity};
use bagua_model::failure::Failure;
use bagua_model::text::{Text, keys};
use std::cmp::Reverse;
use time::OffsetDateTime;
use uuid::Uuid;

/// Rows on a page.
pub fn limit(asked: u16) -> usize {
    usize::from(if asked == 0 { 50 } else { asked.min(200) })
}

/// The cursor after a firing alert.
pub fn after_firing(view: &AlertView) -> String {
    format!(
        "{}.{}.{}",
        view.severity as u8,
        microseconds(crate::snapshot::new_since(view)),
        view.alert.simple()
    )
}

/// The cursor after an alert that has ended.
pub fn after_ended(ended_at: OffsetDateTime, id: Uuid) -> String {
    format!("e.{}.{}", microseconds(ended_at), id.simple())
}

/// Reads [`after_firing`].
///
/// # Errors
/// A field error when it is no such cursor.
pub fn firing_cursor(cursor: &str) -> Result<Place, Failure> {
    let read = || {
        let (head, time, id) = parts(cursor)?;
        let severity = *Severity::ALL.get(head.parse::<usize>().ok()?)?;
        Some((severity, Reverse(time), id))
    };
    read().ok_or_else(wrong)
}

/// Reads [`after_ended`].
///
/// # Errors
/// A field error when it is no such cursor.
pub fn ended_cursor(cursor: &str) -> Result<(OffsetDateTime, Uuid), Failure> {
    parts(cursor)
        .filter(|(head, _, _)| *head == "e")
        .map(|(_, time, id)| (time, id))
        .ok_or_else(wrong)
}

fn parts(cursor: &str) -> Option<(&str, OffsetDateTime, Uuid)> {
    let mut parts = cursor.splitn(3, '.');
    let (head, time, id) = (parts.next()?, parts.next()?, parts.next()?);
    let time =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.parse::<i64>().ok()?) * 1000).ok()?;
    Some((head, time, Uuid::try_parse(id).ok()?))
}

fn microseconds(time: OffsetDateTime) -> i128 {
    time.unix_timestamp_nanos() / 1000
}

fn wrong() -> Failure {
    Failure::field("after", Text::new(keys::ALERT_FAILURE_CURSOR))
}
