//! All SQL of this room, checked when it is compiled.

pub mod counters;
pub mod invitations;
pub mod people;
pub mod sessions;
pub mod tokens;
pub mod views;

use bagua_model::access::{Grant, Role};
use bagua_model::region::{Environment, RegionId, Scope};
use serde::Deserialize;

/// A value in a row that this version does not know, such as a role of a newer console.
pub(crate) fn unreadable(error: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::Decode(error.to_string().into())
}

#[derive(Debug, Deserialize)]
pub(crate) struct GrantRow {
    role: String,
    environment: Option<String>,
    region: Option<String>,
}

/// Grants that came as one JSON array. A role or environment that this version does not know gives no right here,
/// instead of locking its holder out of everything else.
pub(crate) fn grants(rows: Vec<GrantRow>) -> Vec<Grant> {
    let mut grants: Vec<Grant> = rows
        .into_iter()
        .filter_map(|row| {
            let role: Role = row.role.parse().ok()?;
            let environment: Option<Environment> = row.environment.map(|e| e.parse()).transpose().ok()?;
            Some(Grant {
                role,
                scope: Scope {
                    environment,
                    region: row.region.map(RegionId::new),
                },
            })
        })
        .collect();
    grants.sort_by_key(|g| (g.role, g.scope.environment, g.scope.region.clone()));
    grants
}

/// A person as the rest of this room needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Id.
    pub id: uuid::Uuid,
    /// Sign-in name.
    pub email: String,
    /// Shown name.
    pub name: String,
    /// PHC string, when there is one.
    pub password_hash: Option<String>,
    /// Whether sign-in is off.
    pub disabled: bool,
}

impl Person {
    /// The name for sentences and the audit log.
    pub fn label(&self) -> String {
        if self.name == self.email {
            self.email.clone()
        } else {
            format!("{} <{}>", self.name, self.email)
        }
    }
}
