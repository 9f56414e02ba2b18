//! Updates in bulk: N updates over M chats at a rate, of several kinds.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};

use crate::bot::Bot;
use crate::clock::Millis;
use crate::update::{Draft, kept_until};

/// What to put in.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// How many updates.
    pub updates: u64,
    /// Over how many chats, in turn.
    pub chats: u64,
    /// The id of the first chat; every tenth chat is a group, with the negative id.
    pub first_chat: i64,
    /// Updates a second; as fast as possible when it is missing.
    pub per_second: Option<f64>,
    /// Shares of the kinds. Texts only when it is empty.
    pub mixture: Vec<Share>,
    /// Waits while the bot's queue holds as many, so that a long load does not overflow it; nothing means never.
    pub wait_above: Option<usize>,
    /// What the texts begin with; the number of the update follows.
    pub text: String,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            updates: 1,
            chats: 1,
            first_chat: 1000,
            per_second: None,
            mixture: Vec::new(),
            wait_above: Some(50_000),
            text: "update".to_owned(),
        }
    }
}

/// One kind of a mixture.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The kind.
    pub kind: Shape,
    /// How many of it come in a row of all kinds.
    pub of: u32,
}

/// Shapes that the generator knows.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A text.
    Message,
    /// A text that was changed.
    EditedMessage,
    /// A photo with a caption.
    Photo,
    /// A pressed button.
    CallbackQuery,
    /// A question typed in any chat.
    InlineQuery,
    /// A post in a channel.
    ChannelPost,
    /// The bot was blocked or let in.
    MyChatMember,
    /// A kind that no client knows.
    Unknown,
}

/// Makes the updates of a load.
#[derive(Clone, Debug)]
pub struct Generator {
    load: Load,
    row: Vec<Shape>,
    made: u64,
}

impl Generator {
    /// Begins at the first update.
    #[must_use]
    pub fn new(load: Load) -> Self {
        let of = |share: &Share| std::iter::repeat_n(share.kind, share.of as usize);
        let mut row: Vec<Shape> = load.mixture.iter().flat_map(of).collect();
        if row.is_empty() {
            row.push(Shape::Message);
        }
        Self { load, row, made: 0 }
    }

    /// How many are left to be made.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.load.updates.saturating_sub(self.made)
    }

    /// The next updates, `count` at most.
    pub fn take(&mut self, count: u64, now: Millis) -> Vec<Draft> {
        let count = count.min(self.left());
        (0..count).map(|_| self.one(now)).collect()
    }

    fn one(&mut self, now: Millis) -> Draft {
        let number = self.made;
        self.made += 1;
        let step = number % self.load.chats.max(1);
        let person = self.load.first_chat + i64::try_from(step).unwrap_or_default();
        let is_group = step % 10 == 9;
        let shape = self.row[usize::try_from(number % self.row.len() as u64).unwrap_or_default()];
        draft(shape, &self.load.text, number, person, is_group, now)
    }
}

fn draft(shape: Shape, text: &str, number: u64, person: i64, is_group: bool, now: Millis) -> Draft {
    let date = now / 1000;
    let (chat, kind) = if is_group {
        (-person, "group")
    } else {
        (person, "private")
    };
    let from = format!(
        r#"{{"id":{person},"is_bot":false,"first_name":"Person {person}","username":"person_{person}","language_code":"en"}}"#
    );
    let name = if is_group { "title" } else { "first_name" };
    let chat_json = format!(r#"{{"id":{chat},"type":"{kind}","{name}":"Chat {person}"}}"#);
    let head = format!(
        r#""message_id":{},"from":{from},"chat":{chat_json},"date":{date}"#,
        number + 1
    );
    let channel = -1_001_000_000_000 - person;
    let mut rest = String::with_capacity(head.len() + 320);
    // Writing to a String cannot fail.
    let _ = match shape {
        Shape::Message => write!(rest, r#""message":{{{head},"text":"{text} {number}"}}}}"#),
        Shape::EditedMessage => {
            write!(
                rest,
                r#""edited_message":{{{head},"edit_date":{date},"text":"{text} {number}"}}}}"#
            )
        }
        Shape::Photo => write!(
            rest,
            r#""message":{{{head},"photo":[{{"file_id":"S{number}","file_unique_id":"s{number}","file_size":1200,"width":90,"height":60}},{{"file_id":"L{number}","file_unique_id":"l{number}","file_size":90000,"width":1280,"height":853}}],"caption":"{text} {number}"}}}}"#
        ),
        Shape::CallbackQuery => write!(
            rest,
            r#""callback_query":{{"id":"{number}","from":{from},"message":{{"message_id":1,"chat":{chat_json},"date":{date},"text":"?"}},"chat_instance":"{person}","data":"{text} {number}"}}}}"#
        ),
        Shape::InlineQuery => write!(
            rest,
            r#""inline_query":{{"id":"{number}","from":{from},"query":"{text} {number}","offset":""}}}}"#
        ),
        Shape::ChannelPost => write!(
            rest,
            r#""channel_post":{{"message_id":{},"sender_chat":{{"id":{channel},"type":"channel","title":"C"}},"chat":{{"id":{channel},"type":"channel","title":"C"}},"date":{date},"text":"{text} {number}"}}}}"#,
            number + 1
        ),
        Shape::MyChatMember => write!(
            rest,
            r#""my_chat_member":{{"chat":{chat_json},"from":{from},"date":{date},"old_chat_member":{{"user":{{"id":1,"is_bot":true,"first_name":"B"}},"status":"member"}},"new_chat_member":{{"user":{{"id":1,"is_bot":true,"first_name":"B"}},"status":"kicked","until_date":0}}}}}}"#
        ),
        Shape::Unknown => write!(
            rest,
            r#""kind_of_tomorrow":{{"chat":{chat_json},"from":{from},"date":{date},"note":"{text} {number}"}}}}"#
        ),
    };
    let kind = match shape {
        Shape::Message | Shape::Photo => "message",
        Shape::EditedMessage => "edited_message",
        Shape::CallbackQuery => "callback_query",
        Shape::InlineQuery => "inline_query",
        Shape::ChannelPost => "channel_post",
        Shape::MyChatMember => "my_chat_member",
        Shape::Unknown => "kind_of_tomorrow",
    };
    let by_person = matches!(shape, Shape::CallbackQuery | Shape::InlineQuery);
    let order = match shape {
        Shape::CallbackQuery | Shape::InlineQuery => person,
        Shape::ChannelPost => channel,
        _ => chat,
    };
    let expires = kept_until(kind, Some(date), now);
    Draft {
        kind: kind.to_owned(),
        order,
        expires,
        query: by_person.then(|| (number.to_string(), expires)),
        rest: rest.into(),
    }
}

/// Puts a load in and ends when all of it is in.
pub async fn run(bot: &Arc<Bot>, load: Load) -> u64 {
    const PIECE: u64 = 500;
    let wait_above = load.wait_above.unwrap_or(usize::MAX);
    let rate = load.per_second.filter(|rate| *rate > 0.0);
    let mut generator = Generator::new(load);
    let mut pushed = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    while generator.left() > 0 {
        let due = match rate {
            None => PIECE,
            Some(rate) => ((started.elapsed().as_secs_f64() * rate) as u64 + 1)
                .saturating_sub(generator.made)
                .min(PIECE * 10),
        };
        if due == 0 || bot.pending() > wait_above {
            ticks.tick().await;
            continue;
        }
        let drafts = generator.take(due, bot.clock.now());
        pushed += bot.push_all(drafts) as u64;
        tokio::task::yield_now().await;
    }
    pushed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_json_and_reads_as_it_says() {
        for shape in [
            Shape::Message,
            Shape::EditedMessage,
            Shape::Photo,
            Shape::CallbackQuery,
            Shape::InlineQuery,
            Shape::ChannelPost,
            Shape::MyChatMember,
            Shape::Unknown,
        ] {
            for is_group in [false, true] {
                let made = draft(shape, "t", 7, 1009, is_group, 1_764_000_000_500);
                let json = made.with_id(5);
                let value: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
                assert_eq!(value["update_id"], 5);
                let text = std::str::from_utf8(&made.rest).expect("UTF-8");
                let read = Draft::read(&format!("{{{text}"), 1_764_000_000_500);
                assert_eq!(
                    (&read.kind, read.order, read.expires),
                    (&made.kind, made.order, made.expires),
                    "{shape:?}"
                );
                assert_eq!(read.query, made.query);
            }
        }
    }

    #[test]
    fn spreads_over_chats_and_kinds() {
        let mut generator = Generator::new(Load {
            updates: 25,
            chats: 10,
            mixture: vec![
                Share {
                    kind: Shape::Message,
                    of: 3,
                },
                Share {
                    kind: Shape::CallbackQuery,
                    of: 1,
                },
            ],
            ..Load::default()
        });
        let made = generator.take(100, 0);
        assert_eq!(made.len(), 25);
        assert_eq!(
            made.iter().filter(|draft| draft.kind == "callback_query").count(),
            6
        );
        // The tenth chat is a group; whoever presses a button there counts as a person.
        let of_the_tenth: Vec<i64> = made
            .iter()
            .map(|draft| draft.order)
            .filter(|order| order.abs() == 1009)
            .collect();
        assert_eq!(of_the_tenth, [-1009, 1009]);
        assert!(generator.take(1, 0).is_empty());
    }
}
