//! What the room answers.

use crate::catalogue::{Catalogues, some};
use crate::operations::language;
use crate::{Localization, store};
use async_trait::async_trait;
use bagua_core::{Answers, AskContext, db};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::localization::{
    CatalogueView, GetMessage, ListCatalogues, MessageView, ReadCatalogue, ServedMessage, fallbacks, filled,
};
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use metrics::counter;
use sqlx::PgExecutor;

/// All that is written, as this connection sees it: an operation reads inside its own transaction.
pub async fn catalogues(db: impl PgExecutor<'_>) -> Result<Catalogues, Failure> {
    store::all(db)
        .await
        .map(Catalogues::new)
        .map_err(bagua_core::db::failure)
}

/// A region's own texts are for those who may see the region.
fn seen(cx: &AskContext, region: Option<&RegionId>) -> Result<(), Failure> {
    let granted = cx.granted.regions(cx.environment);
    match (granted, region) {
        (Some(granted), Some(region)) if !granted.iter().any(|r| r == region.as_str()) => {
            Err(Failure::not_found(format!("region:{region}")))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Answers<ListCatalogues> for Localization {
    async fn answer(&self, cx: &AskContext, _: ListCatalogues) -> Result<Vec<CatalogueView>, Failure> {
        let seen = cx.granted.regions(cx.environment);
        let mut list = catalogues(&self.db).await?.list();
        list.retain(|view| match (&seen, &view.region) {
            (Some(seen), Some(region)) => seen.iter().any(|s| s == region.as_str()),
            _ => true,
        });
        Ok(list)
    }
}

#[async_trait]
impl Answers<ReadCatalogue> for Localization {
    async fn answer(&self, cx: &AskContext, query: ReadCatalogue) -> Result<Vec<MessageView>, Failure> {
        language(&query.language)?;
        self.known(query.region.as_ref())?;
        seen(cx, query.region.as_ref())?;
        let all = catalogues(&self.db).await?;
        Ok(all.read(
            &query.language,
            store::column(query.region.as_ref()),
            query.wanting,
        ))
    }
}

#[async_trait]
impl Answers<GetMessage> for Localization {
    async fn answer(&self, cx: &AskContext, query: GetMessage) -> Result<ServedMessage, Failure> {
        language(&query.language)?;
        self.known(query.region.as_ref())?;
        seen(cx, query.region.as_ref())?;
        let region = store::column(query.region.as_ref());
        let languages = fallbacks(&query.language);
        let rows = store::of_key(&self.db, &query.key, &languages, region)
            .await
            .map_err(db::failure)?;
        let all = Catalogues::new(rows);
        let served = all.served(&query.language, region, &query.key);
        let result = match served {
            Some(row) if row.language == query.language => "own",
            Some(_) => "instead",
            None => "missing",
        };
        counter!("localization_requests_total", "language" => query.language.clone(), "result" => result)
            .increment(1);
        let row = served.ok_or_else(|| Failure::not_found(format!("message:{}", query.key)))?;
        let text = filled(&row.text, &query.values)
            .map_err(|_| Failure::new(FailureKind::Internal, Text::new(keys::LOCALIZATION_MALFORMED)))?;
        Ok(ServedMessage {
            text,
            language: row.language.clone(),
            region: some(&row.region),
        })
    }
}
