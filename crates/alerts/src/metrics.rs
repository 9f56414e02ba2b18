//! What the room counts about itself.

use crate::episode::Change;
use crate::snapshot::Snapshot;
use bagua_model::alerts::Severity;
use std::time::Duration;
use time::OffsetDateTime;

/// Who found a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finder {
    /// A notification.
    Webhook,
    /// The comparison with Alertmanager's list: the notification was missed, or is yet to come.
    Reconciler,
}

/// Says what the names mean; once at start.
pub fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "alerts_webhook_requests_total",
        "Notifications from Alertmanager, by result."
    );
    describe_counter!("alerts_received_total", "Alerts in those notifications.");
    describe_counter!(
        "alerts_changes_total",
        "Changes to the feed, by change and by who found it."
    );
    describe_counter!(
        "alerts_reconcile_repairs_total",
        "Changes that no notification had made: `missing` rows added, `stale` rows ended."
    );
    describe_histogram!(
        "alerts_intake_seconds",
        metrics::Unit::Seconds,
        "From the receipt of a notification to its committed rows."
    );
    describe_histogram!(
        "alerts_reading_seconds",
        metrics::Unit::Seconds,
        "A reading of Alertmanager's list with all that it came to, by what was found: `same`, `repeated`, `changed`."
    );
    describe_histogram!(
        "alerts_reading_own_seconds",
        metrics::Unit::Seconds,
        "What a reading cost the console after Alertmanager had answered, by what was found."
    );
    describe_gauge!(
        "alerts_list_bytes",
        metrics::Unit::Bytes,
        "Length of Alertmanager's list at the last reading."
    );
    describe_gauge!("alerts_firing", "Alerts in the feed, by severity.");
    describe_gauge!(
        "alerts_held_back",
        "Alerts that Alertmanager no longer lists and that stay in the feed until Prometheus agrees."
    );
    describe_gauge!(
        "alerts_watchdog_last_seen_timestamp_seconds",
        metrics::Unit::Seconds,
        "When the alert that always fires was last passed on."
    );
}

/// A notification was dealt with.
pub fn webhook(result: &'static str) {
    metrics::counter!("alerts_webhook_requests_total", "result" => result).increment(1);
}

/// Alerts came in a notification.
pub fn received(alerts: usize) {
    metrics::counter!("alerts_received_total").increment(alerts as u64);
}

/// From receipt to commit.
pub fn intake(took: Duration) {
    metrics::histogram!("alerts_intake_seconds").record(took);
}

/// A change was committed.
pub fn change(change: &Change, finder: Finder) {
    let name = match change {
        Change::Open(_) => "opened",
        Change::Missed(..) => "missed",
        Change::Renew { .. } => "renewed",
        Change::Suppress { by, .. } if by.is_empty() => "released",
        Change::Suppress { .. } => "suppressed",
        Change::Reopen { .. } => "reopened",
        Change::Resolve { .. } => "resolved",
    };
    let found_by = match finder {
        Finder::Webhook => "webhook",
        Finder::Reconciler => "reconciler",
    };
    metrics::counter!("alerts_changes_total", "change" => name, "found_by" => found_by).increment(1);
    let repair = match change {
        Change::Open(_) | Change::Reopen { .. } => "missing",
        Change::Resolve { .. } => "stale",
        _ => return,
    };
    if finder == Finder::Reconciler {
        metrics::counter!("alerts_reconcile_repairs_total", "repair" => repair).increment(1);
    }
}

/// The feed was filled anew.
pub fn feed(snapshot: &Snapshot) {
    let mut firing = [0_u32; 3];
    for episode in snapshot.rows() {
        firing[episode.view.severity as usize] += 1;
    }
    for (severity, firing) in Severity::ALL.iter().zip(firing) {
        metrics::gauge!("alerts_firing", "severity" => severity.as_str()).set(f64::from(firing));
    }
}

/// So many alerts wait for the second witness.
pub fn held_back(alerts: usize) {
    metrics::gauge!("alerts_held_back").set(alerts as f64);
}

/// The Watchdog was seen.
pub fn watchdog(at: OffsetDateTime) {
    metrics::gauge!("alerts_watchdog_last_seen_timestamp_seconds").set(at.unix_timestamp() as f64);
}

/// A reading was made, and what it came to has been done.
pub fn reading(bytes: usize, found: &'static str, took: Duration, own: Duration) {
    metrics::gauge!("alerts_list_bytes").set(bytes as f64);
    metrics::histogram!("alerts_reading_seconds", "found" => found).record(took);
    metrics::histogram!("alerts_reading_own_seconds", "found" => found).record(own);
}
