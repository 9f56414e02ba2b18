//! The audit log: who did what, and was it allowed. Append-only by trigger and by grant.

use crate::actor::Actor;
use crate::store;
use bagua_model::operation::OperationId;
use bagua_model::region::{Environment, RegionId};
use bagua_model::verbs::Target;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A record for the audit log. Holds no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// When.
    pub at: OffsetDateTime,
    /// Who, as the list shows it.
    pub actor: String,
    /// The person, when it was one.
    pub person: Option<Uuid>,
    /// Id and name of the API token through which it was done, when it was.
    pub through: Option<(String, String)>,
    /// `submit`, `approve`, `deny`, `sign-in` …
    pub action: String,
    /// The kind of query or operation.
    pub kind: Option<String>,
    /// The environment.
    pub environment: Option<Environment>,
    /// The region.
    pub region: Option<RegionId>,
    /// `noun:id`.
    pub target: Option<String>,
    /// The operation.
    pub operation: Option<OperationId>,
    /// `allowed`, `denied`, `succeeded`, `failed` …
    pub result: String,
    /// Further facts.
    pub detail: Value,
}

impl AuditRecord {
    /// A record of what `actor` did.
    pub fn new(actor: &Actor, action: &str, result: &str, at: OffsetDateTime) -> AuditRecord {
        AuditRecord {
            at,
            actor: actor.label(),
            person: actor.person(),
            through: actor
                .through()
                .map(|through| (through.token.clone(), through.name.clone())),
            action: action.to_owned(),
            kind: None,
            environment: None,
            region: None,
            target: None,
            operation: None,
            result: result.to_owned(),
            detail: Value::Object(serde_json::Map::new()),
        }
    }

    /// The kind of query or operation.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> AuditRecord {
        self.kind = Some(kind.to_owned());
        self
    }

    /// What it was about, and where that is.
    #[must_use]
    pub fn target(mut self, target: &Target) -> AuditRecord {
        self.target = Some(format!("{}:{}", target.noun, target.id));
        self.environment = target.scope.environment.or(self.environment);
        self.region = target.scope.region.clone().or(self.region);
        self
    }

    /// Where it was.
    #[must_use]
    pub fn place(mut self, environment: Environment, region: Option<RegionId>) -> AuditRecord {
        self.environment = Some(environment);
        self.region = region;
        self
    }

    /// The operation.
    #[must_use]
    pub fn operation(mut self, operation: OperationId) -> AuditRecord {
        self.operation = Some(operation);
        self
    }

    /// The further facts as they are written: with the token through which it was done.
    pub(crate) fn written_detail(&self) -> Value {
        let mut detail = self.detail.clone();
        if let (Some((token, name)), Value::Object(fields)) = (&self.through, &mut detail) {
            fields.insert("through".to_owned(), json!({ "token": token, "name": name }));
        }
        detail
    }

    /// Further facts, as a JSON object.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> AuditRecord {
        self.detail = detail;
        self
    }
}

/// Writes an audit record, inside the transaction of what it records wherever there is one.
///
/// # Errors
/// Those of the database. Whoever cannot write the record must not do the thing.
pub async fn record(db: &mut PgConnection, record: &AuditRecord) -> Result<(), sqlx::Error> {
    store::audit::insert(db, record).await
}
