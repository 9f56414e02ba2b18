//! The hash that binds a confirmation, and an approval, to what was shown.

use bagua_model::operation::Plan;
use bagua_model::verbs::Target;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// SHA-256 in hex over kind, input, target, and the plan's binding parts: changes, facts and steps. Estimates,
/// warnings and the wording of the summary may move.
pub(crate) fn hash(kind: &str, input: &Value, target: &Target, plan: &Plan) -> String {
    let mut bound = String::new();
    // `to_string` of a value that we built cannot fail, and is the same for the same value once maps are sorted.
    canonical(
        &json!({
            "kind": kind,
            "input": input,
            "target": target,
            "changes": plan.changes,
            "facts": plan.facts,
            "steps": plan.steps,
        }),
        &mut bound,
    );
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bound.as_bytes()) {
        hex.push_str(&format!("{byte:02x}"));
    }
    hex
}

/// JSON with the keys of every object in order: whether serde_json keeps them sorted depends on a feature that any
/// crate of the build may turn on.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (n, key) in keys.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::region::Scope;
    use bagua_model::text::Text;

    fn plan() -> Plan {
        Plan {
            summary: Text::verbatim("Restart"),
            changes: vec![Text::verbatim("one process")],
            facts: [("pid".to_owned(), json!(7))].into(),
            estimates: vec![Text::verbatim("2 s")],
            warnings: vec![],
            steps: vec!["stop".into(), "start".into()],
            approval: None,
        }
    }

    fn target() -> Target {
        Target {
            noun: "component".into(),
            id: "a/b".into(),
            scope: Scope::ANY,
        }
    }

    #[test]
    fn the_hash_covers_facts_and_leaves_estimates_alone() {
        let input = json!({ "component": "a/b" });
        let before = hash("component.restart", &input, &target(), &plan());
        assert_eq!(before.len(), 64);
        let mut moved = plan();
        moved.estimates = vec![Text::verbatim("9 s")];
        assert_eq!(hash("component.restart", &input, &target(), &moved), before);
        moved.facts.insert("pid".into(), json!(8));
        assert_ne!(hash("component.restart", &input, &target(), &moved), before);
        assert_ne!(hash("component.stop", &input, &target(), &plan()), before);
        assert_ne!(
            hash(
                "component.restart",
                &json!({ "component": "a/c" }),
                &target(),
                &plan()
            ),
            before
        );
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let (mut one, mut two) = (String::new(), String::new());
        canonical(
            &serde_json::from_str(r#"{"b":1,"a":{"d":[1,{"y":2,"x":"q\"q"}],"c":null}}"#).unwrap_or_default(),
            &mut one,
        );
        canonical(
            &serde_json::from_str(r#"{"a":{"c":null,"d":[1,{"x":"q\"q","y":2}]},"b":1}"#).unwrap_or_default(),
            &mut two,
        );
        assert_eq!(one, two);
        assert_eq!(one, r#"{"a":{"c":null,"d":[1,{"x":"q\"q","y":2}]},"b":1}"#);
    }
}
