//! What an operator wants to be done with what a bot receives, as a pure function from facts to effects.
//!
//! Running rules for real and trying them on stored updates go through [`RuleSet::run`] alike; only what is done with the
//! effects differs.

mod store;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use store::mark;
pub(crate) use store::migrate_chat;
pub use store::{Past, RuleStoreError, enabled, list, order, remove, save, save_for, versions, written_by};
pub use template::{PLACES, Template, TemplateError};

// What people write and what runs is one thing.
use crate::texts::Texts;
pub use bagua_model::bots::rules::{DayPart, RuleAction as Action, RuleMatch as Matches};
use bagua_model::localization::{filled, is_key};
use bagua_telegram::{Header, Kind, json};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest regular expression, in characters.
pub const LONGEST_PATTERN: usize = 1_000;
/// How large a compiled expression may be, in bytes: a short expression can mean a very large machine.
const LARGEST_PATTERN: usize = 1 << 20;
/// Telegram's limit for a message, in UTF-16 units.
const LONGEST_MESSAGE: usize = 4_096;
/// Telegram's limit for what a pressed button shows, counted in the same way.
const LONGEST_NOTE: usize = 200;
/// How many actions one rule may have.
pub const MOST_ACTIONS: usize = 10;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub id: i64,
    /// Grows with every change.
    pub version: i32,
    /// Its place in the order.
    pub position: i32,
    /// For people.
    pub title: String,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Whether the rules behind it are left out when it matches.
    pub stops: bool,
    /// Which updates it is about.
    pub matches: Matches,
    /// What it does.
    pub actions: Vec<Action>,
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The regular expression is none, or too large.
    #[error("the pattern cannot be used: {0}")]
    Pattern(String),
    /// The template of an action, counted from 0, cannot be read.
    #[error("action {}: {}", .0 + 1, .1)]
    Template(usize, #[source] TemplateError),
    /// It does nothing.
    #[error("a rule does something: drop, tag, forward, reply or answer")]
    NoAction,
    /// More than [`MOST_ACTIONS`].
    #[error("a rule has at most {MOST_ACTIONS} actions")]
    TooManyActions,
    /// An action, counted from 0, that tags without a name, forwards to a chat with the number 0, or names no bot or address.
    #[error("action {} lacks its tag or its chat", .0 + 1)]
    Incomplete(usize),
    /// A minute that no day has.
    #[error("a day has the minutes 0 to 1439")]
    Hours,
}

/// What rules may look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The update's number.
    pub update_id: i64,
    /// The name of its kind.
    pub kind: Cow<'a, str>,
    /// Where it happened.
    pub chat: Option<i64>,
    /// Who did it.
    pub sender: Option<i64>,
    /// Whether that is a bot.
    pub from_bot: bool,
    /// The message's number in its chat.
    pub message_id: Option<i64>,
    /// Text, caption, question or the data of a button.
    pub text: Option<Cow<'a, str>>,
    /// The language of the sender's program.
    pub language: Option<Cow<'a, str>>,
    /// What it carries beside text.
    pub media: Option<Cow<'a, str>>,
    /// When the message was written, in seconds of the epoch.
    pub date: Option<i64>,
    /// What a pressed button is answered with.
    pub button: Option<Cow<'a, str>>,
}

impl<'a> Facts<'a> {
    /// Reads a raw update. Whatever is odd is missing.
    pub fn read(raw: &'a [u8]) -> Facts<'a> {
        let header = Header::read(raw);
        Facts {
            update_id: header.update_id.unwrap_or_default(),
            kind: Cow::Owned(header.kind.as_ref().map_or("none", |kind| kind.name()).to_owned()),
            chat: header.chat.as_ref().map(|chat| chat.id),
            sender: header.sender.as_ref().map(|sender| sender.id),
            from_bot: header.sender.as_ref().is_some_and(|sender| sender.is_bot),
            message_id: header.message_id,
            text: header.text.map(|(_, text)| text),
            language: header.sender.and_then(|sender| sender.language_code),
            media: header.media.map(|media| Cow::Owned(media.kind.name().to_owned())),
            // An inaccessible message says 0.
            date: header.date.filter(|date| *date > 0),
            button: matches!(header.kind, Some(Kind::CallbackQuery))
                .then_some(header.query_id)
                .flatten(),
        }
    }
}

/// Of an update of the kind `my_chat_member`: what the bot is in the chat now, in Telegram's word.
pub(crate) fn membership(raw: &[u8]) -> Option<String> {
    let update = json::member(raw, "my_chat_member")?;
    let member = json::member(update, "new_chat_member")?;
    json::string(json::member(member, "status")?).map(Cow::into_owned)
}

/// One thing that comes of one update.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Of which rule.
    pub rule: i64,
    /// In which version.
    pub version: i32,
    /// Which of its actions.
    pub step: i16,
    /// What.
    pub what: What,
    /// Of a text of the catalogues: in which language it was wished, and whether it was there: `own`, `instead`, `missing`.
    pub said: Option<(String, &'static str)>,
}

/// See [`Effect`].
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The update is marked as dropped.
    Drop,
    /// The update is marked.
    Tag(String),
    /// The update is marked: the text of this key, that should be the answer, is not there.
    Unsaid(String),
    /// A call that Telegram shall see once.
    Call {
        /// The method's name.
        method: &'static str,
        /// The chat that it goes to.
        chat: i64,
        /// Its parameters without `chat_id`.
        parameters: Value,
        /// The bot that makes it, when that is another one.
        by: Option<i64>,
    },
    /// The update is posted to the address of this name.
    Deliver(String),
}

struct Compiled {
    rule: Rule,
    contains: Option<String>,
    pattern: Option<Regex>,
    templates: Vec<Option<Template>>,
}

/// Rules in their order, ready to run.
#[derive(Default)]
pub struct RuleSet {
    rules: Vec<Compiled>,
    texts: Arc<Texts>,
}

impl RuleSet {
    /// Makes rules ready, in the order in which they are given. Those that are switched off are left out.
    ///
    /// # Errors
    /// The number of the first rule that cannot be used, and why.
    pub fn new(rules: Vec<Rule>) -> Result<RuleSet, (i64, RuleError)> {
        let ready = rules
            .into_iter()
            .filter(|rule| rule.enabled)
            .map(|rule| {
                let id = rule.id;
                compile(rule).map_err(|error| (id, error))
            })
            .collect::<Result<_, _>>()?;
        Ok(RuleSet {
            rules: ready,
            texts: Arc::default(),
        })
    }

    /// From now on answers are taken from these texts.
    pub fn speak(&mut self, texts: Arc<Texts>) {
        self.texts = texts;
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What comes of an update. Depends on nothing but the rules and the facts.
    pub fn run(&self, facts: &Facts<'_>) -> Vec<Effect> {
        let small = facts.text.as_ref().map(|text| text.to_lowercase());
        let mut effects = Vec::new();
        for rule in &self.rules {
            if !rule.holds(facts, small.as_deref()) {
                continue;
            }
            let mut dropped = false;
            for (step, action) in rule.rule.actions.iter().enumerate() {
                dropped |= *action == Action::Drop;
                let said = match action {
                    Action::Say { key, .. } => {
                        let found = self.texts.say(key, facts.language.as_deref());
                        let result =
                            found.map_or("missing", |found| if found.own { "own" } else { "instead" });
                        Some((self.texts.label(facts.language.as_deref()).to_owned(), result))
                    }
                    _ => None,
                };
                if let Some(what) = rule.act(step, action, facts, &self.texts) {
                    effects.push(Effect {
                        rule: rule.rule.id,
                        version: rule.rule.version,
                        step: i16::try_from(step).unwrap_or(i16::MAX),
                        what,
                        said,
                    });
                }
            }
            if rule.rule.stops || dropped {
                break;
            }
        }
        effects
    }
}

/// Whether a rule can be used as it is.
///
/// # Errors
/// [`RuleError`].
pub fn check(rule: &Rule) -> Result<(), RuleError> {
    compile(rule.clone()).map(drop)
}

fn compile(rule: Rule) -> Result<Compiled, RuleError> {
    if rule.actions.is_empty() {
        return Err(RuleError::NoAction);
    }
    if rule.actions.len() > MOST_ACTIONS {
        return Err(RuleError::TooManyActions);
    }
    if rule
        .matches
        .hours
        .is_some_and(|hours| hours.from >= 1_440 || hours.until >= 1_440)
    {
        return Err(RuleError::Hours);
    }
    let pattern = rule.matches.pattern.as_deref().map(pattern).transpose()?;
    let mut templates = Vec::with_capacity(rule.actions.len());
    for (step, action) in rule.actions.iter().enumerate() {
        let parse = |template| Template::parse(template).map_err(|error| RuleError::Template(step, error));
        templates.push(match action {
            Action::Tag { tag } if tag.trim().is_empty() => return Err(RuleError::Incomplete(step)),
            Action::Forward { to: 0 } => return Err(RuleError::Incomplete(step)),
            Action::Say { key, .. } if !is_key(key) => return Err(RuleError::Incomplete(step)),
            Action::Deliver { to } if to.trim().is_empty() => return Err(RuleError::Incomplete(step)),
            Action::Relay { bot, chat, .. } if *bot <= 0 || *chat == 0 => {
                return Err(RuleError::Incomplete(step));
            }
            Action::Relay { template, .. } => Some(parse(template)?),
            Action::Reply { template, .. } => Some(parse(template)?),
            Action::Answer { template } if !template.trim().is_empty() => Some(parse(template)?),
            _ => None,
        });
    }
    Ok(Compiled {
        contains: rule.matches.contains.as_ref().map(|words| words.to_lowercase()),
        rule,
        pattern,
        templates,
    })
}

fn pattern(text: &str) -> Result<Regex, RuleError> {
    if text.chars().count() > LONGEST_PATTERN {
        return Err(RuleError::Pattern(format!(
            "it is longer than {LONGEST_PATTERN} characters"
        )));
    }
    RegexBuilder::new(text)
        .size_limit(LARGEST_PATTERN)
        .build()
        .map_err(|error| RuleError::Pattern(error.to_string()))
}

impl Compiled {
    fn holds(&self, facts: &Facts<'_>, small: Option<&str>) -> bool {
        let matches = &self.rule.matches;
        let among =
            |all: &[i64], one: Option<i64>| all.is_empty() || one.is_some_and(|one| all.contains(&one));
        (matches.kinds.is_empty() || matches.kinds.iter().any(|kind| *kind == facts.kind))
            && among(&matches.chats, facts.chat)
            && among(&matches.senders, facts.sender)
            && self
                .contains
                .as_ref()
                .is_none_or(|words| small.is_some_and(|text| text.contains(words.as_str())))
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| facts.text.as_ref().is_some_and(|text| pattern.is_match(text)))
            && (matches.languages.is_empty()
                || facts
                    .language
                    .as_deref()
                    .is_some_and(|spoken| matches.languages.iter().any(|tag| speaks(spoken, tag))))
            && (matches.media.is_empty()
                || facts
                    .media
                    .as_deref()
                    .is_some_and(|media| matches.media.iter().any(|name| name == media)))
            && matches
                .hours
                .is_none_or(|hours| facts.date.is_some_and(|date| hours.holds(minute_of_day(date))))
    }

    /// The words of an action, filled in; nothing when it has none.
    fn words(&self, step: usize, facts: &Facts<'_>, longest: usize) -> Option<String> {
        let captures = self
            .pattern
            .as_ref()
            .zip(facts.text.as_ref())
            .and_then(|(pattern, text)| pattern.captures(text));
        let template = self.templates.get(step)?.as_ref()?;
        let text = shorten(template.fill(facts, captures.as_ref()), longest);
        (!text.trim().is_empty()).then_some(text)
    }

    /// What a text of the catalogues may name, as templates do.
    fn values(&self, facts: &Facts<'_>) -> BTreeMap<String, String> {
        let captures = self
            .pattern
            .as_ref()
            .zip(facts.text.as_ref())
            .and_then(|(pattern, text)| pattern.captures(text));
        PLACES
            .into_iter()
            .filter_map(|name| {
                let template = Template::parse(&format!("{{{name}}}")).ok()?;
                Some((name.to_owned(), template.fill(facts, captures.as_ref())))
            })
            .collect()
    }

    /// Nothing where the action has no object: a reply without a chat, or with no words.
    fn act(&self, step: usize, action: &Action, facts: &Facts<'_>, texts: &Texts) -> Option<What> {
        match action {
            Action::Drop => Some(What::Drop),
            Action::Tag { tag } => Some(What::Tag(tag.clone())),
            Action::Forward { to } => Some(What::Call {
                method: "forwardMessage",
                chat: *to,
                parameters: serde_json::json!({ "from_chat_id": facts.chat?, "message_id": facts.message_id? }),
                by: None,
            }),
            Action::Deliver { to } => Some(What::Deliver(to.clone())),
            Action::Relay { bot, chat, .. } => Some(What::Call {
                method: "sendMessage",
                chat: *chat,
                parameters: serde_json::json!({ "text": self.words(step, facts, LONGEST_MESSAGE)? }),
                by: Some(*bot),
            }),
            // Two bots that answer each other would never end.
            Action::Reply { .. } | Action::Say { .. } if facts.from_bot => None,
            Action::Reply { quote, .. } => message(facts, self.words(step, facts, LONGEST_MESSAGE)?, *quote),
            Action::Say { key, quote } => {
                let Some(found) = texts.say(key, facts.language.as_deref()) else {
                    return Some(What::Unsaid(key.clone()));
                };
                // Catalogues refuse texts whose braces do not fit.
                let text = filled(found.text, &self.values(facts)).ok()?;
                message(facts, shorten(text, LONGEST_MESSAGE), *quote)
            }
            Action::Answer { .. } => {
                let mut parameters = serde_json::json!({ "callback_query_id": facts.button.as_ref()? });
                if let Some(text) = self.words(step, facts, LONGEST_NOTE) {
                    parameters["text"] = text.into();
                }
                Some(What::Call {
                    method: "answerCallbackQuery",
                    // A button below a message that was sent inline is in no chat that the bot knows.
                    chat: facts.chat.or(facts.sender)?,
                    parameters,
                    by: None,
                })
            }
        }
    }
}

/// A message in the chat of an update; nothing when it is in none, or when there is nothing to say.
fn message(facts: &Facts<'_>, text: String, quote: bool) -> Option<What> {
    if text.trim().is_empty() {
        return None;
    }
    let mut parameters = serde_json::json!({ "text": text });
    if let (true, Some(message)) = (quote, facts.message_id) {
        parameters["reply_parameters"] =
            serde_json::json!({ "message_id": message, "allow_sending_without_reply": true });
    }
    Some(What::Call {
        method: "sendMessage",
        chat: facts.chat?,
        parameters,
        by: None,
    })
}

/// The minute of its day in UTC; `date` in seconds of the epoch.
fn minute_of_day(date: i64) -> u16 {
    u16::try_from(date.rem_euclid(86_400) / 60).unwrap_or_default()
}

/// Whether a tag of a language covers another: `pt` covers `pt-BR`.
fn speaks(spoken: &str, tag: &str) -> bool {
    let head = spoken.get(..tag.len());
    let rest = spoken.get(tag.len()..);
    head.is_some_and(|head| head.eq_ignore_ascii_case(tag))
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Cuts a text where Telegram would refuse it.
fn shorten(mut text: String, longest: usize) -> String {
    let mut units = 0;
    let end = text.char_indices().find_map(|(at, letter)| {
        units += letter.len_utf16();
        (units > longest).then_some(at)
    });
    if let Some(end) = end {
        text.truncate(end);
    }
    text
}
