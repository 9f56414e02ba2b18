//! `alerts.pipeline`: when the always-firing alert last came all the way.

use crate::Alerts;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::alerts::{GetPipeline, PipelineView};
use bagua_model::failure::Failure;

#[async_trait]
impl Answers<GetPipeline> for Alerts {
    async fn answer(&self, _: &AskContext, _: GetPipeline) -> Result<PipelineView, Failure> {
        Ok(PipelineView {
            last_seen: self.watchdog_last_seen(),
        })
    }
}
