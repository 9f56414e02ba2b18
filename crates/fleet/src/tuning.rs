//! `bots.tuning`: what is set, and what the processes measure, read from each cell now.

use crate::Room;
use crate::config::Cell;
use async_trait::async_trait;
use bagua_bots::{presence, tuning};
use bagua_core::{Answers, AskContext};
use bagua_model::bots::tuning::{GetTuning, RegionTuning, RunnerView, Tuning};
use bagua_model::failure::Failure;
use bagua_model::region::RegionId;
use futures::future::join_all;
use std::time::Duration;
use tokio::time::timeout;

/// How long a cell may take.
const PATIENCE: Duration = Duration::from_secs(3);

async fn one(cell: &Cell) -> RegionTuning {
    let asked = async { tokio::try_join!(tuning::read(&cell.pool), presence::list(&cell.pool)) };
    let found = match timeout(PATIENCE, asked).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::debug!(region = %cell.region, error = &error as &dyn std::error::Error, "the cell does not answer");
            None
        }
        Err(_) => None,
    };
    match found {
        Some((set, runners)) => RegionTuning {
            region: cell.region.clone(),
            away: false,
            tuning: set.tuning,
            version: set.version,
            changed_at: set.changed_at,
            runners: runners
                .into_iter()
                .map(|one| RunnerView {
                    owner: one.owner,
                    region: RegionId::new(one.region),
                    since: one.since,
                    seen_at: one.seen_at,
                    figures: one.figures,
                })
                .collect(),
        },
        None => RegionTuning {
            region: cell.region.clone(),
            away: true,
            tuning: Tuning::default(),
            version: 0,
            changed_at: None,
            runners: Vec::new(),
        },
    }
}

#[async_trait]
impl Answers<GetTuning> for Room {
    async fn answer(&self, cx: &AskContext, query: GetTuning) -> Result<Vec<RegionTuning>, Failure> {
        let cells = self.config.cells.iter().filter(|cell| {
            cx.granted.reaches(cx.environment, Some(&cell.region))
                && query.region.as_ref().is_none_or(|region| cell.region == *region)
        });
        Ok(join_all(cells.map(one)).await)
    }
}
