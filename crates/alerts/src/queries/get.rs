use crate::Alerts;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::alerts::{AlertView, GetAlert};
use bagua_model::failure::Failure;

#[async_trait]
impl Answers<GetAlert> for Alerts {
    async fn answer(&self, cx: &AskContext, query: GetAlert) -> Result<AlertView, Failure> {
        Ok(self.seen(cx, query.alert).await?.view.clone())
    }
}
