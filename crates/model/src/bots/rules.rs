//! Rules: what is to be done with what a bot receives.

use super::bot_target;
use crate::access::Permission;
use crate::region::RegionId;
use crate::text::{Text, keys};
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

mod form;

pub use form::{FORM_ACTIONS, RuleForm};

/// Stored updates that a rule is tried on at most.
pub const TRIAL_MOST: u32 = 1_000;
/// Updates that a trial shows of those that match.
pub const TRIAL_SAMPLES: usize = 10;

/// A part of the day, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DayPart {
    /// Minute of the day with which it begins, 0 to 1439.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1439)))]
    pub from: u16,
    /// Minute of the day before which it ends; not behind `from` means on the next day.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1439)))]
    pub until: u16,
}

impl DayPart {
    /// Whether a minute of the day lies in it.
    pub fn holds(self, minute: u16) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }

    fn words(self) -> String {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        format!("{}–{}", clock(self.from), clock(self.until))
    }
}

/// Which updates a rule is about: all of its conditions hold. An empty list holds for every update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RuleMatch {
    /// Names of kinds, as Telegram calls them; one that nobody knows yet is allowed.
    pub kinds: Vec<String>,
    /// Numbers of chats.
    pub chats: Vec<i64>,
    /// Numbers of senders.
    pub senders: Vec<i64>,
    /// The text or caption contains this, in whatever case.
    pub contains: Option<String>,
    /// The text or caption matches this regular expression. It takes time in proportion to the text, whatever it says.
    pub pattern: Option<String>,
    /// Languages of senders' programs: `pt` holds for `pt-BR` too.
    pub languages: Vec<String>,
    /// Kinds of media, as Telegram's fields are called: `photo`, `voice`.
    pub media: Vec<String>,
    /// When the message was written.
    pub hours: Option<DayPart>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum RuleAction {
    /// Nothing more is done with the update. It stays stored, marked as dropped.
    Drop,
    /// Marks the update.
    Tag {
        /// The mark.
        tag: String,
    },
    /// Forwards the message to another chat.
    Forward {
        /// The chat's number.
        to: i64,
    },
    /// Answers in the chat; never a bot.
    Reply {
        /// Text with places `{text}`, `{kind}`, `{chat}`, `{sender}`, `{update}`, and `{1}` to `{9}` for the groups of the pattern.
        template: String,
        /// Whether the answer quotes the message.
        #[serde(default)]
        quote: bool,
    },
    /// Answers in the chat with a text of the catalogues, in the sender's language; never a bot.
    Say {
        /// The text's key, `order.shipped`. Its places are those of `reply`.
        key: String,
        /// Whether the answer quotes the message.
        #[serde(default)]
        quote: bool,
    },
    /// Another bot of the same region says it in a chat of its own.
    Relay {
        /// The other bot's number.
        bot: i64,
        /// The chat's number, as that bot knows it.
        chat: i64,
        /// As of `reply`.
        template: String,
    },
    /// Posts the update to an address of the configuration (`[[webhooks]]`), signed, until it is taken.
    Deliver {
        /// The address's name.
        to: String,
    },
    /// Answers a pressed button, so that it stops turning.
    Answer {
        /// As of `reply`, 200 characters at most; nothing shows no words.
        #[serde(default)]
        template: String,
    },
}

/// A rule, but for its number, place and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleInput {
    /// For people.
    pub title: String,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Whether the rules behind it are left out when it matches.
    #[serde(default)]
    pub stops: bool,
    /// Which updates it is about.
    #[serde(default)]
    pub matches: RuleMatch,
    /// What it does, in this order.
    pub actions: Vec<RuleAction>,
}

impl RuleInput {
    /// What it says, a line each, for pages and plans.
    pub fn lines(&self) -> Vec<Text> {
        let matches = &self.matches;
        let mut lines = Vec::new();
        let list = |lines: &mut Vec<Text>, key, all: Vec<String>| {
            if !all.is_empty() {
                lines.push(Text::new(key).with("list", all.join(", ")));
            }
        };
        let numbers = |all: &[i64]| all.iter().map(ToString::to_string).collect();
        list(&mut lines, keys::RULE_WHEN_KINDS, matches.kinds.clone());
        list(&mut lines, keys::RULE_WHEN_CHATS, numbers(&matches.chats));
        list(&mut lines, keys::RULE_WHEN_SENDERS, numbers(&matches.senders));
        if let Some(words) = &matches.contains {
            lines.push(Text::new(keys::RULE_WHEN_CONTAINS).with("text", words));
        }
        if let Some(pattern) = &matches.pattern {
            lines.push(Text::new(keys::RULE_WHEN_PATTERN).with("pattern", pattern));
        }
        list(&mut lines, keys::RULE_WHEN_LANGUAGES, matches.languages.clone());
        list(&mut lines, keys::RULE_WHEN_MEDIA, matches.media.clone());
        if let Some(hours) = matches.hours {
            lines.push(Text::new(keys::RULE_WHEN_HOURS).with("hours", hours.words()));
        }
        if lines.is_empty() {
            lines.push(Text::new(keys::RULE_WHEN_ANY));
        }
        lines.extend(self.actions.iter().map(|action| {
            match action {
                RuleAction::Drop => Text::new(keys::RULE_DOES_DROP),
                RuleAction::Tag { tag } => Text::new(keys::RULE_DOES_TAG).with("tag", tag),
                RuleAction::Forward { to } => Text::new(keys::RULE_DOES_FORWARD).with("chat", to.to_string()),
                RuleAction::Reply {
                    template,
                    quote: false,
                } => Text::new(keys::RULE_DOES_REPLY).with("text", template),
                RuleAction::Reply { template, .. } => Text::new(keys::RULE_DOES_QUOTE).with("text", template),
                RuleAction::Say { key, quote: false } => Text::new(keys::RULE_DOES_SAY).with("key", key),
                RuleAction::Say { key, .. } => Text::new(keys::RULE_DOES_SAY_QUOTE).with("key", key),
                RuleAction::Relay { bot, chat, template } => Text::new(keys::RULE_DOES_RELAY)
                    .with("bot", bot.to_string())
                    .with("chat", chat.to_string())
                    .with("text", template),
                RuleAction::Deliver { to } => Text::new(keys::RULE_DOES_DELIVER).with("to", to),
                RuleAction::Answer { template } => Text::new(keys::RULE_DOES_ANSWER).with("text", template),
            }
        }));
        if self.stops {
            lines.push(Text::new(keys::RULE_STOPS));
        }
        if !self.enabled {
            lines.push(Text::new(keys::RULE_OFF));
        }
        lines
    }
}

/// A rule as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleView {
    /// Its number.
    pub rule: i64,
    /// Grows with every change; each effect names the version that made it.
    pub version: i32,
    /// What it says.
    pub says: RuleInput,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub changed_at: OffsetDateTime,
}

/// `rules.list`: a bot's rules in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListRules {
    /// The bot's number.
    pub bot: i64,
}

/// The rules of a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RulesView {
    /// Name of the bot, without the @.
    pub username: String,
    /// Where it lives.
    pub region: RegionId,
    /// In their order.
    pub rules: Vec<RuleView>,
}

impl Query for ListRules {
    const KIND: &'static str = "rules.list";
    const PERMISSION: Permission = Permission::BotsView;
    const EXAMPLE: &'static str = r#"{"bot":700000001}"#;
    type Answer = RulesView;
}

/// `rules.versions`: what a rule said, newest first; also of one that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListRuleVersions {
    /// The bot's number.
    pub bot: i64,
    /// The rule's number.
    pub rule: i64,
}

impl Query for ListRuleVersions {
    const KIND: &'static str = "rules.versions";
    const PERMISSION: Permission = Permission::BotsView;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"rule":1}"#;
    type Answer = Vec<RuleView>;
}

/// `rules.try`: what a rule would have done with the newest stored updates. It changes nothing. Whoever may ask can find out by it what
/// messages say, so each asking is audited as a reading of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TryRule {
    /// The bot's number.
    pub bot: i64,
    /// The rule; it is tried whether or not it is switched on.
    pub rule: RuleInput,
    /// On how many updates.
    #[serde(default = "usual_trial")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = TRIAL_MOST)))]
    pub most: u32,
}

const fn usual_trial() -> u32 {
    TRIAL_MOST
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trial {
    /// Updates that were read.
    pub looked: u32,
    /// Updates that cannot be read any more, because their keys were destroyed.
    pub unreadable: u32,
    /// Those that the rule is about.
    pub matched: u32,
    /// When the oldest of those that were read was stored.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub since: Option<OffsetDateTime>,
    /// The newest that match, [`TRIAL_SAMPLES`] at most.
    pub samples: Vec<TrialSample>,
}

/// An update that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrialSample {
    /// Telegram's number of it.
    pub update: i64,
    /// When it was stored.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub received_at: OffsetDateTime,
    /// Its kind.
    pub kind: String,
    /// What would have come of it: names of methods, `drop`, `tag`.
    pub effects: Vec<String>,
}

impl Query for TryRule {
    const KIND: &'static str = "rules.try";
    const PERMISSION: Permission = Permission::BotsManage;
    const PERSONAL_DATA: bool = true;
    const EXAMPLE: &'static str = r#"{"bot":700000001,"rule":{"title":"Greets","enabled":true,"matches":{"contains":"hello"},"actions":[{"do":"reply","template":"Hello!"}]},"most":200}"#;
    type Answer = Trial;
}

/// `rule.write`: a new rule at the end, or another version of one. It is asked from the next update on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WriteRule {
    /// The bot's number.
    pub bot: i64,
    /// The region that it lives in.
    pub region: RegionId,
    /// The rule's number; 0 for a new one.
    #[serde(default)]
    pub rule: i64,
    /// The version that was looked at; 0 for a new one.
    #[serde(default)]
    pub version: i32,
    /// What it says from now on.
    pub says: RuleInput,
}

/// Which rule, and its version now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleOutcome {
    /// The rule's number.
    pub rule: i64,
    /// Its version.
    pub version: i32,
}

impl Operation for WriteRule {
    const KIND: &'static str = "rule.write";
    const EXAMPLE: &'static str = r#"{"bot":700000001,"region":"eu-west-1","says":{"title":"Greets","enabled":true,"matches":{"contains":"hello"},"actions":[{"do":"reply","template":"Hello!"}]}}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = RuleOutcome;

    fn target(&self) -> Target {
        bot_target(self.bot, &self.region)
    }
}

/// `rule.remove`: the rule is not asked any more. What it did and what it said stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoveRule {
    /// The bot's number.
    pub bot: i64,
    /// The region that it lives in.
    pub region: RegionId,
    /// The rule's number.
    pub rule: i64,
    /// The version that was looked at.
    pub version: i32,
}

impl Operation for RemoveRule {
    const KIND: &'static str = "rule.remove";
    const EXAMPLE: &'static str = r#"{"bot":700000001,"region":"eu-west-1","rule":1,"version":1}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = ();

    fn target(&self) -> Target {
        bot_target(self.bot, &self.region)
    }
}

/// `rule.order`: the order in which a bot's rules are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OrderRules {
    /// The bot's number.
    pub bot: i64,
    /// The region that it lives in.
    pub region: RegionId,
    /// All of its rules' numbers.
    pub rules: Vec<i64>,
}

impl Operation for OrderRules {
    const KIND: &'static str = "rule.order";
    const EXAMPLE: &'static str = r#"{"bot":700000001,"region":"eu-west-1","rules":[2,1]}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = ();

    fn target(&self) -> Target {
        bot_target(self.bot, &self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_day_may_cross_midnight() {
        let day = DayPart {
            from: 480,
            until: 1_080,
        };
        let night = DayPart {
            from: 1_320,
            until: 360,
        };
        assert!(day.holds(480) && day.holds(1_079) && !day.holds(1_080) && !day.holds(0));
        assert!(night.holds(1_320) && night.holds(0) && night.holds(359) && !night.holds(360));
        assert_eq!(night.words(), "22:00–06:00");
    }
}
