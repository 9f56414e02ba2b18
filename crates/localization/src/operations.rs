//! Writing and removing texts.

use crate::Localization;
use crate::catalogue::differing;
use crate::queries::catalogues;
use crate::store::{self, Row};
use async_trait::async_trait;
use bagua_core::{Applies, PlanContext, db};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::localization::{
    REFERENCE, RemoveMessage, TEXT_LIMIT, WriteMessage, is_key, is_language, pieces,
};
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};

/// Refuses what is no language tag: a tag becomes a label of a metric too.
pub fn language(tag: &str) -> Result<(), Failure> {
    if is_language(tag) {
        return Ok(());
    }
    Err(Failure::field("language", Text::new(keys::FIELD_LANGUAGE)))
}

fn conflict(key: &str) -> Failure {
    Failure::new(FailureKind::Conflict, Text::new(key))
}

impl Localization {
    /// Refuses a region that this console does not look after.
    pub(crate) fn known(&self, region: Option<&RegionId>) -> Result<(), Failure> {
        match region {
            Some(region) if !self.regions.contains(region) => {
                let text = Text::new(keys::FIELD_MESSAGE_REGION).with("region", region);
                Err(Failure::field("region", text))
            }
            _ => Ok(()),
        }
    }

    /// What a writing would change, or what is wrong with it.
    async fn weigh(&self, db: impl PgExecutor<'_>, operation: &WriteMessage) -> Result<Plan, Failure> {
        let WriteMessage {
            language: tag,
            region,
            key,
            text,
            version,
        } = operation;
        language(tag)?;
        self.known(region.as_ref())?;
        if !is_key(key) {
            return Err(Failure::field("key", Text::new(keys::FIELD_MESSAGE_KEY)));
        }
        if text.trim().is_empty() || text.chars().count() > TEXT_LIMIT {
            let words = Text::new(keys::FIELD_MESSAGE_TEXT).with("most", TEXT_LIMIT);
            return Err(Failure::field("text", words));
        }
        if pieces(text).is_err() {
            return Err(Failure::field("text", Text::new(keys::LOCALIZATION_MALFORMED)));
        }
        let all = catalogues(db).await?;
        let column = store::column(region.as_ref());
        let is_reference = tag == REFERENCE && column.is_empty();
        let mut warnings = Vec::new();
        if is_reference {
            let others = all.left_behind(key, text);
            if !others.is_empty() {
                let words = Text::new(keys::PLAN_CATALOGUE_WRITE_OTHERS).with("languages", others.join(", "));
                warnings.push(words);
            }
        } else {
            let reference = all
                .get(REFERENCE, "", key)
                .ok_or_else(|| Failure::field("key", Text::new(keys::LOCALIZATION_UNKNOWN_KEY)))?;
            if let Some(fault) = differing(text, &reference.text) {
                return Err(Failure::field("text", fault));
            }
        }
        let before = all.get(tag, column, key);
        if before.map_or(0, |row| row.version) != *version {
            return Err(conflict(keys::FAILURE_MESSAGE_CHANGED));
        }
        let changes = match before {
            Some(row) => vec![
                Text::new(keys::PLAN_CATALOGUE_WRITE_BEFORE).with("text", &row.text),
                Text::new(keys::PLAN_CATALOGUE_WRITE_AFTER).with("text", text),
            ],
            None => vec![Text::new(keys::PLAN_CATALOGUE_WRITE_AFTER).with("text", text)],
        };
        Ok(plan(
            named(keys::PLAN_CATALOGUE_WRITE, tag, region.as_ref(), key),
            changes,
            warnings,
            *version,
        ))
    }
}

fn named(words: &str, language: &str, region: Option<&RegionId>, key: &str) -> Text {
    let place = match region {
        Some(region) => format!("{language}, {region}"),
        None => language.to_owned(),
    };
    Text::new(words).with("key", key).with("catalogue", place)
}

fn plan(summary: Text, changes: Vec<Text>, warnings: Vec<Text>, version: i64) -> Plan {
    Plan {
        summary,
        changes,
        facts: [("version".to_owned(), json!(version))].into(),
        estimates: Vec::new(),
        warnings,
        steps: Vec::new(),
        approval: None,
    }
}

#[async_trait]
impl Applies<WriteMessage> for Localization {
    async fn plan(&self, cx: &PlanContext, operation: &WriteMessage) -> Result<Plan, Failure> {
        self.weigh(&cx.db, operation).await
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &WriteMessage,
    ) -> Result<i64, Failure> {
        let region = store::column(operation.region.as_ref());
        let last = store::lock(db, &operation.language, region, &operation.key)
            .await
            .map_err(db::failure)?;
        // Read again under the lock: somebody may have written since the plan.
        self.weigh(&mut *db, operation).await?;
        let row = Row {
            language: operation.language.clone(),
            region: region.to_owned(),
            key: operation.key.clone(),
            text: operation.text.clone(),
            version: last + 1,
            changed_at: cx.now,
        };
        store::write(db, &row, &cx.actor.label())
            .await
            .map_err(db::failure)?;
        Ok(row.version)
    }
}

#[async_trait]
impl Applies<RemoveMessage> for Localization {
    async fn plan(&self, cx: &PlanContext, operation: &RemoveMessage) -> Result<Plan, Failure> {
        language(&operation.language)?;
        self.known(operation.region.as_ref())?;
        let all = catalogues(&cx.db).await?;
        let region = store::column(operation.region.as_ref());
        let row = all
            .get(&operation.language, region, &operation.key)
            .ok_or_else(|| Failure::not_found(format!("message:{}", operation.key)))?;
        let mut warnings = Vec::new();
        if operation.language == REFERENCE && region.is_empty() {
            warnings.push(Text::new(keys::PLAN_CATALOGUE_REMOVE_REFERENCE));
        }
        Ok(plan(
            named(
                keys::PLAN_CATALOGUE_REMOVE,
                &operation.language,
                operation.region.as_ref(),
                &operation.key,
            ),
            vec![Text::new(keys::PLAN_CATALOGUE_WRITE_BEFORE).with("text", &row.text)],
            warnings,
            row.version,
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RemoveMessage,
    ) -> Result<(), Failure> {
        let region = store::column(operation.region.as_ref());
        let last = store::lock(db, &operation.language, region, &operation.key)
            .await
            .map_err(db::failure)?;
        let place = (operation.language.as_str(), region, operation.key.as_str());
        let gone = store::remove(db, place, last + 1, cx.now, &cx.actor.label())
            .await
            .map_err(db::failure)?;
        if gone {
            Ok(())
        } else {
            Err(Failure::not_found(format!("message:{}", operation.key)))
        }
    }
}
