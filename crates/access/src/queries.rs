//! The room's questions.

use crate::Access;
use crate::sessions::IDLE;
use crate::store;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext, db};
use bagua_model::access::{ListPeople, ListSessions, Permission, PersonView, SessionView};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::region::Scope;
use bagua_model::text::{Text, keys};
use bagua_model::tokens::{ListTokens, TokenView};

/// The refusal of what a permission beyond the kind's own would allow.
pub(crate) fn forbidden(permission: Permission) -> Failure {
    let text = Text::new(keys::FAILURE_FORBIDDEN)
        .with("permission", bagua_model::access::permission_argument(permission))
        .with("scope", bagua_model::access::scope_argument(&Scope::ANY));
    Failure::new(FailureKind::Forbidden, text)
}

#[async_trait]
impl Answers<ListPeople> for Access {
    /// A reader who is trusted with a part of the world sees the people who are trusted with something in that part.
    async fn answer(&self, cx: &AskContext, _: ListPeople) -> Result<Vec<PersonView>, Failure> {
        let mut all = store::people::list(&self.db, cx.now, IDLE)
            .await
            .map_err(db::failure)?;
        let whole = Scope {
            environment: Some(cx.environment),
            region: None,
        };
        if !cx.granted.covers(&whole) {
            all.retain(|person| person.grants.iter().any(|grant| cx.granted.covers(&grant.scope)));
        }
        Ok(all)
    }
}

#[async_trait]
impl Answers<ListSessions> for Access {
    async fn answer(&self, cx: &AskContext, query: ListSessions) -> Result<Vec<SessionView>, Failure> {
        let own = cx.actor.person();
        let Some(person) = query.person.or(own) else {
            return Ok(Vec::new());
        };
        if Some(person) != own && !cx.actor.granted(Permission::PeopleRead).covers(&Scope::ANY) {
            return Err(forbidden(Permission::PeopleRead));
        }
        store::sessions::of_person(&self.db, person, cx.now, IDLE)
            .await
            .map_err(db::failure)
    }
}

#[async_trait]
impl Answers<ListTokens> for Access {
    async fn answer(&self, cx: &AskContext, query: ListTokens) -> Result<Vec<TokenView>, Failure> {
        let own = cx.actor.person();
        let person = if query.all { None } else { query.person.or(own) };
        if person.is_none() && !query.all {
            return Ok(Vec::new());
        }
        let others = person.is_none() || person != own;
        if others && !cx.actor.granted(Permission::PeopleRead).covers(&Scope::ANY) {
            return Err(forbidden(Permission::PeopleRead));
        }
        store::tokens::list(&self.db, person, None, cx.now)
            .await
            .map_err(db::failure)
    }
}
