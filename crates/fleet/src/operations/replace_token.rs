//! The same bot goes on with another token; its history stays.

use super::{CHECK, STORE, WAIT, about, facts, not_stored};
use crate::tokens::get_me;
use crate::{Room, store};
use async_trait::async_trait;
use bagua_bots::catalogue;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::{BotDesired, BotOutcome, ReplaceToken};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Operation;
use bagua_telegram::{ApiBase, Client};
use serde_json::json;

impl Room {
    /// The client with the new token, which must be the same bot's.
    async fn with_new_token(&self, operation: &ReplaceToken, row: &store::Row) -> Result<Client, Failure> {
        let base = ApiBase::parse(&row.base_url).map_err(|_| Failure::internal())?;
        if operation.token.bot() != operation.bot {
            return Err(Failure::field("token", Text::new(keys::BOT_TOKEN_OTHER)));
        }
        let token = self.open_input(&operation.token, &base).await?;
        Ok(self.client_of(base, token))
    }
}

#[async_trait]
impl Handles<ReplaceToken> for Room {
    async fn conceal(&self, _: &PlanContext, operation: ReplaceToken) -> Result<ReplaceToken, Failure> {
        let row = self.row(&operation.region, operation.bot).await?;
        let base = ApiBase::parse(&row.base_url).map_err(|_| Failure::internal())?;
        let token = self.conceal_token(&operation.token, &base).await?;
        Ok(ReplaceToken { token, ..operation })
    }

    async fn plan(&self, _: &PlanContext, operation: &ReplaceToken) -> Result<Plan, Failure> {
        let region = &operation.region;
        let row = self.row(region, operation.bot).await?;
        let client = self.with_new_token(operation, &row).await?;
        let me = get_me(&client).await?;
        let runs = row.desired() == BotDesired::Running;
        let mut steps = vec![CHECK.to_owned(), STORE.to_owned()];
        if runs {
            steps.push(WAIT.to_owned());
        }
        Ok(Plan {
            summary: about(keys::PLAN_BOT_TOKEN, &row),
            changes: vec![about(keys::PLAN_BOT_TOKEN_CHANGES, &row)],
            facts: facts([
                ("bot", json!(me.id)),
                ("generation", json!(row.generation)),
                ("desired", json!(row.desired)),
            ]),
            estimates: self.estimates(ReplaceToken::KIND, region, &row).await,
            warnings: Vec::new(),
            steps,
            approval: None,
        })
    }

    async fn run(&self, cx: &mut RunContext, operation: &ReplaceToken) -> Result<BotOutcome, StepFailure> {
        let (region, bot) = (&operation.region, operation.bot);
        let row = self.row(region, bot).await?;
        let base = ApiBase::parse(&row.base_url).map_err(|_| Failure::internal())?;
        cx.effect(
            CHECK,
            || async { Ok(None) },
            || async {
                get_me(&self.with_new_token(operation, &row).await?).await?;
                Ok(())
            },
        )
        .await?;
        let generation: i64 = cx
            .effect(
                STORE,
                // Written twice it is the same token.
                || async { Ok(None) },
                || async {
                    let token = self.open_input(&operation.token, &base).await?;
                    catalogue::replace_token(self.cell(region)?, self.keys()?, &token)
                        .await
                        .map_err(|error| not_stored(region, bot, error))?;
                    Ok(self.row(region, bot).await?.generation)
                },
            )
            .await?;
        let outcome = if row.desired() == BotDesired::Running {
            self.wait_running(cx, region, bot, generation).await?
        } else {
            let row = self.row(region, bot).await?;
            BotOutcome {
                condition: row.condition(),
                owner: row.owner,
                fence: row.fence,
            }
        };
        self.tell(region);
        Ok(outcome)
    }
}
