//! The access matrix as text, for the reviewed snapshot.

use bagua_core::{KindInfo, Verb};
use bagua_model::access::{Permission, Role};
use bagua_model::text::{Locale, message};
use std::fmt::Write as _;

/// Permissions × roles, as a Markdown table.
pub fn roles_table() -> String {
    let mut out = String::from("| permission | meaning |");
    for role in Role::ALL {
        let _ = write!(out, " {role} |");
    }
    out.push_str("\n| --- | --- |");
    out.push_str(&" :-: |".repeat(Role::ALL.len()));
    out.push('\n');
    for permission in Permission::ALL {
        let key = format!("permission.{permission}");
        let _ = write!(out, "| `{permission}` | {} |", message(Locale::English, &key));
        for role in Role::ALL {
            out.push_str(if role.allows(*permission) { " ● |" } else { "  |" });
        }
        out.push('\n');
    }
    out
}

/// Kinds × permission, as a Markdown table; `kinds` comes from the registry.
pub fn kinds_table(kinds: &[KindInfo]) -> String {
    let mut out = String::from(
        "| kind | verb | permission | risk | personal data |\n| --- | --- | --- | --- | :-: |\n",
    );
    for info in kinds {
        let verb = match info.verb {
            Verb::Query => "ask",
            Verb::Operation => "submit, in steps",
            Verb::Immediate => "submit, at once",
        };
        let risk = info
            .risk
            .map_or(String::new(), |risk| format!("{risk:?}").to_lowercase());
        let personal = if info.personal_data { "●" } else { "" };
        let _ = writeln!(
            out,
            "| `{}` | {verb} | `{}` | {risk} | {personal} |",
            info.kind, info.permission
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const HEAD: &str = "# Access matrix\n\nWhich role carries which permission (● carries it). A role is granted in a \
        scope, an environment and a region, and reaches no further; `sessions.own` and `tokens.own` are about oneself and need no scope.\n\n\
        Generated from `crates/model/src/access.rs`; after a change that is meant: \
        `BLESS=1 cargo test -p bagua-access`, and let a second person read the difference.\n\n";

    #[test]
    fn the_reviewed_snapshot_is_what_the_code_says() -> Result<(), std::io::Error> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access-matrix.md");
        let now = format!("{HEAD}{}", roles_table());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &now)?;
        }
        let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            reviewed == now,
            "docs/access-matrix.md does not show what roles may do now. If the change is meant, run \
             `BLESS=1 cargo test -p bagua-access` and commit the file.\n\n{now}"
        );
        Ok(())
    }

    #[test]
    fn every_permission_has_words_in_both_languages() {
        for permission in Permission::ALL {
            let key = format!("permission.{permission}");
            for locale in Locale::ALL {
                assert_ne!(
                    message(locale, &key),
                    key,
                    "{key} has no words in {}",
                    locale.name()
                );
            }
        }
    }
}
