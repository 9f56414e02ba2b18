//! Posting updates to addresses of the configuration.

use super::bot::Bot;
use super::send::backoff;
use crate::deliver;
use crate::outbox::store::{Due, Settled, State};
use serde_json::Value;
use std::time::Duration;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

/// How long a receiver may take.
const LIMIT: Duration = Duration::from_secs(5);
/// So often it is tried, over about three hours; then a person decides.
const ATTEMPTS: i32 = 24;
/// Longest pause between two tries, in seconds.
const LONGEST_PAUSE: u64 = 600;

fn failed(class: &'static str, detail: Option<String>) -> Settled {
    Settled {
        class: Some(class),
        detail,
        ..Settled::new(State::Failed)
    }
}

/// It is tried again, unless that was done often enough.
fn later(due: &Due, class: &'static str, detail: String) -> Settled {
    if due.attempts >= ATTEMPTS {
        return failed(class, Some(detail));
    }
    Settled {
        class: Some(class),
        detail: Some(detail),
        pause: backoff(due.attempts, LONGEST_PAUSE),
        ..Settled::new(State::Pending)
    }
}

impl Bot {
    /// Posts an update. What the receiver answered is written down as of any call.
    pub(super) async fn deliver(&self, due: &Due, post: &Value) -> Settled {
        let name = post["to"].as_str().unwrap_or_default();
        let Some(endpoint) = self.config.deliver.get(name) else {
            return failed(
                "webhook_unknown",
                Some(format!("the configuration names no webhook {name}")),
            );
        };
        let now = self.config.deliver.now();
        let at = now.format(&Rfc3339).unwrap_or_default();
        // The same however often it is posted, and another for each effect of each bot.
        let id = format!("{}-{}", self.id.0, due.effect.replace('/', "-"));
        let signed = deliver::body(post, &at)
            .and_then(|body| Some((endpoint.sign(&id, now.unix_timestamp(), &body)?, body)));
        let Some((headers, body)) = signed else {
            return failed("unreadable", None);
        };
        let answer = timeout(LIMIT, self.parts.transport.deliver(&endpoint.url, &headers, body)).await;
        match answer {
            Err(_) => later(
                due,
                "webhook_away",
                format!("{name} did not answer within {} s", LIMIT.as_secs()),
            ),
            Ok(Err(error)) => later(due, "webhook_away", error.to_string()),
            Ok(Ok(answer)) => {
                let status = answer.status();
                match status.as_u16() {
                    200..=299 => Settled::new(State::Sent),
                    // The receiver asks for time, or is ill.
                    408 | 425 | 429 | 500.. => {
                        later(due, "webhook_away", format!("{name} answered {status}"))
                    }
                    _ => failed("webhook_refused", Some(format!("{name} answered {status}"))),
                }
            }
        }
    }
}
