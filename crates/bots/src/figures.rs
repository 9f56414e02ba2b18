//! The crate's series. None has a label for the bot: a fleet has thousands, and what is to be seen of one bot is in the database.

use crate::ingest::Update;
use bagua_telegram::Kind;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use std::collections::BTreeMap;

/// Tells the recorder what the series mean; once, after it was installed.
pub fn describe() {
    describe_counter!(
        "tg_updates_received_total",
        "Updates that were polled or pushed, repeats among them, by kind."
    );
    describe_counter!(
        "tg_updates_committed_total",
        "Updates that were new and are committed."
    );
    // From the start, so that nothing to count is a 0 and no gap.
    counter!("tg_updates_committed_total").absolute(0);
    counter!("tg_sends_total", "result" => "sent").absolute(0);
    counter!("webhook_deliveries_total", "result" => "sent").absolute(0);
    describe_counter!(
        "tg_updates_duplicate_total",
        "Updates that came again and were recognised."
    );
    describe_counter!(
        "tg_updates_quarantined_total",
        "Updates without a number, kept apart."
    );
    describe_histogram!(
        "ingest_commit_seconds",
        Unit::Seconds,
        "Time of one transaction that stores updates."
    );
    describe_histogram!("ingest_group_updates", "Updates that shared one transaction.");
    describe_histogram!(
        "update_age_seconds",
        Unit::Seconds,
        "Age of the newest message of a batch when it was stored."
    );
    describe_counter!(
        "poll_errors_total",
        "Failed calls of those who receive, by class of the error."
    );
    describe_counter!("lease_lost_total", "Leases that another process took.");
    describe_counter!(
        "tg_bot_panics_total",
        "Tasks of bots that ended by a fault of ours."
    );
    describe_gauge!("tg_bots_owned", "Bots that this process owns.");
    describe_gauge!(
        "pending_updates",
        "Updates that wait at Telegram, of the bots that this process owns, as last asked."
    );
    describe_gauge!(
        "update_work_depth",
        "Stored updates whose rules have not run, of the bots that this process owns."
    );
    describe_gauge!(
        "outbox_depth",
        "Calls that wait or are being made, of the bots that this process owns."
    );
    describe_gauge!(
        "outbox_uncertain",
        "Calls of which nobody knows whether Telegram saw them, of the bots that this process owns."
    );
    describe_counter!(
        "tg_sends_total",
        "Calls by what came of them; of those that wait again, by why."
    );
    describe_counter!(
        "webhook_deliveries_total",
        "Updates that rules posted to addresses of the configuration, by what came of it; of those that are posted again, by why."
    );
    describe_counter!(
        "retry_after_seconds_total",
        Unit::Seconds,
        "Time that Telegram told bots to wait."
    );
    describe_counter!("tg_rules_updates_total", "Updates whose rules have run.");
    describe_counter!(
        "tg_webhooks_set_total",
        "Times that a webhook was set at Telegram."
    );
    describe_counter!("tg_webhook_requests_total", "Pushes by the status of our answer.");
    describe_histogram!(
        "tg_webhook_seconds",
        Unit::Seconds,
        "Time of one push, the commit within."
    );
    describe_counter!(
        "localization_requests_total",
        "Texts of the catalogues that rules asked for, by wished language and by what came: `own`, `instead` (another language), `missing`."
    );
    describe_counter!(
        "search_indexed_total",
        "Updates whose words, chats and names can be found."
    );
    describe_histogram!(
        "search_index_seconds",
        Unit::Seconds,
        "Time of one transaction that indexes updates."
    );
    describe_counter!(
        "tg_runner_database_errors_total",
        "Statements of a runner that failed, by what they were for."
    );
}

/// Counts what came. A kind that this version does not know is `other`: whoever invents kinds must not invent series.
pub(crate) fn received(updates: &[Update]) {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for update in updates {
        *kinds.entry(update.kind.as_str()).or_default() += 1;
    }
    for (kind, updates) in kinds {
        let kind = match Kind::from_name(kind) {
            Kind::Other(_) => "other".to_owned(),
            known => known.name().to_owned(),
        };
        counter!("tg_updates_received_total", "kind" => kind).increment(updates);
    }
}
