//! Answers as tables for people. Programs take `--json`.

use bagua_model::text::{Locale, Text};
use comfy_table::{Table, presets};
use serde_json::{Map, Value};

/// The columns of a list, as pointers into a row; of a list that is not here, whatever is short.
fn columns(kind: &str) -> &'static [&'static str] {
    match kind {
        "alerts.list" => &[
            "/alert",
            "/severity",
            "/state",
            "/name",
            "/component",
            "/acknowledged/by",
            "/started_at",
        ],
        "operations.list" => &[
            "/operation",
            "/state",
            "/kind",
            "/target/id",
            "/submitted_by",
            "/submitted_at",
        ],
        "silences.list" => &["/silence", "/state", "/holds", "/owner", "/ends_at", "/comment"],
        "regions.world" => &["/region", "/health", "/since"],
        "components" => &["/id", "/health", "/since"],
        "audit.list" => &[
            "/at",
            "/actor",
            "/action",
            "/kind",
            "/target",
            "/result",
            "/operation",
        ],
        "tokens.list" => &[
            "/token",
            "/name",
            "/owner",
            "/limit/access",
            "/limit/role",
            "/state",
            "/last_used_at",
            "/expires_at",
        ],
        "catalogues.list" => &[
            "/language",
            "/region",
            "/messages",
            "/missing",
            "/faulty",
            "/changed_at",
        ],
        "catalogues.read" => &["/key", "/text", "/reference", "/version"],
        "access.people" => &["/person", "/name", "/email", "/last_sign_in_at", "/sessions"],
        "access.sessions" => &["/session", "/address", "/last_seen_at", "/expires_at"],
        "schedules.list" => &["/name", "/cron", "/kind", "/paused", "/next_at"],
        "events.recent" => &["/at", "/region", "/kind", "/subject", "/text"],
        _ => &[],
    }
}

/// The rows of an answer, if it is a list.
fn rows(answer: &Value) -> Option<&Vec<Value>> {
    ["", "/rows", "/page/rows", "/regions"]
        .iter()
        .find_map(|at| answer.pointer(at).and_then(Value::as_array))
}

/// A value in a cell: sentences in the reader's language, lists with commas.
fn cell(value: Option<&Value>, locale: Locale) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(all)) => {
            let all: Vec<_> = all.iter().map(|one| cell(Some(one), locale)).collect();
            all.join(", ")
        }
        Some(other) => match serde_json::from_value::<Text>(other.clone()) {
            Ok(text) => text.render(locale),
            Err(_) => other.to_string(),
        },
    }
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.contains_key("key"),
        Value::Array(all) => all.iter().all(|one| one.is_string()),
        _ => true,
    }
}

fn table(head: Vec<String>, body: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(body);
    if !head.is_empty() {
        table.set_header(head);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// The answer as a person reads it.
pub fn answer(kind: &str, answer: &Value, locale: Locale) -> String {
    let Some(rows) = rows(answer) else {
        return match answer.as_object() {
            Some(fields) => facts(fields, locale),
            None => cell(Some(answer), locale),
        };
    };
    let wanted: Vec<String> = match (columns(kind), rows.first().and_then(Value::as_object)) {
        ([], Some(first)) => first
            .iter()
            .filter(|(_, value)| is_short(value))
            .map(|(name, _)| format!("/{name}"))
            .collect(),
        (known, _) => known.iter().map(|at| (*at).to_owned()).collect(),
    };
    let head = wanted
        .iter()
        .map(|at| at.trim_matches('/').replace(['/', '_'], " ").to_uppercase())
        .collect();
    let body = rows
        .iter()
        .map(|row| wanted.iter().map(|at| cell(row.pointer(at), locale)).collect())
        .collect();
    table(head, body)
}

/// One thing, a line for each of its facts; what is a list of things comes below.
fn facts(fields: &Map<String, Value>, locale: Locale) -> String {
    let mut lines = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::Array(all) if all.is_empty() => {}
            value if is_short(value) => lines.push(vec![name.clone(), cell(Some(value), locale)]),
            Value::Object(inner) => {
                for (inside, value) in inner.iter().filter(|(_, value)| !value.is_null()) {
                    lines.push(vec![format!("{name}.{inside}"), cell(Some(value), locale)]);
                }
            }
            _ => {}
        }
    }
    let mut parts = vec![table(vec![], lines)];
    for (name, value) in fields {
        if !is_short(value) && value.is_array() {
            parts.push(format!(
                "\n{}\n{}",
                name.to_uppercase(),
                answer(name, value, locale)
            ));
        }
    }
    parts.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_has_a_line_for_each_row_and_the_readers_words() {
        let operations = json!({ "rows": [
            { "operation": "1", "state": "queued", "kind": "component.restart", "target": { "id": "a/b" }, "submitted_by": "魏", "submitted_at": "now" },
        ], "next": null });
        let shown = answer("operations.list", &operations, Locale::English);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 2, "{shown}");
        assert!(
            lines[0].contains("TARGET ID") && lines[1].contains("a/b"),
            "{shown}"
        );
        let other = json!([{ "text": { "key": "role.viewer" }, "big": { "a": 1 }, "n": 3 }]);
        let shown = answer("a.kind.nobody.knows", &other, Locale::Chinese);
        assert!(shown.contains("查看者") && !shown.contains("BIG"), "{shown}");
    }

    #[test]
    fn a_thing_has_a_line_for_each_fact() {
        let thing = json!({ "name": "x", "none": null, "target": { "id": "a/b" }, "steps": [{ "name": "stop", "state": "done" }] });
        let shown = answer("operations.get", &thing, Locale::English);
        for part in ["name", "target.id", "STEPS", "stop"] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        assert!(!shown.contains("none"), "{shown}");
    }
}
