//! The texts of the catalogues on their way to the regions: written in the control database, said by bots whose regions must be able to do
//! without it.

use bagua_bots::texts::Entry;
use bagua_fleet::Room as Fleet;
use bagua_localization::{Localization, Said};
use bagua_model::region::RegionId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something was written. A runner looks every two seconds.
const LOOK: Duration = Duration::from_secs(3);
/// After so many looks every region is asked, whatever was brought before.
const ROUNDS: u64 = 20;

/// Brings texts to all regions until `stop`. A region that is away goes on with those that it has, and gets the new ones when it is back.
pub async fn run(localization: Arc<Localization>, fleet: Arc<Fleet>, stop: CancellationToken) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What each region has, as far as this process brought it: a region is asked only when something was written, or when it was away.
    let mut brought: HashMap<RegionId, Vec<Entry>> = HashMap::new();
    for round in 0_u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        if round % ROUNDS == 0 {
            // A region may have been restored from a backup.
            brought.clear();
        }
        let said = match localization.said().await {
            Ok(said) => said,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the catalogues cannot be read; trying again"
                );
                continue;
            }
        };
        for (region, said) in said {
            let entries: Vec<Entry> = said.into_iter().map(entry).collect();
            if brought.get(&region) == Some(&entries) {
                continue;
            }
            match fleet.deliver(&region, &entries).await {
                Ok(changed) => {
                    if changed {
                        tracing::info!(%region, texts = entries.len(), "texts were brought to a region");
                    }
                    brought.insert(region, entries);
                }
                Err(error) => {
                    tracing::debug!(%region, error = &error as &dyn std::error::Error, "texts were not brought to a region; trying again");
                }
            }
        }
    }
}

fn entry(said: Said) -> Entry {
    Entry {
        language: said.language,
        key: said.key,
        text: said.text,
    }
}
