//! Texts with places to fill in: `{text}`, `{kind}`, `{chat}`, `{sender}`, `{update}`, and `{1}` to `{9}` for the groups of the
//! rule's pattern. `{{` and `}}` are braces.

use super::Facts;
use regex::Captures;

/// Why a template cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is nothing to say.
    #[error("a reply has a text")]
    Empty,
    /// A place of a name that is none.
    #[error("there is nothing to fill in for {{{0}}}; there are text, kind, chat, sender, update and 1 to 9")]
    Unknown(String),
    /// A brace without its other half.
    #[error("a brace has no other half; write {{{{ or }}}} for a brace")]
    Unclosed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Words(String),
    Text,
    Kind,
    Chat,
    Sender,
    Update,
    Group(usize),
}

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut parts = Vec::new();
        let mut words = String::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '{' | '}' if letters.peek() == Some(&letter) => {
                    letters.next();
                    words.push(letter);
                }
                '}' => return Err(TemplateError::Unclosed),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match letters.next() {
                            Some('}') => break,
                            Some(letter) => name.push(letter),
                            None => return Err(TemplateError::Unclosed),
                        }
                    }
                    if !words.is_empty() {
                        parts.push(Part::Words(std::mem::take(&mut words)));
                    }
                    parts.push(place(&name)?);
                }
                other => words.push(other),
            }
        }
        if !words.is_empty() {
            parts.push(Part::Words(words));
        }
        Ok(Template(parts))
    }

    pub(super) fn fill(&self, facts: &Facts<'_>, groups: Option<&Captures<'_>>) -> String {
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Words(words) => text.push_str(words),
                Part::Text => text.push_str(facts.text.as_deref().unwrap_or_default()),
                Part::Kind => text.push_str(&facts.kind),
                Part::Chat => text.push_str(&number(facts.chat)),
                Part::Sender => text.push_str(&number(facts.sender)),
                Part::Update => text.push_str(&facts.update_id.to_string()),
                Part::Group(group) => {
                    text.push_str(
                        groups
                            .and_then(|all| all.get(*group))
                            .map_or("", |found| found.as_str()),
                    );
                }
            }
        }
        text
    }
}

/// All names that can be filled in.
pub const PLACES: [&str; 14] = [
    "text", "kind", "chat", "sender", "update", "1", "2", "3", "4", "5", "6", "7", "8", "9",
];

fn place(name: &str) -> Result<Part, TemplateError> {
    Ok(match name {
        "text" => Part::Text,
        "kind" => Part::Kind,
        "chat" => Part::Chat,
        "sender" => Part::Sender,
        "update" => Part::Update,
        _ => match name.parse() {
            Ok(group @ 1..=9) => Part::Group(group),
            _ => return Err(TemplateError::Unknown(name.to_owned())),
        },
    })
}
