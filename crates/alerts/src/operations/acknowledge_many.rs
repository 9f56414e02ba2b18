//! Many alerts acknowledged in one operation.

use super::acknowledge::check_words;
use super::name_of;
use crate::filter::Filter;
use crate::queries::no_such_alert;
use crate::snapshot::Sight;
use crate::{Alerts, TOPIC, about, store};
use async_trait::async_trait;
use bagua_core::events::{self, NewEvent};
use bagua_core::{Applies, PlanContext};
use bagua_model::alerts::{AcknowledgeAlerts, AcknowledgedMany, Acknowledgement, AlertState, AlertView};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::region::{RegionId, Scope};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Operation, Target};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Alerts of one operation.
const MOST: usize = 5_000;
/// Rules that a plan names.
const RULES: usize = 10;

/// What an operation is about.
struct Meant {
    firing: Vec<AlertView>,
    ended: usize,
}

#[async_trait]
impl Applies<AcknowledgeAlerts> for Alerts {
    /// The region that all of them have, or everywhere: that is where the permission is checked.
    async fn locate(&self, cx: &PlanContext, operation: &AcknowledgeAlerts) -> Result<Target, Failure> {
        let target = operation.target();
        if operation.region.is_some() {
            return Ok(target);
        }
        let meant = self.meant(cx, operation).await?;
        if meant.firing.is_empty() && !cx.actor.granted(AcknowledgeAlerts::PERMISSION).is_empty() {
            // They are in no region, so it is no question of rights: nothing is left to be acknowledged.
            return Err(all_ended(meant.ended));
        }
        let regions: BTreeSet<Option<&str>> = meant
            .firing
            .iter()
            .map(|v| v.region.as_ref().map(RegionId::as_str))
            .collect();
        let mut regions = regions.into_iter();
        let region = match (regions.next(), regions.next()) {
            (Some(Some(only)), None) => Some(RegionId::new(only)),
            _ => None,
        };
        let scope = Scope {
            environment: None,
            region,
        };
        Ok(Target { scope, ..target })
    }

    async fn plan(&self, cx: &PlanContext, operation: &AcknowledgeAlerts) -> Result<Plan, Failure> {
        check_words(&operation.note, operation.minutes)?;
        let meant = self.meant(cx, operation).await?;
        if meant.firing.is_empty() {
            return Err(all_ended(meant.ended));
        }
        let by = name_of(&cx.actor);
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for view in &meant.firing {
            *rules.entry(&view.name).or_default() += 1;
            if let Some(owner) = view.acknowledged.as_ref().filter(|a| a.by != by) {
                *others.entry(&owner.by).or_default() += 1;
            }
        }
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), *name));
        // How many there are moves while alerts come and go, so it binds nobody: what is bound is which are meant.
        let mut estimates: Vec<Text> = rules
            .iter()
            .take(RULES)
            .map(|(name, n)| {
                Text::new(keys::ALERT_PLAN_OF_RULE)
                    .with("name", name)
                    .with("n", n)
            })
            .collect();
        if let Some(rest) = rules.len().checked_sub(RULES).filter(|n| *n > 0) {
            estimates.push(Text::new(keys::ALERT_PLAN_MORE_RULES).with("n", rest));
        }
        let mut warnings: Vec<Text> = others
            .iter()
            .map(|(previous, n)| {
                Text::new(keys::ALERT_PLAN_TAKEN_OVER)
                    .with("previous", previous)
                    .with("n", n)
            })
            .collect();
        if meant.ended > 0 {
            warnings.push(Text::new(keys::ALERT_PLAN_SKIPPED).with("n", meant.ended));
        }
        let lapses = operation
            .minutes
            .map(|m| Text::new(keys::ALERT_CHANGE_LAPSES_ALL).with("minutes", m));
        let changes = std::iter::once(Text::new(keys::ALERT_CHANGE_TAKEN_ALL).with("by", by));
        Ok(Plan {
            summary: Text::new(keys::ALERT_PLAN_ACKNOWLEDGE_MANY).with("n", meant.firing.len()),
            changes: changes.chain(lapses).collect(),
            facts: BTreeMap::from([("alerts".to_owned(), json!(operation.alerts))]),
            estimates,
            warnings,
            steps: Vec::new(),
            approval: None,
        })
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &AcknowledgeAlerts,
    ) -> Result<AcknowledgedMany, Failure> {
        check_words(&operation.note, operation.minutes)?;
        let meant = self.meant(cx, operation).await?;
        let wanted: Vec<Uuid> = meant.firing.iter().map(|v| v.alert).collect();
        let held = store::of_ids_for_update(db, &wanted)
            .await
            .map_err(bagua_core::db::failure)?;
        let firing: Vec<&AlertView> = held
            .iter()
            .map(|e| &e.view)
            .filter(|v| v.state == AlertState::Firing)
            .collect();
        let by = Acknowledgement {
            by: name_of(&cx.actor),
            at: cx.now,
            note: operation.note.trim().replace('\0', ""),
            until: operation
                .minutes
                .map(|minutes| cx.now + time::Duration::minutes(i64::from(minutes))),
        };
        let ids: Vec<Uuid> = firing.iter().map(|v| v.alert).collect();
        let ended = meant.ended + wanted.len() - ids.len();
        if ids.is_empty() {
            return Err(all_ended(ended));
        }
        let told = Text::new(keys::ALERT_EVENT_ACKNOWLEDGED_MANY)
            .with("by", &by.by)
            .with("n", ids.len());
        // One line tells the story; each alert's own line only wakes the screens that show it.
        let story = NewEvent {
            at: cx.now,
            kind: "alerts.acknowledged".to_owned(),
            topic: TOPIC.to_owned(),
            environment: Some(self.environment),
            region: operation.region.clone(),
            subject: "alerts".to_owned(),
            text: told,
            operation: None,
        };
        let each: Vec<_> = firing
            .iter()
            .map(|view| {
                let text = about(keys::ALERT_EVENT_ACKNOWLEDGED, view).with("by", &by.by);
                self.line("alert.acknowledged", view, text, cx.now)
            })
            .collect();
        let written = async {
            store::set_acknowledgement(db, &ids, Some((&by, cx.actor.person()))).await?;
            events::record_all_quiet(db, &each).await?;
            events::record(db, &story).await
        };
        written.await.map_err(bagua_core::db::failure)?;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(AcknowledgedMany {
            acknowledged: count(ids.len()),
            ended: count(ended),
        })
    }
}

impl Alerts {
    /// What an operation is about, as far as it fires, in the regions where the submitter may acknowledge. An alert
    /// that is not there, or in another region than the operation says, is answered as if there were none.
    async fn meant(&self, cx: &PlanContext, operation: &AcknowledgeAlerts) -> Result<Meant, Failure> {
        let snapshot = self.firing()?;
        let in_region = |view: &AlertView| operation.region.is_none() || view.region == operation.region;
        if let Some(matching) = &operation.matching {
            if !operation.alerts.is_empty() {
                return Err(Failure::field("alerts", Text::new(keys::ALERT_FAILURE_EITHER)));
            }
            let granted = cx.actor.granted(AcknowledgeAlerts::PERMISSION);
            let sight = Sight::of(&granted, cx.environment);
            let filter = Filter::new(matching);
            let before = operation.received_before;
            let firing: Vec<AlertView> = snapshot
                .visible(&sight)
                .filter(|v| in_region(v) && filter.lets_through(v))
                .filter(|v| before.is_none_or(|before| v.received_at < before))
                .take(MOST + 1)
                .cloned()
                .collect();
            if firing.len() > MOST {
                return Err(too_many("matching"));
            }
            return Ok(Meant { firing, ended: 0 });
        }
        let wanted: BTreeSet<Uuid> = operation.alerts.iter().copied().collect();
        if wanted.is_empty() {
            return Err(Failure::field(
                "alerts",
                Text::new(keys::ALERT_FAILURE_NONE_CHOSEN),
            ));
        }
        if wanted.len() > MOST {
            return Err(too_many("alerts"));
        }
        let rows = snapshot.rows().iter().map(|e| &e.view);
        let found: HashMap<Uuid, &AlertView> = rows
            .filter(|v| wanted.contains(&v.alert))
            .map(|v| (v.alert, v))
            .collect();
        let missing: Vec<Uuid> = wanted
            .iter()
            .copied()
            .filter(|id| !found.contains_key(id))
            .collect();
        let others = store::of_ids(&self.db, &missing)
            .await
            .map_err(bagua_core::db::failure)?;
        if others.len() < missing.len()
            || !others
                .iter()
                .map(|e| &e.view)
                .chain(found.values().copied())
                .all(in_region)
        {
            return Err(no_such_alert());
        }
        let (stored, ended): (Vec<_>, Vec<_>) = others
            .into_iter()
            .map(|e| e.view)
            .partition(|v| v.state == AlertState::Firing);
        Ok(Meant {
            firing: found.into_values().cloned().chain(stored).collect(),
            ended: ended.len(),
        })
    }
}

fn all_ended(n: usize) -> Failure {
    let text = Text::new(keys::ALERT_FAILURE_ALL_ENDED).with("n", n);
    Failure::new(FailureKind::Conflict, text)
}

fn too_many(field: &str) -> Failure {
    Failure::field(field, Text::new(keys::ALERT_FAILURE_TOO_MANY).with("most", MOST))
}
