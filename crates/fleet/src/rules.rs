//! Rules as readers see them, and trying one on what is stored.

use crate::{Room, away, store};
use async_trait::async_trait;
use bagua_bots::rules::{self, Facts, PLACES, Rule, RuleError, RuleSet, RuleStoreError, TemplateError, What};
use bagua_bots::{BotId, fleet, texts};
use bagua_core::{Answers, AskContext};
use bagua_keys::KeyError;
use bagua_model::bots::rules::{
    ListRuleVersions, ListRules, RuleAction, RuleInput, RuleView, RulesView, TRIAL_MOST, TRIAL_SAMPLES,
    Trial, TrialSample, TryRule,
};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::localization::placeholders;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest title, in characters.
const LONGEST_TITLE: usize = 120;
/// How long a trial reads; what it has read by then is its answer.
const TRIAL_TIME: Duration = Duration::from_secs(5);

/// A rule of the runtime from what somebody wrote.
pub(crate) fn written(says: &RuleInput, id: i64, version: i32, position: i32) -> Result<Rule, Failure> {
    if says.title.is_empty() || says.title.chars().count() > LONGEST_TITLE {
        let text = Text::new(keys::FIELD_RULE_TITLE).with("most", LONGEST_TITLE);
        return Err(Failure::field("title", text));
    }
    let rule = Rule {
        id,
        version,
        position,
        title: says.title.clone(),
        enabled: says.enabled,
        stops: says.stops,
        matches: says.matches.clone(),
        actions: says.actions.clone(),
    };
    rules::check(&rule).map_err(|error| refused(&error))?;
    Ok(rule)
}

/// What is wrong with a rule, at the field where it is.
pub(crate) fn refused(error: &RuleError) -> Failure {
    match error {
        RuleError::Pattern(why) => Failure::field("pattern", Text::new(keys::FIELD_PATTERN).with("why", why)),
        RuleError::Template(step, error) => Failure::field(&value_of(*step), template(error)),
        RuleError::NoAction => Failure::field("do1", Text::new(keys::FIELD_RULE_ACTION)),
        RuleError::TooManyActions => Failure::field(
            "actions",
            Text::new(keys::FIELD_RULE_ACTIONS).with("most", rules::MOST_ACTIONS),
        ),
        RuleError::Incomplete(step) => {
            Failure::field(&value_of(*step), Text::new(keys::FIELD_RULE_INCOMPLETE))
        }
        RuleError::Hours => Failure::field("from", Text::new(keys::FIELD_HOURS)),
    }
}

/// The form's field with the tag, chat or text of an action, counted from 0.
fn value_of(step: usize) -> String {
    format!("with{}", step + 1)
}

fn template(error: &TemplateError) -> Text {
    match error {
        TemplateError::Empty => Text::new(keys::FIELD_TEMPLATE_EMPTY),
        TemplateError::Unknown(name) => Text::new(keys::FIELD_TEMPLATE_UNKNOWN).with("name", name),
        TemplateError::Unclosed => Text::new(keys::FIELD_TEMPLATE_UNCLOSED),
    }
}

/// Somebody changed the rules since they were looked at.
pub(crate) fn changed() -> Failure {
    Failure::new(FailureKind::Conflict, Text::new(keys::FAILURE_RULE_CHANGED))
}

/// What is wrong with keeping one.
pub(crate) fn not_kept(region: &RegionId, error: RuleStoreError) -> Failure {
    match error {
        RuleStoreError::Rule(error) => refused(&error),
        RuleStoreError::Changed => changed(),
        RuleStoreError::Refused(why) => {
            tracing::warn!(%region, why, "a rule was not kept");
            changed()
        }
        RuleStoreError::Database(error) => away(region, &error),
    }
}

fn view(past: rules::Past) -> RuleView {
    let rule = past.rule;
    RuleView {
        rule: rule.id,
        version: rule.version,
        says: RuleInput {
            title: rule.title,
            enabled: rule.enabled,
            stops: rule.stops,
            matches: rule.matches,
            actions: rule.actions,
        },
        changed_at: past.at,
    }
}

impl Room {
    /// Whether the region has every text that a rule answers with, and a rule can fill it in.
    pub(crate) async fn has_texts(&self, region: &RegionId, says: &RuleInput) -> Result<(), Failure> {
        let mut said: Vec<(usize, &String)> = Vec::new();
        for (step, action) in says.actions.iter().enumerate() {
            if let RuleAction::Say { key, .. } = action {
                said.push((step, key));
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        let texts = texts::load(self.cell(region)?).await;
        let texts = texts.map_err(|error| away(region, &error))?;
        for (step, key) in said {
            let Some(text) = texts.reference(key) else {
                return Err(Failure::field(
                    &value_of(step),
                    Text::new(keys::FIELD_TEXT_MISSING).with("key", key),
                ));
            };
            let named = placeholders(text).unwrap_or_default();
            let unknown: Vec<&str> = named.into_iter().filter(|name| !PLACES.contains(name)).collect();
            if !unknown.is_empty() {
                let names = unknown.join(", ");
                let text = Text::new(keys::FIELD_TEXT_PLACES)
                    .with("key", key)
                    .with("names", names);
                return Err(Failure::field(&value_of(step), text));
            }
        }
        Ok(())
    }

    /// Whether what a rule reaches beside its own bot is there: other bots of the region, and addresses of the configuration.
    pub(crate) async fn has_routes(
        &self,
        region: &RegionId,
        bot: i64,
        says: &RuleInput,
    ) -> Result<(), Failure> {
        for (step, action) in says.actions.iter().enumerate() {
            match action {
                RuleAction::Relay { bot: other, .. } => {
                    let found = store::bot(self.cell(region)?, *other).await;
                    let found = found.map_err(|error| away(region, &error))?;
                    if found.is_none() || *other == bot {
                        let text = Text::new(keys::FIELD_RELAY_BOT).with("bot", other);
                        return Err(Failure::field(&value_of(step), text));
                    }
                }
                RuleAction::Deliver { to } if !self.config.webhooks.contains(to) => {
                    let names = self.config.webhooks.join(", ");
                    let text = match names.is_empty() {
                        true => Text::new(keys::FIELD_WEBHOOK_NONE),
                        false => Text::new(keys::FIELD_WEBHOOK_UNKNOWN)
                            .with("name", to)
                            .with("names", names),
                    };
                    return Err(Failure::field(&value_of(step), text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A bot's rules in their order.
    pub(crate) async fn rules(&self, region: &RegionId, bot: i64) -> Result<Vec<RuleView>, Failure> {
        let past = rules::versions(self.cell(region)?, BotId(bot), None).await;
        let past = past.map_err(|error| away(region, &error))?;
        Ok(past.into_iter().map(view).collect())
    }

    /// Runs a rule over the newest stored updates, without doing anything.
    async fn trial(&self, region: &RegionId, bot: i64, mut rule: Rule, most: u32) -> Result<Trial, Failure> {
        rule.enabled = true;
        let mut set = RuleSet::new(vec![rule]).map_err(|(_, error)| refused(&error))?;
        let texts = texts::load(self.cell(region)?).await;
        set.speak(Arc::new(texts.map_err(|error| away(region, &error))?));
        let updates = fleet::updates(self.cell(region)?, BotId(bot), None, i64::from(most)).await;
        let updates = updates.map_err(|error| away(region, &error))?;
        let begun = Instant::now();
        let mut trial = Trial {
            looked: 0,
            unreadable: 0,
            matched: 0,
            since: None,
            samples: Vec::new(),
        };
        for update in updates {
            if begun.elapsed() > TRIAL_TIME {
                break;
            }
            trial.since = Some(update.received_at);
            match update.open(self.keys()?, BotId(bot)).await {
                Ok(raw) => {
                    trial.looked += 1;
                    let effects = set.run(&Facts::read(&raw));
                    if effects.is_empty() {
                        continue;
                    }
                    trial.matched += 1;
                    if trial.samples.len() < TRIAL_SAMPLES {
                        trial.samples.push(TrialSample {
                            update: update.update_id,
                            received_at: update.received_at,
                            kind: update.kind,
                            effects: effects.into_iter().map(|effect| name(effect.what)).collect(),
                        });
                    }
                }
                Err(KeyError::Destroyed) => trial.unreadable += 1,
                Err(error) => {
                    tracing::warn!(
                        bot,
                        error = &error as &dyn std::error::Error,
                        "an update cannot be opened"
                    );
                    return Err(Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE)));
                }
            }
        }
        Ok(trial)
    }
}

fn name(what: What) -> String {
    match what {
        What::Drop => "drop".to_owned(),
        What::Tag(tag) => format!("tag {tag}"),
        What::Unsaid(key) => format!("unsaid {key}"),
        What::Call { by: Some(bot), .. } => format!("relay {bot}"),
        What::Call { method, .. } => method.to_owned(),
        What::Deliver(to) => format!("webhook {to}"),
    }
}

#[async_trait]
impl Answers<ListRules> for Room {
    async fn answer(&self, cx: &AskContext, query: ListRules) -> Result<RulesView, Failure> {
        let (region, row) = self.find(cx, query.bot).await?;
        let rules = self.rules(&region, query.bot).await?;
        Ok(RulesView {
            username: row.username,
            region,
            rules,
        })
    }
}

#[async_trait]
impl Answers<ListRuleVersions> for Room {
    async fn answer(&self, cx: &AskContext, query: ListRuleVersions) -> Result<Vec<RuleView>, Failure> {
        let (region, _) = self.find(cx, query.bot).await?;
        let past = rules::versions(self.cell(&region)?, BotId(query.bot), Some(query.rule)).await;
        let past = past.map_err(|error| away(&region, &error))?;
        if past.is_empty() {
            return Err(Failure::not_found(query.rule));
        }
        Ok(past.into_iter().map(view).collect())
    }
}

#[async_trait]
impl Answers<TryRule> for Room {
    async fn answer(&self, cx: &AskContext, query: TryRule) -> Result<Trial, Failure> {
        if !(1..=TRIAL_MOST).contains(&query.most) {
            let text = Text::new(keys::BOT_TAIL_LIMIT).with("most", TRIAL_MOST);
            return Err(Failure::field("most", text));
        }
        let rule = written(&query.rule, 0, 0, 0)?;
        let (region, _) = self.find(cx, query.bot).await?;
        self.trial(&region, query.bot, rule, query.most).await
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use bagua_model::bots::rules::{DayPart, RuleAction, RuleMatch};

    #[test]
    fn what_is_wrong_with_a_rule_is_said_at_its_field() {
        let rule = |says: fn(&mut RuleInput)| {
            let mut rule = RuleInput {
                title: "A rule".to_owned(),
                enabled: true,
                stops: false,
                matches: RuleMatch::default(),
                actions: vec![RuleAction::Drop],
            };
            says(&mut rule);
            written(&rule, 0, 0, 0).unwrap_err().fields[0].0.clone()
        };
        assert_eq!(rule(|rule| rule.title.clear()), "title");
        assert_eq!(rule(|rule| rule.actions.clear()), "do1");
        assert_eq!(
            rule(|rule| rule.matches.pattern = Some("(".to_owned())),
            "pattern"
        );
        assert_eq!(
            rule(|rule| rule.actions.push(RuleAction::Forward { to: 0 })),
            "with2"
        );
        assert_eq!(
            rule(|rule| {
                rule.actions.push(RuleAction::Answer {
                    template: "{nobody}".to_owned(),
                });
            }),
            "with2"
        );
        assert_eq!(
            rule(|rule| rule.matches.hours = Some(DayPart {
                from: 1_440,
                until: 0
            })),
            "from"
        );
    }
}
