//! `token.create` and `token.revoke`.

use super::{conflict, person, plan};
use crate::store::{people, tokens};
use crate::token::{self, TokenHash};
use crate::{Access, email, record};
use async_trait::async_trait;
use bagua_core::{Actor, Applies, PlanContext, Through, db};
use bagua_model::access::{Permission, permission_argument, role_argument, scope_argument};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::region::Scope;
use bagua_model::text::{Text, keys};
use bagua_model::tokens::{
    CreateToken, RevokeToken, TOKEN_DAYS_MOST, TokenAccess, TokenLimit, TokenState, TokenView,
};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use time::Duration;
use uuid::Uuid;

/// Open tokens of one person: more is a program that makes tokens and loses them.
const MOST: i64 = 50;

fn hash(operation: &CreateToken) -> Result<TokenHash, Failure> {
    token::from_hex(&operation.token_hash)
        .filter(|hash| token::hex(hash) == operation.token_hash)
        .ok_or_else(|| Failure::field("token_hash", Text::new(keys::FAILURE_TOKEN_HASH)))
}

/// What is wrong with a wish, whoever has it.
fn name_of(operation: &CreateToken) -> Result<String, Failure> {
    let name = email::display_name(&operation.name, "")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Failure::field("name", Text::new(keys::FIELD_TOKEN_NAME)))?;
    if !(1..=TOKEN_DAYS_MOST).contains(&operation.days) {
        let text = Text::new(keys::FIELD_TOKEN_DAYS).with("most", TOKEN_DAYS_MOST);
        return Err(Failure::field("days", text));
    }
    let listed = operation.access == TokenAccess::Listed;
    if listed == operation.permissions.is_empty() {
        return Err(Failure::field(
            "permissions",
            Text::new(keys::FIELD_TOKEN_PERMISSIONS),
        ));
    }
    Ok(name)
}

/// The owner. The machine's own command line and schedules are no person, so they own no token.
fn owner(actor: &Actor) -> Result<Uuid, Failure> {
    actor
        .person()
        .ok_or_else(|| conflict(Text::new(keys::FAILURE_TOKEN_NO_OWNER)))
}

/// A token makes no token that may more or lives longer than itself.
fn narrower(cx: &PlanContext, operation: &CreateToken, limit: &TokenLimit) -> Result<(), Failure> {
    let Some(Through {
        limit: own,
        expires_at,
        ..
    }) = cx.actor.through()
    else {
        return Ok(());
    };
    if !own.covers(limit) {
        return Err(Failure::new(
            FailureKind::Forbidden,
            Text::new(keys::FAILURE_TOKEN_WIDER),
        ));
    }
    if cx.now + Duration::days(i64::from(operation.days)) > *expires_at {
        return Err(Failure::field("days", Text::new(keys::FAILURE_TOKEN_OUTLIVES)));
    }
    Ok(())
}

fn access_words(limit: &TokenLimit) -> String {
    format!("@token.access.{}", limit.access)
}

/// What it may do, and the permissions that it is limited to.
fn changes(name: &str, limit: &TokenLimit) -> (Text, Vec<Text>) {
    let scope = scope_argument(&limit.scope);
    let first = match limit.role {
        Some(role) => Text::new(keys::PLAN_TOKEN_CREATE_AS)
            .with("name", name)
            .with("access", access_words(limit))
            .with("role", role_argument(role))
            .with("scope", scope),
        None => Text::new(keys::PLAN_TOKEN_CREATE_CHANGE)
            .with("name", name)
            .with("access", access_words(limit))
            .with("scope", scope),
    };
    let permission = |permission: &Permission| {
        Text::new(keys::PLAN_TOKEN_CREATE_PERMISSION).with("permission", permission_argument(*permission))
    };
    (first, limit.permissions.iter().map(permission).collect())
}

#[async_trait]
impl Applies<CreateToken> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &CreateToken) -> Result<Plan, Failure> {
        let name = name_of(operation)?;
        let limit = operation.limit();
        if !operation.token_hash.is_empty() {
            hash(operation)?;
        }
        let person = person(&cx.db, owner(&cx.actor)?).await?;
        narrower(cx, operation, &limit)?;
        let summary = Text::new(keys::PLAN_TOKEN_CREATE)
            .with("name", &name)
            .with("person", person.label());
        let facts = [
            ("person", json!(person.id)),
            ("limit", json!(limit)),
            ("days", json!(operation.days)),
        ];
        let (first, rest) = changes(&name, &limit);
        let mut plan = plan(summary, first, facts);
        plan.changes.extend(rest);
        plan.changes
            .push(Text::new(keys::PLAN_TOKEN_CREATE_DAYS).with("days", operation.days));
        if limit.access == TokenAccess::Everything && limit.role.is_none() {
            plan.warnings.push(Text::new(keys::PLAN_TOKEN_CREATE_WIDE));
        }
        Ok(plan)
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &CreateToken,
    ) -> Result<String, Failure> {
        let name = name_of(operation)?;
        let (limit, hash) = (operation.limit(), hash(operation)?);
        // The same lock as for changes of people: their owner may be disabled at this very moment.
        people::lock(db).await.map_err(db::failure)?;
        let person = person(&mut *db, owner(&cx.actor)?).await?;
        if person.disabled {
            return Err(conflict(
                Text::new(keys::FAILURE_PERSON_DISABLED).with("person", person.label()),
            ));
        }
        narrower(cx, operation, &limit)?;
        if tokens::count_open(&mut *db, person.id, cx.now)
            .await
            .map_err(db::failure)?
            >= MOST
        {
            return Err(conflict(Text::new(keys::FAILURE_TOKEN_MANY).with("most", MOST)));
        }
        let new = tokens::New {
            id: operation.id(),
            hash: &hash,
            person: person.id,
            name: &name,
            limit: &limit,
            now: cx.now,
            through: cx.actor.through().map(|through| through.token.as_str()),
            expires_at: cx.now + Duration::days(i64::from(operation.days)),
        };
        tokens::insert(&mut *db, new)
            .await
            .map_err(|error| match db::broken_constraint(&error) {
                Some("api_tokens_secret_unique" | "api_tokens_pkey") => {
                    Failure::field("token_hash", Text::new(keys::FAILURE_TOKEN_USED))
                }
                _ => db::failure(error),
            })?;
        let text = Text::new(keys::EVENT_TOKEN_CREATED)
            .with("person", &person.name)
            .with("name", &name);
        record::event(
            db,
            self.environment,
            "token.created",
            person.id,
            text,
            cx.now,
            true,
        )
        .await
        .map_err(db::failure)?;
        Ok(operation.id().to_owned())
    }
}

/// The token, if the actor may end it. Of another person's tokens a stranger does not learn whether they exist.
async fn open(db: impl PgExecutor<'_>, cx: &PlanContext, id: &str) -> Result<TokenView, Failure> {
    let found = tokens::list(db, None, Some(id), cx.now)
        .await
        .map_err(db::failure)?;
    let may = |view: &TokenView| {
        cx.actor.person() == Some(view.person)
            || cx.actor.granted(Permission::PeopleManage).covers(&Scope::ANY)
    };
    let found = found
        .into_iter()
        .find(may)
        .ok_or_else(|| Failure::not_found(format!("token:{id}")))?;
    match found.state {
        TokenState::Revoked => Err(conflict(Text::new(keys::FAILURE_TOKEN_ENDED))),
        TokenState::Active | TokenState::Expired => Ok(found),
    }
}

#[async_trait]
impl Applies<RevokeToken> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &RevokeToken) -> Result<Plan, Failure> {
        let token = open(&cx.db, cx, &operation.token).await?;
        let words = |key| {
            Text::new(key)
                .with("name", &token.name)
                .with("person", &token.owner)
        };
        Ok(plan(
            words(keys::PLAN_TOKEN_REVOKE),
            words(keys::PLAN_TOKEN_REVOKE_CHANGE),
            [("token", json!(token.token))],
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RevokeToken,
    ) -> Result<u64, Failure> {
        // With the lock that making one takes: nothing is made through a token while it is being ended.
        people::lock(db).await.map_err(db::failure)?;
        let token = open(&mut *db, cx, &operation.token).await?;
        let ended = tokens::revoke(&mut *db, &token.token, &cx.actor.label(), cx.now)
            .await
            .map_err(db::failure)?;
        let text = Text::new(keys::EVENT_TOKEN_REVOKED)
            .with("person", &token.owner)
            .with("name", &token.name);
        record::event(
            db,
            self.environment,
            "token.revoked",
            token.person,
            text,
            cx.now,
            true,
        )
        .await
        .map_err(db::failure)?;
        Ok(ended)
    }
}
