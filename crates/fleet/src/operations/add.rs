//! A bot comes in by its token, which nobody reads again.

use super::{CHECK, STORE, facts, not_stored};
use crate::tokens::{get_me, info};
use crate::{Room, away, store};
use async_trait::async_trait;
use bagua_bots::catalogue;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::AddBot;
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_telegram::{Client, Me};
use serde_json::json;

impl Room {
    async fn adding(&self, operation: &AddBot) -> Result<Client, Failure> {
        let base = &self.server(&operation.server)?.base;
        let token = self.open_input(&operation.token, base).await?;
        Ok(self.client_of(base.clone(), token))
    }

    /// Where it shall run, its home first.
    fn placed(&self, operation: &AddBot) -> Result<Vec<RegionId>, Failure> {
        self.order(
            operation.home.as_ref().unwrap_or(&operation.region),
            &operation.standby,
        )
    }

    /// A bot lives in one region: two would take each other's updates away.
    async fn refuse_elsewhere(&self, operation: &AddBot) -> Result<(), Failure> {
        let bot = operation.token.bot();
        for cell in &self.config.cells {
            let found = store::bot(&cell.pool, bot).await;
            if let Some(row) = found.map_err(|error| away(&cell.region, &error))? {
                let text = Text::new(keys::BOT_THERE).with("bot", row.username);
                return Err(Failure::field("token", text));
            }
        }
        Ok(())
    }
}

/// The name by which it is known; every bot has one.
fn name(me: &Me) -> String {
    let name = me.username.clone().filter(|name| !name.is_empty());
    name.unwrap_or_else(|| me.id.to_string())
}

#[async_trait]
impl Handles<AddBot> for Room {
    async fn conceal(&self, _: &PlanContext, operation: AddBot) -> Result<AddBot, Failure> {
        let base = &self.server(&operation.server)?.base;
        let token = self.conceal_token(&operation.token, base).await?;
        Ok(AddBot { token, ..operation })
    }

    async fn plan(&self, _: &PlanContext, operation: &AddBot) -> Result<Plan, Failure> {
        self.cell(&operation.region)?;
        let order = self.placed(operation)?;
        self.refuse_elsewhere(operation).await?;
        let client = self.adding(operation).await?;
        let me = get_me(&client).await?;
        let info = info(&client).await?;
        let server = self.server(&operation.server)?;
        let bot = format!("@{}", name(&me));
        let mut warnings = Vec::new();
        if !info.url.is_empty() {
            warnings.push(Text::new(keys::PLAN_BOT_ADD_WEBHOOK).with("bot", &bot));
        }
        if server.simulator {
            warnings.push(Text::new(keys::PLAN_BOT_ADD_SIMULATOR).with("server", &server.name));
        }
        if server.base.is_in_clear() && !server.simulator {
            warnings.push(Text::new(keys::PLAN_BOT_ADD_CLEAR).with("server", &server.name));
        }
        let mut changes = vec![
            Text::new(keys::PLAN_BOT_ADD_STORED)
                .with("bot", &bot)
                .with("region", format!("@region.{}", operation.region)),
            Text::new(keys::PLAN_BOT_ADD_POLLS)
                .with("bot", &bot)
                .with("server", &server.name),
        ];
        if order[0] != operation.region {
            let text = Text::new(keys::UI_BOTS_PLACE_STANDS_IN);
            changes.push(text.with("region", format!("@region.{}", order[0])));
        }
        if order.len() > 1 {
            changes.push(Self::standing_by(&order));
        }
        Ok(Plan {
            summary: Text::new(keys::PLAN_BOT_ADD).with("bot", &bot),
            changes,
            facts: facts([
                ("bot", json!(me.id)),
                ("username", json!(me.username)),
                ("region", json!(operation.region)),
                ("order", json!(order)),
                ("server", json!(server.base.to_string())),
            ]),
            estimates: vec![Text::new(keys::PLAN_BOT_PENDING).with("n", info.pending_update_count)],
            warnings,
            steps: vec![CHECK.to_owned(), STORE.to_owned()],
            approval: None,
        })
    }

    async fn run(&self, cx: &mut RunContext, operation: &AddBot) -> Result<String, StepFailure> {
        let (region, bot) = (&operation.region, operation.token.bot());
        let username: String = cx
            .effect(
                CHECK,
                || async { Ok(None) },
                || async { Ok(name(&get_me(&self.adding(operation).await?).await?)) },
            )
            .await?;
        let pool = self.cell(region)?;
        cx.effect(
            STORE,
            // The target's key keeps others from adding it meanwhile, so whoever is there is ours.
            || async {
                let found = store::bot(pool, bot).await;
                Ok(found.map_err(|error| away(region, &error))?.map(|_| ()))
            },
            || async {
                self.refuse_elsewhere(operation).await?;
                let base = &self.server(&operation.server)?.base;
                let token = self.open_input(&operation.token, base).await?;
                let order = Self::written(region, &self.placed(operation)?);
                let added = catalogue::add(pool, self.keys()?, &token, base, &username, &order).await;
                added.map(drop).map_err(|error| not_stored(region, bot, error))
            },
        )
        .await?;
        self.tell(region);
        Ok(username)
    }
}
