//! Which kind a noun and a verb name. The kinds are those of the registry, out of its reference, which a test keeps in
//! step; what people would rather say stands in a short table here.

use std::sync::LazyLock;

const REFERENCE: &str = include_str!("../../../docs/reference/kinds.md");

/// A kind as the reference has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The stable name.
    pub name: &'static str,
    /// Asked, else submitted.
    pub asked: bool,
    /// The permission that it needs.
    pub permission: &'static str,
}

/// Every kind.
pub static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    REFERENCE
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|');
            let name = cells.next()?.trim().trim_end_matches('`');
            let asked = cells.next()?.trim() == "ask";
            let permission = cells.next()?.trim().trim_matches('`');
            Some(Kind {
                name,
                asked,
                permission,
            })
        })
        .collect()
});

/// What people say instead of a kind's own name: noun, verb, kind.
const SAID: [(&str, &str, &str); 15] = [
    ("regions", "list", "regions.world"),
    ("regions", "show", "regions.region"),
    ("components", "list", "regions.world"),
    ("components", "show", "regions.component"),
    ("alerts", "show", "alerts.get"),
    ("bots", "show", "bots.one"),
    ("alerts", "ack", "alert.acknowledge"),
    ("alerts", "unack", "alert.unacknowledge"),
    ("operations", "show", "operations.get"),
    ("people", "list", "access.people"),
    ("sessions", "list", "access.sessions"),
    ("events", "list", "events.recent"),
    ("notices", "list", "console.notices"),
    ("approvals", "list", "operations.inbox"),
    ("operations", "inbox", "operations.inbox"),
];

/// Every noun that a person would type.
pub const NOUNS: [&str; 20] = [
    "alerts",
    "approvals",
    "audit",
    "bots",
    "calls",
    "catalogues",
    "chats",
    "components",
    "events",
    "messages",
    "notices",
    "operations",
    "people",
    "quarantine",
    "regions",
    "rules",
    "schedules",
    "sessions",
    "silences",
    "tokens",
];

fn plural(noun: &str) -> String {
    match noun {
        "person" => "people".to_owned(),
        "audit" | "quarantine" => noun.to_owned(),
        noun if noun.ends_with('s') || noun == "people" => noun.to_owned(),
        noun => format!("{noun}s"),
    }
}

/// One of several: `alert` for `alerts`.
pub fn singular(noun: &str) -> &str {
    match noun {
        "people" => "person",
        noun => noun.strip_suffix('s').unwrap_or(noun),
    }
}

/// The kind behind a noun and a verb.
pub fn find(noun: &str, verb: &str) -> Option<Kind> {
    let verb = verb.replace('-', "_");
    let many = plural(noun);
    let said = SAID
        .iter()
        .find(|(n, v, _)| *n == many && *v == verb)
        .map(|(_, _, kind)| (*kind).to_owned());
    // The noun as it was typed first: `alert acknowledge` is about one, `alerts acknowledge` about many.
    let names = said.into_iter().chain([
        format!("{noun}.{verb}"),
        format!("{many}.{verb}"),
        format!("{}.{verb}", singular(noun)),
    ]);
    names
        .into_iter()
        .find_map(|name| KINDS.iter().copied().find(|kind| kind.name == name))
}

/// Whether anything goes by this noun.
pub fn is_noun(noun: &str) -> bool {
    !verbs(noun).is_empty()
}

/// What can be said about a noun, with the kind behind it.
pub fn verbs(noun: &str) -> Vec<(String, &'static str)> {
    let many = plural(noun);
    let mut verbs: Vec<(String, &'static str)> = SAID
        .iter()
        .filter(|(n, ..)| *n == many)
        .map(|(_, verb, kind)| ((*verb).to_owned(), *kind))
        .collect();
    for kind in KINDS.iter() {
        let Some((room, verb)) = kind.name.split_once('.') else {
            continue;
        };
        let known = verbs.iter().any(|(_, name)| *name == kind.name);
        if (room == many || room == singular(noun) || room == noun) && !known {
            verbs.push((verb.replace('_', "-"), kind.name));
        }
    }
    if many == "operations" {
        verbs.push(("follow".to_owned(), "operations.get"));
    }
    verbs.sort();
    verbs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_would_guess_is_understood() {
        for (noun, verb, kind) in [
            ("alerts", "list", "alerts.list"),
            ("alert", "ack", "alert.acknowledge"),
            ("silences", "list", "silences.list"),
            ("silences", "create", "silence.create"),
            ("silences", "expire", "silence.expire"),
            ("regions", "list", "regions.world"),
            ("regions", "show", "regions.region"),
            ("components", "restart", "component.restart"),
            ("operations", "list", "operations.list"),
            ("operations", "show", "operations.get"),
            ("operations", "cancel", "operation.cancel"),
            ("operations", "approve", "operation.approve"),
            ("audit", "list", "audit.list"),
            ("bots", "list", "bots.list"),
            ("bot", "stop", "bot.stop"),
            ("bots", "show", "bots.one"),
            ("tokens", "create", "token.create"),
            ("tokens", "list", "tokens.list"),
            ("tokens", "revoke", "token.revoke"),
            ("people", "invite", "person.invite"),
            ("sessions", "revoke-all", "session.revoke_all"),
        ] {
            assert_eq!(
                find(noun, verb).map(|kind| kind.name),
                Some(kind),
                "{noun} {verb}"
            );
        }
        assert_eq!(find("alerts", "explode"), None);
        assert!(!is_noun("weather"));
    }

    #[test]
    fn every_kind_has_a_noun_and_a_verb() {
        assert!(KINDS.len() > 40, "the reference is not read: {KINDS:?}");
        for kind in KINDS.iter() {
            let (noun, verb) = kind.name.split_once('.').unwrap_or_default();
            assert_eq!(find(noun, verb), Some(*kind), "{}", kind.name);
        }
        for (noun, verb, kind) in SAID {
            assert_eq!(
                find(noun, verb).map(|kind| kind.name),
                Some(kind),
                "{noun} {verb}"
            );
        }
        for noun in NOUNS {
            assert!(is_noun(noun), "{noun}");
        }
    }
}
