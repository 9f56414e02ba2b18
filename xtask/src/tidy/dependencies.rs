//! Who may depend on whom. Cargo refuses only circles; this refuses the rest.

use serde_json::Value;

use crate::tidy::Tree;

const PREFIX: &str = "bagua-";
/// What is no room among the crates in `crates/`.
const SUPPORT: [&str; 8] = [
    "keys",
    "markup",
    "model",
    "core",
    "stack",
    "telegram",
    "telegram-sim",
    "testkit",
];
/// Web frameworks: the rooms answer questions and do work; how that reaches a browser is not theirs.
const WEB: [&str; 2] = ["leptos", "axum"];
/// What would make the browser's module large or not compile for it.
const NOT_IN_BROWSER: [&str; 3] = ["tokio", "regex", "chrono"];

/// Reads `cargo metadata --no-deps`.
pub fn check(metadata: &Value, tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let short = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let members: Vec<String> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .map(short)
        .collect();
    for package in packages {
        let name = short(package["name"].as_str().unwrap_or_default());
        for dependency in package["dependencies"].as_array().map_or(&[][..], Vec::as_slice) {
            let full = dependency["name"].as_str().unwrap_or_default();
            let on = short(full);
            let for_tests = dependency["kind"] == "dev";
            if dependency["path"].is_string() && members.contains(&on) {
                complaints.extend(inside(&name, &on, for_tests));
            } else if !for_tests {
                complaints.extend(outside(&name, full));
            }
        }
    }
    complaints.extend(lints(tree));
    complaints
}

fn is_room(name: &str) -> bool {
    !SUPPORT.contains(&name) && !["app", "frontend", "server", "xtask"].contains(&name)
}

/// A dependency on another package of this workspace.
fn inside(name: &str, on: &str, for_tests: bool) -> Option<String> {
    if for_tests && ["testkit", "telegram-sim"].contains(&on) {
        return None;
    }
    let allowed: &[&str] = match name {
        "server" => {
            return (on == "testkit")
                .then(|| format!("{PREFIX}server may use {PREFIX}testkit only in tests."));
        }
        "frontend" => &["app"],
        "app" => &["markup", "model", "core"],
        "stack" | "core" | "telegram-sim" => &["model"],
        "testkit" => &["core", "model"],
        "keys" | "markup" | "model" | "telegram" | "xtask" => &[],
        "bots" => &["core", "model", "keys", "telegram"],
        // The console's side of the runtime: it reads what the runtime writes.
        "fleet" => &["core", "model", "keys", "telegram", "bots"],
        _ => &["core", "model"],
    };
    if allowed.contains(&on) {
        return None;
    }
    Some(if is_room(name) && is_room(on) {
        format!(
            "the room {PREFIX}{name} depends on the room {PREFIX}{on}; rooms ask each other through the registry."
        )
    } else if is_room(on) {
        format!("{PREFIX}{name} depends on the room {PREFIX}{on}; only {PREFIX}server knows the rooms.")
    } else {
        let may = match allowed {
            [] => "nothing of this workspace".to_owned(),
            some => some
                .iter()
                .map(|on| format!("{PREFIX}{on}"))
                .collect::<Vec<_>>()
                .join(" and "),
        };
        format!("{PREFIX}{name} depends on {PREFIX}{on}; it may depend on {may}.")
    })
}

/// A dependency on somebody else's crate.
fn outside(name: &str, on: &str) -> Option<String> {
    let is = |family: &str| {
        on == family || on.starts_with(&format!("{family}_")) || on.starts_with(&format!("{family}-"))
    };
    if (is_room(name) || name == "core" || name == "model") && WEB.iter().any(|family| is(family)) {
        return Some(format!(
            "{PREFIX}{name} depends on {on}; web frameworks belong to app and server."
        ));
    }
    if name == "model" && NOT_IN_BROWSER.iter().any(|family| is(family)) {
        return Some(format!(
            "{PREFIX}model depends on {on}, which the browser's side must not carry."
        ));
    }
    None
}

/// Every package takes the workspace's lints; one that forgets them is checked by nobody.
fn lints(tree: &Tree) -> Vec<String> {
    tree.sources
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
        .filter(|file| {
            let manifest: toml::Table = file.text.parse().unwrap_or_default();
            manifest.get("lints").and_then(|lints| lints.get("workspace"))
                != Some(&toml::Value::Boolean(true))
        })
        .map(|file| format!("{} lacks `[lints] workspace = true`.", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn complaints(name: &str, dependency: &str, kind: Option<&str>) -> Vec<String> {
        let ours = dependency.starts_with(PREFIX);
        let mut on = json!({ "name": dependency, "kind": kind });
        if ours {
            on["path"] = "/somewhere".into();
        }
        let mut packages = vec![json!({ "name": name, "dependencies": [on] })];
        if ours {
            packages.push(json!({ "name": dependency, "dependencies": [] }));
        }
        check(&json!({ "packages": packages }), &Tree::default())
    }

    #[test]
    fn what_the_drawing_allows() {
        for (name, on) in [
            ("bagua-frontend", "bagua-app"),
            ("bagua-app", "bagua-model"),
            ("bagua-app", "bagua-core"),
            ("bagua-regions", "bagua-core"),
            ("bagua-stack", "bagua-model"),
            ("bagua-server", "bagua-alerts"),
            ("bagua-regions", "tokio"),
            ("bagua-server", "axum"),
            ("bagua-app", "leptos"),
            ("bagua-stack", "axum"),
            ("bagua-bots", "bagua-telegram"),
            ("bagua-fleet", "bagua-bots"),
            ("bagua-telegram-sim", "axum"),
        ] {
            assert_eq!(complaints(name, on, None), Vec::<String>::new(), "{name} → {on}");
        }
        assert_eq!(
            complaints("bagua-regions", "bagua-testkit", Some("dev")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_it_does_not() {
        for (name, on, word) in [
            ("bagua-regions", "bagua-alerts", "ask each other"),
            ("bagua-app", "bagua-regions", "only bagua-server"),
            ("bagua-stack", "bagua-core", "may depend on bagua-model"),
            ("bagua-model", "bagua-core", "nothing of this workspace"),
            ("bagua-frontend", "bagua-model", "may depend on bagua-app"),
            ("bagua-regions", "leptos", "web frameworks"),
            ("bagua-core", "axum", "web frameworks"),
            ("bagua-alerts", "axum-extra", "web frameworks"),
            ("bagua-model", "tokio", "browser"),
            ("bagua-server", "bagua-testkit", "only in tests"),
            ("bagua-regions", "bagua-testkit", "may depend on"),
            ("bagua-bots", "bagua-telegram-sim", "may depend on"),
            ("bagua-telegram", "bagua-core", "nothing of this workspace"),
        ] {
            let found = complaints(name, on, None);
            assert!(
                found.len() == 1 && found[0].contains(word),
                "{name} → {on}: {found:?}"
            );
        }
        // Tests have no licence for crossing rooms either.
        assert_eq!(complaints("bagua-regions", "bagua-alerts", Some("dev")).len(), 1);
    }

    #[test]
    fn a_package_without_the_lints_is_named() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]\n"),
            ("a/Cargo.toml", "[lints]\nworkspace = true\n"),
            ("b/Cargo.toml", "[package]\n"),
        ]);
        assert_eq!(lints(&tree), ["b/Cargo.toml lacks `[lints] workspace = true`."]);
    }
}
