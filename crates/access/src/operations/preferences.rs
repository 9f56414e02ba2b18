//! `preferences.zone` and `view.*`: what belongs to the person who submits, and to nobody else.

use super::{conflict, plan};
use crate::store::views;
use crate::{Access, record, zones};
use async_trait::async_trait;
use bagua_core::{Actor, Answers, Applies, AskContext, PlanContext, db};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::preferences::{
    ChooseZone, DeleteView, GetPreferences, ListViews, PreferencesView, RenameView, SaveView, SavedView,
    VIEW_ADDRESS_LIMIT, VIEW_NAME_LIMIT, VIEWS_LIMIT,
};
use bagua_model::text::{Text, keys};
use bagua_model::zone::DEFAULT_ZONE;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

/// Preferences are a person's; the command line and schedules have none.
fn owner(actor: &Actor) -> Result<Uuid, Failure> {
    actor
        .person()
        .ok_or_else(|| conflict(Text::new(keys::FAILURE_PREFERENCES_NOBODY)))
}

#[async_trait]
impl Answers<GetPreferences> for Access {
    async fn answer(&self, cx: &AskContext, _: GetPreferences) -> Result<PreferencesView, Failure> {
        let zone = match cx.actor.person() {
            Some(person) => views::zone(&self.db, person).await.map_err(db::failure)?,
            None => None,
        };
        Ok(PreferencesView {
            zone: zone.unwrap_or_else(|| DEFAULT_ZONE.to_owned()),
            zones: zones::names(),
        })
    }
}

#[async_trait]
impl Answers<ListViews> for Access {
    async fn answer(&self, cx: &AskContext, _: ListViews) -> Result<Vec<SavedView>, Failure> {
        match cx.actor.person() {
            Some(person) => views::list(&self.db, person).await.map_err(db::failure),
            None => Ok(Vec::new()),
        }
    }
}

fn known_zone(name: &str, now: OffsetDateTime) -> Result<String, Failure> {
    zones::zone(name.trim(), now)
        .map(|zone| zone.name)
        .ok_or_else(|| {
            Failure::field(
                "zone",
                Text::new(keys::FAILURE_ZONE_UNKNOWN).with("zone", name.trim()),
            )
        })
}

#[async_trait]
impl Applies<ChooseZone> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &ChooseZone) -> Result<Plan, Failure> {
        owner(&cx.actor)?;
        let zone = known_zone(&operation.zone, cx.now)?;
        let words = |key| Text::new(key).with("zone", &zone);
        Ok(plan(
            words(keys::PLAN_PREFERENCES_ZONE),
            words(keys::PLAN_PREFERENCES_ZONE_CHANGE),
            [("zone", json!(zone))],
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &ChooseZone,
    ) -> Result<(), Failure> {
        let person = owner(&cx.actor)?;
        let zone = known_zone(&operation.zone, cx.now)?;
        views::set_zone(&mut *db, person, &zone)
            .await
            .map_err(db::failure)?;
        let text = Text::new(keys::PLAN_PREFERENCES_ZONE).with("zone", &zone);
        self.tell(db, person, "preferences.changed", text, cx.now).await
    }
}

/// The name without spaces around it.
fn name(typed: &str) -> Result<&str, Failure> {
    let name = typed.trim();
    let odd = name.chars().any(char::is_control);
    if name.is_empty() || odd || name.chars().count() > VIEW_NAME_LIMIT {
        return Err(Failure::field(
            "name",
            Text::new(keys::FAILURE_VIEW_NAME).with("most", VIEW_NAME_LIMIT),
        ));
    }
    Ok(name)
}

/// A view leads to a page of this console and nowhere else.
fn address(address: &str) -> Result<&str, Failure> {
    let odd = |c: char| c == '\\' || c.is_control();
    let local = address.starts_with('/') && !address.starts_with("//") && !address.contains(odd);
    if local && address.len() <= VIEW_ADDRESS_LIMIT {
        return Ok(address);
    }
    Err(Failure::field(
        "address",
        Text::new(keys::FAILURE_VIEW_ADDRESS).with("most", VIEW_ADDRESS_LIMIT),
    ))
}

/// Of other people's views nobody learns whether they exist.
async fn found(db: impl PgExecutor<'_>, person: Uuid, view: Uuid) -> Result<SavedView, Failure> {
    let found = views::by_id(db, person, view).await.map_err(db::failure)?;
    found.ok_or_else(|| Failure::not_found(format!("view:{view}")))
}

fn planned(summary: &'static str, change: &'static str, name: &str, view: serde_json::Value) -> Plan {
    let words = |key| Text::new(key).with("name", name);
    plan(words(summary), words(change), [("view", view)])
}

fn taken(name: &str) -> Failure {
    Failure::field("name", Text::new(keys::FAILURE_VIEW_TAKEN).with("name", name))
}

impl Access {
    /// Wakes the owner's screens; nobody else's event log has to know.
    async fn tell(
        &self,
        db: &mut PgConnection,
        person: Uuid,
        kind: &str,
        text: Text,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        record::event(db, self.environment, kind, person, text, now, false)
            .await
            .map_err(db::failure)
    }
}

#[async_trait]
impl Applies<SaveView> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &SaveView) -> Result<Plan, Failure> {
        let person = owner(&cx.actor)?;
        let (name, address) = (name(&operation.name)?, address(&operation.address)?);
        let (known, count) = views::named(&cx.db, person, name).await.map_err(db::failure)?;
        if known.is_none() && count >= VIEWS_LIMIT {
            return Err(Failure::new(
                FailureKind::Conflict,
                Text::new(keys::FAILURE_VIEWS_MANY).with("most", VIEWS_LIMIT),
            ));
        }
        Ok(planned(
            keys::PLAN_VIEW_SAVE,
            keys::PLAN_VIEW_SAVE_CHANGE,
            name,
            json!(address),
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &SaveView,
    ) -> Result<Uuid, Failure> {
        let person = owner(&cx.actor)?;
        let (name, address) = (name(&operation.name)?, address(&operation.address)?);
        let view = views::save(&mut *db, person, name, address, cx.now)
            .await
            .map_err(db::failure)?;
        let text = Text::new(keys::PLAN_VIEW_SAVE).with("name", name);
        self.tell(db, person, "view.saved", text, cx.now).await?;
        Ok(view)
    }
}

#[async_trait]
impl Applies<RenameView> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &RenameView) -> Result<Plan, Failure> {
        let person = owner(&cx.actor)?;
        let name = name(&operation.name)?;
        let view = found(&cx.db, person, operation.view).await?;
        let (other, _) = views::named(&cx.db, person, name).await.map_err(db::failure)?;
        if other.is_some_and(|other| other != view.view) {
            return Err(taken(name));
        }
        let words = |key| Text::new(key).with("name", &view.name).with("new", name);
        Ok(plan(
            words(keys::PLAN_VIEW_RENAME),
            words(keys::PLAN_VIEW_RENAME_CHANGE),
            [("view", json!(view.view))],
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RenameView,
    ) -> Result<(), Failure> {
        let person = owner(&cx.actor)?;
        let name = name(&operation.name)?;
        let view = found(&mut *db, person, operation.view).await?;
        views::rename(&mut *db, person, view.view, name).await.map_err(
            |error| match db::broken_constraint(&error) {
                Some("views_name_once") => taken(name),
                _ => db::failure(error),
            },
        )?;
        let text = Text::new(keys::PLAN_VIEW_RENAME)
            .with("name", &view.name)
            .with("new", name);
        self.tell(db, person, "view.renamed", text, cx.now).await
    }
}

#[async_trait]
impl Applies<DeleteView> for Access {
    async fn plan(&self, cx: &PlanContext, operation: &DeleteView) -> Result<Plan, Failure> {
        let view = found(&cx.db, owner(&cx.actor)?, operation.view).await?;
        Ok(planned(
            keys::PLAN_VIEW_DELETE,
            keys::PLAN_VIEW_DELETE_CHANGE,
            &view.name,
            json!(view.view),
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &DeleteView,
    ) -> Result<(), Failure> {
        let person = owner(&cx.actor)?;
        let view = found(&mut *db, person, operation.view).await?;
        views::delete(&mut *db, person, view.view)
            .await
            .map_err(db::failure)?;
        let text = Text::new(keys::PLAN_VIEW_DELETE).with("name", &view.name);
        self.tell(db, person, "view.deleted", text, cx.now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_leads_to_this_console_only() {
        for ok in [
            "/",
            "/alerts?severity=critical&text=a%20b",
            "/regions/compare?sort=p95",
        ] {
            assert!(address(ok).is_ok(), "{ok}");
        }
        for bad in [
            "",
            "alerts",
            "//evil.example",
            "/\\evil",
            "https://evil.example",
            "/a\n",
        ] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
        assert!(address(&format!("/{}", "a".repeat(VIEW_ADDRESS_LIMIT))).is_err());
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(name("  Mine ").ok(), Some("Mine"));
        assert!(name("   ").is_err() && name("a\u{0}").is_err());
        assert!(name(&"界".repeat(VIEW_NAME_LIMIT)).is_ok());
        assert!(name(&"界".repeat(VIEW_NAME_LIMIT + 1)).is_err());
    }
}
