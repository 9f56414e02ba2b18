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

impl Localization {
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
