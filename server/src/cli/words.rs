//! Reads what follows a noun and a verb: values, fields of the input, and how the answer is wanted.

use super::door::DoorArgs;
use super::kinds::{Kind, singular};
use crate::settings::ConfigArgs;
use bagua_model::silences::read_matchers;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// A noun command, read.
#[derive(Debug, Default)]
pub struct Words {
    pub door: DoorArgs,
    /// Ids and the like, without a name before them.
    pub values: Vec<String>,
    /// Fields of the input.
    pub fields: Map<String, Value>,
    pub json: bool,
    pub plan: bool,
    pub follow: bool,
    pub break_glass: bool,
    pub reason: Option<String>,
    pub hash: Option<String>,
    pub help: bool,
}

/// Fields that take several values: `--severity critical --severity warning`, or with commas.
const LISTS: [(&str, &str); 8] = [
    ("severity", "severities"),
    ("severities", "severities"),
    ("states", "states"),
    ("kinds", "kinds"),
    ("permission", "permissions"),
    ("permissions", "permissions"),
    ("silence", "silences"),
    ("silences", "silences"),
];

/// Fields that are text, whatever they look like.
const TEXTS: [&str; 9] = [
    "name", "note", "comment", "text", "actor", "target", "after", "cron", "words",
];

fn value(field: &str, text: &str) -> Value {
    if TEXTS.contains(&field) {
        return Value::String(text.to_owned());
    }
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

impl Words {
    /// Reads the words; `Err` says what is wrong with them.
    pub fn read(arguments: &[String]) -> Result<Words, String> {
        let mut words = Words::default();
        let (mut config, mut data) = (None, None);
        let mut rest = arguments.iter().peekable();
        while let Some(word) = rest.next() {
            let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
                if word == "-h" {
                    words.help = true;
                } else {
                    words.values.push(word.clone());
                }
                continue;
            };
            let (name, mut given) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            match name {
                "json" => words.json = true,
                "plan" => words.plan = true,
                "follow" => words.follow = true,
                "break-glass" => words.break_glass = true,
                "help" => words.help = true,
                "token" => {
                    return Err("A token does not belong on the command line, where every process can read it. Put it \
                                into BAGUA_TOKEN or a file that --token-file names"
                        .to_owned());
                }
                _ => {
                    if given.is_none() {
                        given = rest.next_if(|next| !next.starts_with("--")).cloned();
                    }
                    let needed = || given.clone().ok_or_else(|| format!("--{name} wants a value"));
                    match name {
                        "url" => words.door.url = Some(needed()?),
                        "token-file" => words.door.token_file = Some(PathBuf::from(needed()?)),
                        "config" => config = Some(PathBuf::from(needed()?)),
                        "data" => data = Some(PathBuf::from(needed()?)),
                        "reason" => words.reason = Some(needed()?),
                        "hash" => words.hash = Some(needed()?),
                        _ => words.field(name, given)?,
                    }
                }
            }
        }
        words.door.config = ConfigArgs::of(config, data);
        let from_environment = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        words.door.url = words.door.url.or_else(|| from_environment("BAGUA_URL"));
        words.door.token_file = words
            .door
            .token_file
            .or_else(|| from_environment("BAGUA_TOKEN_FILE").map(PathBuf::from));
        Ok(words)
    }

    fn field(&mut self, name: &str, given: Option<String>) -> Result<(), String> {
        let name = name.replace('-', "_");
        if name == "match" {
            let text = given.ok_or("--match wants a value")?;
            let matchers = read_matchers(&text).map_err(|rest| {
                format!("`{rest}` is no condition. Write it as alertname=\"GatewayDown\", region=~\"eu-.*\"")
            })?;
            self.fields.insert("matchers".to_owned(), json!(matchers));
            return Ok(());
        }
        if let Some((_, list)) = LISTS.iter().find(|(said, _)| *said == name) {
            let text = given.ok_or_else(|| format!("--{name} wants a value"))?;
            let all = self.fields.entry((*list).to_owned()).or_insert_with(|| json!([]));
            if let Value::Array(all) = all {
                all.extend(text.split(',').map(|one| json!(one.trim())));
            }
            return Ok(());
        }
        // A flag alone says yes.
        let value = given.map_or(Value::Bool(true), |text| value(&name, &text));
        self.fields.insert(name, value);
        Ok(())
    }

    /// The inputs that the words make: one, or one for each id.
    pub fn inputs(&self, noun: &str, kind: Kind) -> Result<Vec<Value>, String> {
        let mut fields = self.fields.clone();
        match kind.name {
            "token.create" => {
                if let Some(region) = fields.remove("region") {
                    fields.insert("scope".to_owned(), json!({ "region": region }));
                }
            }
            "operations.list" => {
                if let Some(state) = fields.remove("state") {
                    fields.insert("states".to_owned(), json!([state]));
                }
            }
            // A decision about another operation carries its reason itself.
            "operation.cancel" | "operation.reject" => {
                if let Some(reason) = &self.reason {
                    fields.insert("reason".to_owned(), json!(reason));
                }
            }
            _ => {}
        }
        if self.values.is_empty() {
            return Ok(vec![Value::Object(fields)]);
        }
        let field = match kind.name {
            "token.create" | "schedule.create" | "schedule.delete" | "schedule.pause" => "name",
            "person.create" => "email",
            "silence.create" | "silences.preview" => "match",
            "silence.expire" => "silences",
            "regions.region" => "region",
            "regions.component" | "regions.trends" => "component",
            name if name.ends_with(".list") || name == "regions.world" => {
                return Err(format!("`{}` is too much: a list takes no id", self.values[0]));
            }
            _ => singular(noun),
        };
        match field {
            "match" => {
                let mut all = Words {
                    fields,
                    ..Words::default()
                };
                all.field("match", Some(self.values.join(", ")))?;
                Ok(vec![Value::Object(all.fields)])
            }
            "silences" => {
                fields.insert(field.to_owned(), json!(self.values));
                Ok(vec![Value::Object(fields)])
            }
            _ => Ok(self
                .values
                .iter()
                .map(|id| {
                    let mut fields = fields.clone();
                    fields.insert(field.to_owned(), json!(id));
                    Value::Object(fields)
                })
                .collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::cli::kinds::find;

    fn inputs(line: &str) -> Result<Vec<Value>, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let kind = find(&words[0], &words[1]).unwrap();
        Words::read(&words[2..])?.inputs(&words[0], kind)
    }

    #[test]
    fn words_become_the_input_of_their_kind() {
        for (line, wanted) in [
            (
                "alerts list --severity critical,warning --limit 5",
                json!({ "severities": ["critical", "warning"], "limit": 5 }),
            ),
            ("alerts ack 1f --note 12", json!({ "alert": "1f", "note": "12" })),
            ("regions show eu-west-1", json!({ "region": "eu-west-1" })),
            (
                "components restart eu-west-1/gateway",
                json!({ "component": "eu-west-1/gateway" }),
            ),
            (
                "operations list --state running",
                json!({ "states": ["running"] }),
            ),
            (
                "operations cancel 01 --reason late",
                json!({ "operation": "01", "reason": "late" }),
            ),
            ("silences expire a b", json!({ "silences": ["a", "b"] })),
            (
                "silences create region=\"eu-west-1\" --minutes 30 --comment works",
                json!({ "matchers": [{ "label": "region", "op": "=", "value": "eu-west-1" }], "minutes": 30, "comment": "works" }),
            ),
            (
                "tokens create 7 --region eu-west-1 --access=everything",
                json!({ "name": "7", "scope": { "region": "eu-west-1" }, "access": "everything" }),
            ),
            ("tokens list --all", json!({ "all": true })),
        ] {
            assert_eq!(inputs(line), Ok(vec![wanted]), "{line}");
        }
        assert_eq!(inputs("alerts ack a b").unwrap().len(), 2, "one for each");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_sentence() {
        assert!(inputs("alerts list surplus").is_err());
        assert!(inputs("silences create region").is_err());
        assert!(inputs("alerts list --severity").is_err());
        let told = inputs("alerts list --token x").unwrap_err();
        assert!(told.contains("BAGUA_TOKEN"), "{told}");
    }
}
