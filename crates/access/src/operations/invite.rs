//! `person.invite`.

use super::{conflict, person, plan};
use crate::Access;
use crate::links::VALID;
use crate::token::{self, TokenHash};
use async_trait::async_trait;
use bagua_core::{Applies, PlanContext};
use bagua_model::access::InvitePerson;
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::PgConnection;

fn hash(operation: &InvitePerson) -> Result<TokenHash, Failure> {
    token::from_hex(&operation.token_hash)
        .ok_or_else(|| Failure::field("token_hash", Text::new(keys::FAILURE_TOKEN_HASH)))
}

#[async_trait]
impl Applies<InvitePerson> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &InvitePerson) -> Result<Plan, Failure> {
        hash(operation)?;
        let person = person(&cx.db, operation.person).await?;
        if person.disabled {
            return Err(conflict(
                Text::new(keys::FAILURE_PERSON_DISABLED).with("person", person.label()),
            ));
        }
        let summary = Text::new(keys::PLAN_PERSON_INVITE).with("person", person.label());
        let change = Text::new(keys::PLAN_PERSON_INVITE_CHANGE)
            .with("person", person.label())
            .with("hours", VALID.whole_hours());
        Ok(plan(summary, change, [("person", json!(person.id))]))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &InvitePerson,
    ) -> Result<(), Failure> {
        let hash = hash(operation)?;
        let person = person(&mut *db, operation.person).await?;
        self.invite(db, &person, &hash, &cx.actor).await
    }
}
