use crate::Alerts;
use crate::snapshot::Sight;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::alerts::{AlertCount, CountAlerts};
use bagua_model::failure::Failure;

#[async_trait]
impl Answers<CountAlerts> for Alerts {
    async fn answer(&self, cx: &AskContext, _: CountAlerts) -> Result<Vec<AlertCount>, Failure> {
        Ok(self.firing()?.counts(&Sight::of(&cx.granted, cx.environment)))
    }
}
