//! A rule as plain fields of a form, as they were typed.

use super::{DayPart, RuleAction, RuleInput, RuleMatch};
use crate::failure::{Failure, FailureKind};
use crate::text::{Text, keys};

/// Places for actions in the form; a rule may have more by the API.
pub const FORM_ACTIONS: usize = 3;

/// The form's fields. Lists are divided by commas or spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleForm {
    /// For people.
    pub title: String,
    /// Names of kinds.
    pub kinds: String,
    /// Numbers of chats.
    pub chats: String,
    /// Numbers of senders.
    pub senders: String,
    /// Part of the text.
    pub contains: String,
    /// Regular expression.
    pub pattern: String,
    /// Languages.
    pub languages: String,
    /// Kinds of media.
    pub media: String,
    /// `HH:MM`, UTC.
    pub from: String,
    /// `HH:MM`, UTC.
    pub until: String,
    /// `drop`, `tag`, `forward`, `reply`, `quote`, `say`, `say_quote`, `relay`, `deliver`, `answer`, or
    /// empty.
    pub do1: String,
    /// Tag, chat, text or address of the first action; of `relay` the bot, the chat and the text, divided by spaces.
    pub with1: String,
    /// As `do1`.
    pub do2: String,
    /// As `with1`.
    pub with2: String,
    /// As `do1`.
    pub do3: String,
    /// As `with1`.
    pub with3: String,
    /// `yes`: the rules behind it are left out.
    pub stops: String,
    /// `yes`: it is not asked.
    pub off: String,
}

impl RuleForm {
    /// The form as an address or a submission says it, by the names of its fields.
    pub fn read(said: impl Fn(&str) -> String) -> RuleForm {
        RuleForm {
            title: said("title"),
            kinds: said("kinds"),
            chats: said("chats"),
            senders: said("senders"),
            contains: said("contains"),
            pattern: said("pattern"),
            languages: said("languages"),
            media: said("media"),
            from: said("from"),
            until: said("until"),
            do1: said("do1"),
            with1: said("with1"),
            do2: said("do2"),
            with2: said("with2"),
            do3: said("do3"),
            with3: said("with3"),
            stops: said("stops"),
            off: said("off"),
        }
    }

    /// A rule in the form; nothing when the form has no place for all of it.
    pub fn of(rule: &RuleInput) -> Option<RuleForm> {
        if rule.actions.len() > FORM_ACTIONS {
            return None;
        }
        let numbers = |all: &[i64]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let matches = &rule.matches;
        let mut form = RuleForm {
            title: rule.title.clone(),
            kinds: matches.kinds.join(", "),
            chats: numbers(&matches.chats),
            senders: numbers(&matches.senders),
            contains: matches.contains.clone().unwrap_or_default(),
            pattern: matches.pattern.clone().unwrap_or_default(),
            languages: matches.languages.join(", "),
            media: matches.media.join(", "),
            from: matches.hours.map(|hours| clock(hours.from)).unwrap_or_default(),
            until: matches.hours.map(|hours| clock(hours.until)).unwrap_or_default(),
            stops: yes(rule.stops),
            off: yes(!rule.enabled),
            ..RuleForm::default()
        };
        let places = [
            (&mut form.do1, &mut form.with1),
            (&mut form.do2, &mut form.with2),
            (&mut form.do3, &mut form.with3),
        ];
        for ((name, with), action) in places.into_iter().zip(&rule.actions) {
            let (is, has) = match action {
                RuleAction::Drop => ("drop", String::new()),
                RuleAction::Tag { tag } => ("tag", tag.clone()),
                RuleAction::Forward { to } => ("forward", to.to_string()),
                RuleAction::Reply { template, quote } => {
                    (if *quote { "quote" } else { "reply" }, template.clone())
                }
                RuleAction::Say { key, quote } => (if *quote { "say_quote" } else { "say" }, key.clone()),
                RuleAction::Relay { bot, chat, template } => ("relay", format!("{bot} {chat} {template}")),
                RuleAction::Deliver { to } => ("deliver", to.clone()),
                RuleAction::Answer { template } => ("answer", template.clone()),
            };
            (*name, *with) = (is.to_owned(), has);
        }
        Some(form)
    }

    /// The actions' places: name of the field, what is chosen, name of its value's field, the value.
    pub fn actions(&self) -> [(&'static str, &str, &'static str, &str); FORM_ACTIONS] {
        [
            ("do1", &self.do1, "with1", &self.with1),
            ("do2", &self.do2, "with2", &self.with2),
            ("do3", &self.do3, "with3", &self.with3),
        ]
    }

    /// What was typed as a rule.
    ///
    /// # Errors
    /// A sentence for each field that cannot be read.
    pub fn rule(&self) -> Result<RuleInput, Failure> {
        let mut faults = Vec::new();
        let mut numbers = |name: &str, typed: &str| -> Vec<i64> {
            let read: Result<Vec<i64>, _> = words(typed).map(str::parse).collect();
            read.unwrap_or_else(|_| {
                faults.push((name.to_owned(), Text::new(keys::FIELD_NUMBERS)));
                Vec::new()
            })
        };
        let (chats, senders) = (numbers("chats", &self.chats), numbers("senders", &self.senders));
        let hours = match (self.from.trim(), self.until.trim()) {
            ("", "") => None,
            (from, until) => {
                let part = minute(from)
                    .zip(minute(until))
                    .map(|(from, until)| DayPart { from, until });
                if part.is_none() {
                    faults.push(("from".to_owned(), Text::new(keys::FIELD_HOURS)));
                }
                part
            }
        };
        let mut actions = Vec::new();
        for (_, is, place, with) in self.actions() {
            actions.extend(match is {
                "drop" => Some(RuleAction::Drop),
                "tag" => Some(RuleAction::Tag {
                    tag: with.trim().to_owned(),
                }),
                "forward" => match with.trim().parse() {
                    Ok(to) => Some(RuleAction::Forward { to }),
                    Err(_) => {
                        faults.push((place.to_owned(), Text::new(keys::FIELD_CHAT)));
                        None
                    }
                },
                "reply" | "quote" => Some(RuleAction::Reply {
                    template: with.to_owned(),
                    quote: is == "quote",
                }),
                "say" | "say_quote" => Some(RuleAction::Say {
                    key: with.trim().to_owned(),
                    quote: is == "say_quote",
                }),
                "relay" => {
                    let read = relayed(with);
                    if read.is_none() {
                        faults.push((place.to_owned(), Text::new(keys::FIELD_RELAY)));
                    }
                    read
                }
                "deliver" => Some(RuleAction::Deliver {
                    to: with.trim().to_owned(),
                }),
                "answer" => Some(RuleAction::Answer {
                    template: with.to_owned(),
                }),
                _ => None,
            });
        }
        if !faults.is_empty() {
            let mut failure = Failure::new(FailureKind::Invalid, Text::new(keys::FAILURE_INVALID));
            failure.fields = faults;
            return Err(failure);
        }
        let list = |typed: &str| words(typed).map(str::to_owned).collect();
        let some = |typed: &str| (!typed.trim().is_empty()).then(|| typed.to_owned());
        Ok(RuleInput {
            title: self.title.trim().to_owned(),
            enabled: self.off != "yes",
            stops: self.stops == "yes",
            matches: RuleMatch {
                kinds: list(&self.kinds),
                chats,
                senders,
                contains: some(&self.contains),
                pattern: some(&self.pattern),
                languages: list(&self.languages),
                media: list(&self.media),
                hours,
            },
            actions,
        })
    }
}

/// Bot, chat and text.
fn relayed(typed: &str) -> Option<RuleAction> {
    let (bot, rest) = typed.trim_start().split_once(char::is_whitespace)?;
    let (chat, template) = rest.trim_start().split_once(char::is_whitespace)?;
    Some(RuleAction::Relay {
        bot: bot.parse().ok()?,
        chat: chat.parse().ok()?,
        template: template.trim_start().to_owned(),
    })
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "" }.to_owned()
}

fn words(typed: &str) -> impl Iterator<Item = &str> {
    let parts = typed.split(|letter: char| letter.is_whitespace() || [',', '，', '、'].contains(&letter));
    parts.filter(|part| !part.is_empty())
}

/// Minute of the day of `HH:MM`.
fn minute(typed: &str) -> Option<u16> {
    let (hour, minute) = typed.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_is_typed_becomes_a_rule_and_that_rule_the_same_form() {
        let form = RuleForm {
            title: "Orders".to_owned(),
            kinds: "message, edited_message".to_owned(),
            chats: "-100200300, 5".to_owned(),
            contains: "order".to_owned(),
            from: "22:00".to_owned(),
            until: "06:30".to_owned(),
            do1: "tag".to_owned(),
            with1: "orders".to_owned(),
            do2: "quote".to_owned(),
            with2: "Thank you, {sender}".to_owned(),
            off: "yes".to_owned(),
            ..RuleForm::default()
        };
        let rule = form.rule().unwrap();
        assert_eq!(rule.matches.chats, [-100_200_300, 5]);
        assert_eq!(
            rule.matches.hours,
            Some(DayPart {
                from: 1_320,
                until: 390
            })
        );
        assert!(!rule.enabled && rule.actions.len() == 2);
        assert_eq!(RuleForm::of(&rule), Some(form));
    }

    #[test]
    fn every_field_that_cannot_be_read_is_named() {
        let form = RuleForm {
            chats: "5, five".to_owned(),
            from: "25:00".to_owned(),
            do1: "forward".to_owned(),
            with1: "@channel".to_owned(),
            ..RuleForm::default()
        };
        let failure = form.rule().unwrap_err();
        let named: Vec<&str> = failure.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["chats", "from", "with1"]);
    }

    #[test]
    fn what_another_bot_shall_say_is_its_number_a_chat_and_words() {
        let form = |with: &str| RuleForm {
            title: "r".to_owned(),
            do1: "relay".to_owned(),
            with1: with.to_owned(),
            ..RuleForm::default()
        };
        let rule = form("710000002 -100 New: {text}").rule().unwrap();
        let action = RuleAction::Relay {
            bot: 710_000_002,
            chat: -100,
            template: "New: {text}".to_owned(),
        };
        assert_eq!(rule.actions, [action]);
        assert_eq!(RuleForm::of(&rule), Some(form("710000002 -100 New: {text}")));
        for odd in [
            "",
            "710000002",
            "710000002 -100",
            "@bot -100 hello",
            "710000002 here hello",
        ] {
            assert_eq!(form(odd).rule().unwrap_err().fields[0].0, "with1", "{odd}");
        }
    }

    #[test]
    fn a_rule_with_more_actions_than_places_does_not_fit() {
        let rule = RuleInput {
            title: "many".to_owned(),
            enabled: true,
            stops: false,
            matches: RuleMatch::default(),
            actions: vec![RuleAction::Drop; FORM_ACTIONS + 1],
        };
        assert_eq!(RuleForm::of(&rule), None);
    }
}
