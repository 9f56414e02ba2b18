//! The room's operations. All of them are only rows, so they are applied inside the submission's transaction.

mod create;
mod disable;
mod grant;
mod invite;
mod preferences;
mod revoke_sessions;
mod tokens;

use crate::Access;
use crate::store::{Person, people};
use bagua_core::db;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use serde_json::Value;
use sqlx::PgExecutor;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A plan of one sentence and one change, without steps.
fn plan(summary: Text, change: Text, facts: impl IntoIterator<Item = (&'static str, Value)>) -> Plan {
    Plan {
        summary,
        changes: vec![change],
        facts: facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        estimates: Vec::new(),
        warnings: Vec::new(),
        steps: Vec::new(),
        approval: None,
    }
}

fn conflict(text: Text) -> Failure {
    Failure::new(FailureKind::Conflict, text)
}

async fn person(db: impl PgExecutor<'_>, id: Uuid) -> Result<Person, Failure> {
    let found = people::by_id(db, id).await.map_err(db::failure)?;
    found.ok_or_else(|| Failure::not_found(format!("person:{id}")))
}

impl Access {
    /// Refuses when nobody but `person` can administer the whole of this environment. The caller holds the lock of
    /// people, or only plans.
    async fn keep_an_administrator(&self, db: impl PgExecutor<'_>, person: &Person) -> Result<(), Failure> {
        let others = people::administrators(db, self.environment, Some(person.id))
            .await
            .map_err(db::failure)?;
        if others == 0 {
            return Err(conflict(
                Text::new(keys::FAILURE_LAST_ADMINISTRATOR).with("person", person.label()),
            ));
        }
        Ok(())
    }
}
