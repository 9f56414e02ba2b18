//! `person.create`.

use super::plan;
use crate::Access;
use crate::links::{valid_email, valid_name};
use crate::store::people;
use async_trait::async_trait;
use bagua_core::{Applies, PlanContext, db};
use bagua_model::access::{CreatePerson, Grant, Role, role_argument, scope_argument};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::Scope;
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// A region's code as it stands in labels and URLs. Which regions there are is configuration, and an unknown one
/// simply reaches nothing; but a code with blanks or capitals is a slip of the finger.
pub(super) fn valid_scope(scope: &Scope) -> Result<(), Failure> {
    let fits = |code: &str| {
        (1..=40).contains(&code.len())
            && code
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match &scope.region {
        Some(region) if !fits(region.as_str()) => {
            Err(Failure::field("region", Text::new(keys::FIELD_REGION)))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Applies<CreatePerson> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &CreatePerson) -> Result<Plan, Failure> {
        let email = valid_email(&operation.email)?;
        let name = valid_name(&operation.name, &email)?;
        valid_scope(&operation.scope)?;
        if people::by_email(&cx.db, &email)
            .await
            .map_err(db::failure)?
            .is_some()
        {
            return Err(Failure::field(
                "email",
                Text::new(keys::FAILURE_PERSON_EXISTS).with("email", &email),
            ));
        }
        let summary = Text::new(keys::PLAN_PERSON_CREATE)
            .with("email", &email)
            .with("role", role_argument(operation.role))
            .with("scope", scope_argument(&operation.scope));
        let change = Text::new(keys::PLAN_PERSON_CREATE_CHANGE).with("email", &email);
        let facts = [
            ("email", json!(email)),
            ("name", json!(name)),
            ("role", json!(operation.role)),
            ("scope", json!(operation.scope)),
        ];
        let mut plan = plan(summary, change, facts);
        if operation.role == Role::Administrator {
            plan.warnings.push(Text::new(keys::PLAN_PERSON_ADMINISTRATOR));
        }
        Ok(plan)
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &CreatePerson,
    ) -> Result<Uuid, Failure> {
        let email = valid_email(&operation.email)?;
        let name = valid_name(&operation.name, &email)?;
        valid_scope(&operation.scope)?;
        let grant = Grant {
            role: operation.role,
            scope: operation.scope.clone(),
        };
        self.add_person(db, &email, &name, &grant, &cx.actor, cx.now)
            .await
    }
}
