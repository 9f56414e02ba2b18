//! Audit records and events of this room, written inside the transaction that they tell of.

use bagua_core::audit::{self, AuditRecord};
use bagua_core::events::{self, NewEvent};
use bagua_model::region::Environment;
use bagua_model::text::Text;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

/// The topic of this room's events.
pub const TOPIC: &str = "access";

/// Who knocks before it is known who they are.
const ANONYMOUS: &str = "anonymous";

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visitor {
    /// Network address.
    pub address: String,
    /// The browser's own words.
    pub user_agent: String,
}

impl Visitor {
    /// Shortened to what the tables hold, control characters taken out.
    pub(crate) fn tidy(&self) -> Visitor {
        let short = |text: &str, most: usize| text.chars().filter(|c| !c.is_control()).take(most).collect();
        Visitor {
            address: short(&self.address, 64),
            user_agent: short(&self.user_agent, 400),
        }
    }
}

/// An audit record of something that nobody signed in has done.
pub(crate) fn anonymous(
    action: &str,
    result: &str,
    at: OffsetDateTime,
    visitor: &Visitor,
    detail: Value,
) -> AuditRecord {
    let mut record = AuditRecord::new(&bagua_core::Actor::system(ANONYMOUS), action, result, at);
    record.detail = json!({ "address": visitor.address, "user_agent": visitor.user_agent });
    if let (Value::Object(all), Value::Object(more)) = (&mut record.detail, detail) {
        all.extend(more);
    }
    record
}

pub(crate) async fn write(db: &mut PgConnection, record: &AuditRecord) -> sqlx::Result<()> {
    audit::record(db, record).await
}

/// What happened to a person. Loud events stand in the event log, quiet ones only wake the screens that show people.
pub(crate) async fn event(
    db: &mut PgConnection,
    environment: Environment,
    kind: &str,
    person: Uuid,
    text: Text,
    at: OffsetDateTime,
    loud: bool,
) -> sqlx::Result<()> {
    let event = NewEvent {
        at,
        kind: kind.to_owned(),
        topic: TOPIC.to_owned(),
        environment: Some(environment),
        region: None,
        subject: format!("person:{person}"),
        text,
        operation: None,
    };
    if loud {
        events::record(db, &event).await
    } else {
        events::record_quiet(db, &event).await
    }
}

/// A time for a sentence, rounded up to the minute: whoever comes back then is not too early.
pub(crate) fn clock_words(at: OffsetDateTime) -> String {
    let up: OffsetDateTime = at + time::Duration::seconds(59);
    up.format(format_description!("[hour]:[minute] UTC"))
        .unwrap_or_else(|_| up.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_time_in_a_sentence_is_never_too_early() {
        assert_eq!(clock_words(datetime!(2026-11-22 21:15:00 UTC)), "21:15 UTC");
        assert_eq!(clock_words(datetime!(2026-11-22 21:15:01 UTC)), "21:16 UTC");
    }

    #[test]
    fn a_visitors_words_fit_the_table() {
        let visitor = Visitor {
            address: "1".repeat(90),
            user_agent: "a\u{0}\n".repeat(500),
        }
        .tidy();
        assert_eq!((visitor.address.len(), visitor.user_agent.len()), (64, 400));
    }
}
