//! The texts of bots and letters: catalogues by language and region, edited on screen, validated against English, served
//! with a language that stands in where a text is missing.

mod catalogue;
mod health;
mod operations;
mod queries;
mod store;

pub use health::{Health, Wanting};

use bagua_core::{ConsoleParts, Registry};
use bagua_model::localization::{GetMessage, ListCatalogues, ReadCatalogue, RemoveMessage, WriteMessage};
use bagua_model::region::RegionId;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The room.
pub struct Localization {
    db: PgPool,
    regions: Vec<RegionId>,
}

/// Registers everything that the room answers and does.
pub fn register(registry: &mut Registry, room: Arc<Localization>) {
    registry
        .query::<ListCatalogues>(Arc::clone(&room))
        .query::<ReadCatalogue>(Arc::clone(&room))
        .query::<GetMessage>(Arc::clone(&room))
        .immediate::<WriteMessage>(Arc::clone(&room))
        .immediate::<RemoveMessage>(room);
}

/// What is said for a key in a language somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Tag of the language.
    pub language: String,
    /// Which text.
    pub key: String,
    /// The text with its places.
    pub text: String,
}

impl Localization {
    /// What is said in each region: its own texts, and for every other key those for every region.
    ///
    /// # Errors
    /// When the control database is away.
    pub async fn said(&self) -> sqlx::Result<Vec<(RegionId, Vec<Said>)>> {
        let rows = store::all(&self.db).await?;
        let in_region = |region: &RegionId| {
            let mut said = BTreeMap::new();
            // Those for every region come first in the order of the table, and a region's own take their place.
            for row in &rows {
                if row.region.is_empty() || row.region == region.as_str() {
                    said.insert((row.language.clone(), row.key.clone()), row.text.clone());
                }
            }
            let said = said.into_iter();
            said.map(|((language, key), text)| Said { language, key, text })
                .collect()
        };
        Ok(self
            .regions
            .iter()
            .map(|region| (region.clone(), in_region(region)))
            .collect())
    }

    /// The room. Texts can be written for these regions.
    pub fn new(regions: Vec<RegionId>, parts: &ConsoleParts) -> Arc<Localization> {
        metrics::describe_counter!(
            "localization_requests_total",
            "Texts asked for, by wished language and by what came: `own`, `instead` (another language), `missing`."
        );
        Arc::new(Localization {
            db: parts.db.clone(),
            regions,
        })
    }
}
