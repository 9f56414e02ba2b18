//! `person.grant` and `person.revoke`.

use super::create::valid_scope;
use super::{conflict, person, plan};
use crate::store::{Person, people};
use crate::{Access, record};
use async_trait::async_trait;
use bagua_core::{Applies, PlanContext, db};
use bagua_model::access::{Grant, GrantRole, RevokeRole, Role, role_argument, scope_argument};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::PgConnection;

fn words(key: &str, person: &str, grant: &Grant) -> Text {
    Text::new(key)
        .with("person", person)
        .with("role", role_argument(grant.role))
        .with("scope", scope_argument(&grant.scope))
}

fn planned(summary: &str, change: &str, person: &Person, grant: &Grant) -> Plan {
    let facts = [
        ("person", json!(person.id)),
        ("role", json!(grant.role)),
        ("scope", json!(grant.scope)),
    ];
    plan(
        words(summary, &person.label(), grant),
        words(change, &person.label(), grant),
        facts,
    )
}

impl Access {
    /// Whether taking `grant` away could leave nobody: only a grant that reaches the whole environment can.
    fn administers_here(&self, grant: &Grant) -> bool {
        grant.role == Role::Administrator
            && grant.scope.region.is_none()
            && grant.scope.environment.is_none_or(|e| e == self.environment)
    }

    /// Refuses to take the last administrator's last such grant.
    async fn may_lose(&self, db: &mut PgConnection, person: &Person, grant: &Grant) -> Result<(), Failure> {
        let held = people::grants_of(&mut *db, person.id)
            .await
            .map_err(db::failure)?;
        let another = held.iter().any(|g| g != grant && self.administers_here(g));
        if self.administers_here(grant) && !another {
            self.keep_an_administrator(db, person).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Applies<GrantRole> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &GrantRole) -> Result<Plan, Failure> {
        valid_scope(&operation.scope)?;
        let grant = Grant {
            role: operation.role,
            scope: operation.scope.clone(),
        };
        let person = person(&cx.db, operation.person).await?;
        if people::grants_of(&cx.db, person.id)
            .await
            .map_err(db::failure)?
            .contains(&grant)
        {
            return Err(conflict(words(
                keys::FAILURE_GRANT_EXISTS,
                &person.label(),
                &grant,
            )));
        }
        let mut plan = planned(
            keys::PLAN_PERSON_GRANT,
            keys::PLAN_PERSON_GRANT_CHANGE,
            &person,
            &grant,
        );
        if grant.role == Role::Administrator {
            plan.warnings.push(Text::new(keys::PLAN_PERSON_ADMINISTRATOR));
        }
        Ok(plan)
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &GrantRole,
    ) -> Result<(), Failure> {
        valid_scope(&operation.scope)?;
        let grant = Grant {
            role: operation.role,
            scope: operation.scope.clone(),
        };
        let person = person(&mut *db, operation.person).await?;
        if !people::grant(&mut *db, person.id, &grant, &cx.actor.label(), cx.now)
            .await
            .map_err(db::failure)?
        {
            return Err(conflict(words(
                keys::FAILURE_GRANT_EXISTS,
                &person.label(),
                &grant,
            )));
        }
        let text = words(keys::EVENT_PERSON_GRANTED, &person.name, &grant);
        record::event(
            db,
            self.environment,
            "person.granted",
            person.id,
            text,
            cx.now,
            true,
        )
        .await
        .map_err(db::failure)
    }
}

#[async_trait]
impl Applies<RevokeRole> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &RevokeRole) -> Result<Plan, Failure> {
        let grant = Grant {
            role: operation.role,
            scope: operation.scope.clone(),
        };
        let person = person(&cx.db, operation.person).await?;
        if !people::grants_of(&cx.db, person.id)
            .await
            .map_err(db::failure)?
            .contains(&grant)
        {
            return Err(conflict(words(
                keys::FAILURE_GRANT_MISSING,
                &person.label(),
                &grant,
            )));
        }
        let mut connection = cx.db.acquire().await.map_err(db::failure)?;
        self.may_lose(&mut connection, &person, &grant).await?;
        Ok(planned(
            keys::PLAN_PERSON_REVOKE,
            keys::PLAN_PERSON_REVOKE_CHANGE,
            &person,
            &grant,
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RevokeRole,
    ) -> Result<(), Failure> {
        let grant = Grant {
            role: operation.role,
            scope: operation.scope.clone(),
        };
        people::lock(db).await.map_err(db::failure)?;
        let person = person(&mut *db, operation.person).await?;
        self.may_lose(db, &person, &grant).await?;
        if !people::revoke(&mut *db, person.id, &grant)
            .await
            .map_err(db::failure)?
        {
            return Err(conflict(words(
                keys::FAILURE_GRANT_MISSING,
                &person.label(),
                &grant,
            )));
        }
        let text = words(keys::EVENT_PERSON_REVOKED, &person.name, &grant);
        record::event(
            db,
            self.environment,
            "person.revoked",
            person.id,
            text,
            cx.now,
            true,
        )
        .await
        .map_err(db::failure)
    }
}
