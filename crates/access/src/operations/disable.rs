//! `person.disable` and `person.enable`.

use super::{conflict, person, plan};
use crate::store::{Person, invitations, people, sessions, tokens};
use crate::{Access, record};
use async_trait::async_trait;
use bagua_core::{Applies, PlanContext, db};
use bagua_model::access::{DisablePerson, EnablePerson};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::PgConnection;

fn refusal(person: &Person) -> Failure {
    let key = if person.disabled {
        keys::FAILURE_PERSON_DISABLED
    } else {
        keys::FAILURE_PERSON_NOT_DISABLED
    };
    conflict(Text::new(key).with("person", person.label()))
}

fn planned(summary: &str, change: &str, person: &Person) -> Plan {
    let words = |key| Text::new(key).with("person", person.label());
    plan(words(summary), words(change), [("person", json!(person.id))])
}

impl Access {
    /// Only an administrator who can sign in can be the last one.
    async fn may_be_disabled(&self, db: &mut PgConnection, person: &Person) -> Result<(), Failure> {
        let all = people::administrators(&mut *db, self.environment, None)
            .await
            .map_err(db::failure)?;
        // Somebody who is no administrator leaves as many as there were, also when that is none.
        let others = people::administrators(&mut *db, self.environment, Some(person.id))
            .await
            .map_err(db::failure)?;
        if others < all {
            self.keep_an_administrator(db, person).await
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Applies<DisablePerson> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &DisablePerson) -> Result<Plan, Failure> {
        let person = person(&cx.db, operation.person).await?;
        if person.disabled {
            return Err(refusal(&person));
        }
        let mut connection = cx.db.acquire().await.map_err(db::failure)?;
        self.may_be_disabled(&mut connection, &person).await?;
        Ok(planned(
            keys::PLAN_PERSON_DISABLE,
            keys::PLAN_PERSON_DISABLE_CHANGE,
            &person,
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &DisablePerson,
    ) -> Result<(), Failure> {
        people::lock(db).await.map_err(db::failure)?;
        let person = person(&mut *db, operation.person).await?;
        self.may_be_disabled(db, &person).await?;
        if !people::set_disabled(&mut *db, person.id, Some(cx.now))
            .await
            .map_err(db::failure)?
        {
            return Err(refusal(&person));
        }
        sessions::revoke_all(&mut *db, person.id, cx.now)
            .await
            .map_err(db::failure)?;
        tokens::revoke_all(&mut *db, person.id, &cx.actor.label(), cx.now)
            .await
            .map_err(db::failure)?;
        invitations::void(&mut *db, Some(person.id), cx.now)
            .await
            .map_err(db::failure)?;
        let text = Text::new(keys::EVENT_PERSON_DISABLED).with("person", &person.name);
        record::event(
            db,
            self.environment,
            "person.disabled",
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
impl Applies<EnablePerson> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &EnablePerson) -> Result<Plan, Failure> {
        let person = person(&cx.db, operation.person).await?;
        if !person.disabled {
            return Err(refusal(&person));
        }
        Ok(planned(
            keys::PLAN_PERSON_ENABLE,
            keys::PLAN_PERSON_ENABLE_CHANGE,
            &person,
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &EnablePerson,
    ) -> Result<(), Failure> {
        let person = person(&mut *db, operation.person).await?;
        if !people::set_disabled(&mut *db, person.id, None)
            .await
            .map_err(db::failure)?
        {
            return Err(refusal(&person));
        }
        let text = Text::new(keys::EVENT_PERSON_ENABLED).with("person", &person.name);
        record::event(
            db,
            self.environment,
            "person.enabled",
            person.id,
            text,
            cx.now,
            true,
        )
        .await
        .map_err(db::failure)
    }
}
