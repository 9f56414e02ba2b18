//! How updates come, and which: written down in one step, so that its owner never works with half of it.

use super::{WAIT, WISH, about, facts, not_stored, refuse};
use crate::{Room, store};
use async_trait::async_trait;
use bagua_bots::{BotId, catalogue};
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::{BotDesired, BotMode, BotOutcome, ConfigureBot};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Operation;
use bagua_telegram::{ApiBase, Kind};
use http::Uri;
use serde_json::json;
use store::Row;

/// Ports to which Telegram's cloud pushes (documentation of `setWebhook`).
const CLOUD_PORTS: [u16; 4] = [443, 80, 88, 8443];

/// What is to be set.
struct Wanted {
    /// Nothing: it polls.
    push_to: Option<String>,
    /// In Telegram's order; empty for its usual ones.
    kinds: Vec<String>,
}

impl Wanted {
    fn is_set(&self, row: &Row) -> bool {
        let pushed = row
            .webhook_url
            .as_ref()
            .filter(|_| row.mode() == BotMode::Webhook);
        self.push_to.as_ref() == pushed && normal(&row.update_kinds).is_ok_and(|kinds| kinds == self.kinds)
    }
}

/// The kinds that Telegram sends to whoever asks for none (documentation of `getUpdates`).
fn is_usual(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::ChatMember | Kind::MessageReaction | Kind::MessageReactionCount
    )
}

/// Each kind once, in Telegram's order. All usual ones are none, so that a kind that Telegram invents comes too.
fn normal(kinds: &[String]) -> Result<Vec<String>, Failure> {
    let is_known = |name: &String| Kind::KNOWN.iter().any(|known| known.name() == name);
    if let Some(unknown) = kinds.iter().find(|name| !is_known(name)) {
        let text = Text::new(keys::BOT_KIND_UNKNOWN).with("kind", unknown);
        return Err(Failure::field("update_kinds", text));
    }
    let is_chosen = |kind: &Kind| kinds.iter().any(|name| name == kind.name());
    if Kind::KNOWN.iter().all(|kind| is_usual(kind) == is_chosen(kind)) {
        return Ok(Vec::new());
    }
    let chosen = Kind::KNOWN.iter().filter(|kind| is_chosen(kind));
    Ok(chosen.map(|kind| kind.name().to_owned()).collect())
}

/// Whether a Bot API server pushes to an address. A local one pushes anywhere; the cloud only over TLS, to four ports.
fn takes(base: &str, address: &str) -> bool {
    let cloud = ApiBase::parse(base).is_ok_and(|base| base.is_cloud());
    let Ok(url) = address.parse::<Uri>() else {
        return false;
    };
    !cloud || (url.scheme_str() == Some("https") && CLOUD_PORTS.contains(&url.port_u16().unwrap_or(443)))
}

impl Room {
    fn wanted(&self, operation: &ConfigureBot, row: &Row) -> Result<Wanted, Failure> {
        let kinds = normal(&operation.update_kinds)?;
        let push_to = match operation.mode {
            BotMode::Polling => None,
            BotMode::Webhook => Some(self.push_address(&operation.region, row)?),
        };
        Ok(Wanted { push_to, kinds })
    }

    fn push_address(&self, region: &RegionId, row: &Row) -> Result<String, Failure> {
        let place = format!("@region.{region}");
        let address = self.push_url(region, row.bot_id).ok_or_else(|| {
            let text = Text::new(keys::BOT_NO_WEBHOOK_ADDRESS).with("region", place);
            Failure::field("mode", text)
        })?;
        if !takes(&row.base_url, &address) {
            let text = Text::new(keys::BOT_WEBHOOK_ADDRESS_REFUSED).with("url", &address);
            return Err(Failure::field("mode", text));
        }
        Ok(address)
    }
}

fn outcome(row: &Row) -> BotOutcome {
    BotOutcome {
        condition: row.condition(),
        owner: row.owner.clone(),
        fence: row.fence,
    }
}

#[async_trait]
impl Handles<ConfigureBot> for Room {
    async fn plan(&self, _: &PlanContext, operation: &ConfigureBot) -> Result<Plan, Failure> {
        let region = &operation.region;
        let row = self.row(region, operation.bot).await?;
        let wanted = self.wanted(operation, &row)?;
        if wanted.is_set(&row) {
            return Err(refuse(keys::BOT_NOTHING_CHANGES, &row));
        }
        self.keys()?;
        let mut changes = Vec::new();
        let pushed = row
            .webhook_url
            .as_ref()
            .filter(|_| row.mode() == BotMode::Webhook);
        match &wanted.push_to {
            Some(url) if Some(url) != pushed => {
                changes.push(about(keys::PLAN_BOT_PUSHES, &row).with("url", url));
            }
            None if pushed.is_some() => changes.push(about(keys::PLAN_BOT_POLLS, &row)),
            _ => {}
        }
        if normal(&row.update_kinds).map_or(true, |kinds| kinds != wanted.kinds) {
            changes.push(match wanted.kinds.as_slice() {
                [] => Text::new(keys::PLAN_BOT_KINDS_USUAL),
                kinds => Text::new(keys::PLAN_BOT_KINDS).with("kinds", kinds.join(", ")),
            });
        }
        let runs = row.desired() == BotDesired::Running;
        let mut warnings = Vec::new();
        if !wanted.kinds.is_empty() {
            warnings.push(Text::new(keys::PLAN_BOT_KINDS_OTHERS));
        }
        if !runs {
            warnings.push(about(keys::PLAN_BOT_CONFIGURE_STOPPED, &row));
        }
        let steps = [Some(WISH), runs.then_some(WAIT)];
        Ok(Plan {
            summary: about(keys::PLAN_BOT_CONFIGURE, &row),
            changes,
            facts: facts([
                ("bot", json!(row.bot_id)),
                ("generation", json!(row.generation)),
                ("push_to", json!(wanted.push_to)),
                ("update_kinds", json!(wanted.kinds)),
            ]),
            estimates: self.estimates(ConfigureBot::KIND, region, &row).await,
            warnings,
            steps: steps.into_iter().flatten().map(str::to_owned).collect(),
            approval: None,
        })
    }

    async fn run(&self, cx: &mut RunContext, operation: &ConfigureBot) -> Result<BotOutcome, StepFailure> {
        let (region, bot) = (&operation.region, operation.bot);
        let pool = self.cell(region)?;
        let generation: i64 = cx
            .effect(
                WISH,
                || async {
                    let row = self.row(region, bot).await?;
                    let wanted = self.wanted(operation, &row)?;
                    Ok(wanted.is_set(&row).then_some(row.generation))
                },
                || async {
                    let row = self.row(region, bot).await?;
                    let wanted = self.wanted(operation, &row)?;
                    let push_to = wanted.push_to.as_deref();
                    catalogue::configure(pool, self.keys()?, BotId(bot), push_to, &wanted.kinds)
                        .await
                        .map_err(|error| not_stored(region, bot, error))?;
                    Ok(self.row(region, bot).await?.generation)
                },
            )
            .await?;
        let row = self.row(region, bot).await?;
        let outcome = match row.desired() {
            BotDesired::Running => self.wait_running(cx, region, bot, generation).await?,
            BotDesired::Stopped => outcome(&row),
        };
        self.tell(region);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_ones_once_each_and_all_usual_ones_are_none() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(normal(&[]).expect("none"), names(&[]));
        let odd = names(&["callback_query", "message", "message"]);
        assert_eq!(
            normal(&odd).expect("known"),
            names(&["message", "callback_query"])
        );
        let usual: Vec<String> = Kind::KNOWN
            .iter()
            .filter(|kind| is_usual(kind))
            .map(|kind| kind.name().to_owned())
            .collect();
        assert_eq!(normal(&usual).expect("known"), names(&[]));
        assert!(normal(&names(&["message", "telepathy"])).is_err());
    }

    #[test]
    fn the_cloud_takes_tls_on_four_ports_and_a_server_of_ones_own_takes_anything() {
        let cloud = ApiBase::cloud().to_string();
        for (address, taken) in [
            ("https://hooks.example.com/v1/hooks/telegram/7", true),
            ("https://hooks.example.com:8443/v1/hooks/telegram/7", true),
            ("https://hooks.example.com:3011/v1/hooks/telegram/7", false),
            ("http://hooks.example.com/v1/hooks/telegram/7", false),
            ("hooks.example.com", false),
        ] {
            assert_eq!(takes(&cloud, address), taken, "{address}");
        }
        assert!(takes(
            "http://127.0.0.1:8081",
            "http://127.0.0.1:3011/v1/hooks/telegram/7"
        ));
    }
}
