//! `session.revoke` and `session.revoke_all`: one's own, or with `people.manage` another person's.

use super::{conflict, person, plan};
use crate::queries::forbidden;
use crate::sessions::{FRESH, IDLE};
use crate::store::sessions;
use crate::{Access, record};
use async_trait::async_trait;
use bagua_core::{Actor, Applies, PlanContext, db};
use bagua_model::access::{Permission, RevokeAllSessions, RevokeSession, SessionView};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::Scope;
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

fn may_end(actor: &Actor, person: Uuid) -> Result<(), Failure> {
    let may = actor.person() == Some(person) || actor.granted(Permission::PeopleManage).covers(&Scope::ANY);
    if may {
        Ok(())
    } else {
        Err(forbidden(Permission::PeopleManage))
    }
}

/// The session, if the actor may end it. Of another person's sessions a stranger does not learn whether they exist.
async fn session(db: impl PgExecutor<'_>, cx: &PlanContext, id: Uuid) -> Result<SessionView, Failure> {
    let found = sessions::by_name(db, id, cx.now, IDLE)
        .await
        .map_err(db::failure)?;
    let Some(session) = found else {
        return Err(conflict(Text::new(keys::FAILURE_SESSION_ENDED)));
    };
    match may_end(&cx.actor, session.person) {
        Ok(()) => Ok(session),
        Err(_) => Err(conflict(Text::new(keys::FAILURE_SESSION_ENDED))),
    }
}

#[async_trait]
impl Applies<RevokeSession> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &RevokeSession) -> Result<Plan, Failure> {
        let session = session(&cx.db, cx, operation.session).await?;
        let person = person(&cx.db, session.person).await?;
        let summary = Text::new(keys::PLAN_SESSION_REVOKE).with("person", person.label());
        let change = Text::new(keys::PLAN_SESSION_REVOKE_CHANGE)
            .with("person", person.label())
            .with("address", &session.address)
            .with("seconds", FRESH.whole_seconds());
        Ok(plan(summary, change, [("session", json!(session.session))]))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RevokeSession,
    ) -> Result<(), Failure> {
        let session = session(&mut *db, cx, operation.session).await?;
        let person = person(&mut *db, session.person).await?;
        if !sessions::revoke(&mut *db, session.session, cx.now)
            .await
            .map_err(db::failure)?
        {
            return Err(conflict(Text::new(keys::FAILURE_SESSION_ENDED)));
        }
        let text = Text::new(keys::EVENT_SESSIONS_REVOKED)
            .with("person", &person.name)
            .with("count", 1);
        record::event(
            db,
            self.environment,
            "session.revoked",
            person.id,
            text,
            cx.now,
            false,
        )
        .await
        .map_err(db::failure)
    }
}

#[async_trait]
impl Applies<RevokeAllSessions> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &RevokeAllSessions) -> Result<Plan, Failure> {
        may_end(&cx.actor, operation.person)?;
        let person = person(&cx.db, operation.person).await?;
        let open = sessions::of_person(&cx.db, person.id, cx.now, IDLE)
            .await
            .map_err(db::failure)?;
        let summary = Text::new(keys::PLAN_SESSION_REVOKE_ALL).with("person", person.label());
        let change = Text::new(keys::PLAN_SESSION_REVOKE_ALL_CHANGE)
            .with("person", person.label())
            .with("count", open.len())
            .with("seconds", FRESH.whole_seconds());
        let mut plan = plan(summary, change, [("person", json!(person.id))]);
        // Sessions come and go; the wish is to end all of them, however many there are by then.
        plan.estimates.append(&mut plan.changes);
        Ok(plan)
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RevokeAllSessions,
    ) -> Result<u64, Failure> {
        may_end(&cx.actor, operation.person)?;
        let person = person(&mut *db, operation.person).await?;
        let ended = sessions::revoke_all(&mut *db, person.id, cx.now)
            .await
            .map_err(db::failure)?;
        let text = Text::new(keys::EVENT_SESSIONS_REVOKED)
            .with("person", &person.name)
            .with("count", ended);
        record::event(
            db,
            self.environment,
            "session.revoked",
            person.id,
            text,
            cx.now,
            true,
        )
        .await
        .map_err(db::failure)?;
        Ok(ended)
    }
}
