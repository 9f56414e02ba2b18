//! What no file of the repository may contain, and how long it may be.

use crate::tidy::{Source, Tree};

/// Lines that a source file may have; beyond, it holds more than one meaning.
const MOST_LINES: usize = 600;
const CODE: [&str; 11] = [
    "bash", "css", "html", "js", "md", "mjs", "py", "rs", "sh", "sql", "ts",
];
/// Written by programs, or by translators.
const NOT_COUNTED: [&str; 3] = ["/locales/", "/generated/", ".sqlx/"];
/// Lock files may come only from the public registries: a mirror's host name would break everybody else's install.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
const NPM: &str = "https://registry.npmjs.org/";

// Put together from halves, so that this file does not contain what it looks for.
const ALLOW: [&str; 2] = [concat!("#[", "allow("), concat!("#![", "allow(")];
const OPEN_ENDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const MACHINE_PATHS: [&str; 3] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];

/// Looks at every text file.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in &tree.sources {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if name == "Cargo.lock" || name == "package-lock.json" {
            complaints.extend(lock_file(file));
            continue;
        }
        complaints.extend(length(file));
        for (at, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.path, at + 1);
            if file.path.ends_with(".rs") && ALLOW.iter().any(|allow| line.contains(allow)) {
                complaints.push(format!(
                    "{place} switches a lint off for good; use #[expect(…, reason = \"…\")]."
                ));
            }
            if let Some(word) = OPEN_ENDS.iter().find(|word| has_word(line, word)) {
                complaints.push(format!(
                    "{place} says {word}; do it, or file it, but do not leave it lying."
                ));
            }
            if let Some(path) = MACHINE_PATHS.iter().find(|path| names_path(line, path)) {
                complaints.push(format!("{place} names a path of somebody's machine ({path}…)."));
            }
        }
    }
    complaints
}

fn length(file: &Source) -> Option<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let counted = match name.rsplit_once('.') {
        Some((_, end)) => CODE.contains(&end),
        None => file.text.starts_with("#!"),
    };
    let lines = file.text.lines().count();
    let path = format!("/{}", file.path);
    if !counted || lines <= MOST_LINES || NOT_COUNTED.iter().any(|part| path.contains(part)) {
        return None;
    }
    Some(format!(
        "{} has {lines} lines ({MOST_LINES} at most); split it along its meanings.",
        file.path
    ))
}

fn lock_file(file: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim();
        let foreign = if let Some(source) = line.strip_prefix("source = \"") {
            !source.starts_with(CRATES_IO)
        } else if let Some(resolved) = line.strip_prefix("\"resolved\": \"") {
            !resolved.starts_with(NPM)
        } else {
            false
        };
        if foreign {
            complaints.push(format!(
                "{}:{} does not come from the public registry: {line}",
                file.path,
                at + 1
            ));
        }
    }
    complaints
}

/// Whether `word` stands in `line` with no letter or digit at its sides.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// Whether `line` has this absolute path (and not a longer one that merely ends alike, such as `app/home/`).
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at]
            .chars()
            .next_back()
            .is_some_and(|letter| letter.is_alphanumeric() || "._-}*)".contains(letter))
            && line[at + path.len()..]
                .chars()
                .next()
                .is_some_and(|letter| letter.is_alphanumeric() || letter == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)]))
    }

    #[test]
    fn lints_are_expected_and_not_allowed() {
        for allow in ALLOW {
            assert_eq!(found("a.rs", &format!("  {allow}dead_code)]")).len(), 1);
        }
        assert!(found("a.rs", "#[expect(dead_code, reason = \"…\")]").is_empty());
        assert!(
            found("a.md", &format!("never write {}…)]", ALLOW[0])).is_empty(),
            "talking about it is fine"
        );
    }

    #[test]
    fn long_code_is_found_and_long_data_is_not() {
        let long = "x\n".repeat(MOST_LINES + 1);
        assert!(found("a.rs", &"x\n".repeat(MOST_LINES)).is_empty());
        assert_eq!(
            found("a.rs", &long),
            ["a.rs has 601 lines (600 at most); split it along its meanings."]
        );
        assert_eq!(found("dev", &format!("#!/bin/sh\n{long}")).len(), 1);
        for data in [
            "a.json",
            "docs/generated/kinds.md",
            "a/locales/en/x.toml",
            "LICENSE",
            "a.snap",
        ] {
            assert!(found(data, &long).is_empty(), "{data}");
        }
    }

    #[test]
    fn open_ends_are_found_as_words() {
        assert_eq!(found("a.rs", &format!("// {}: later", OPEN_ENDS[0])).len(), 1);
        assert!(found("a.rs", &format!("const MY{}LIST: u8 = 1;", OPEN_ENDS[0])).is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for path in MACHINE_PATHS {
            assert_eq!(found("a.md", &format!("see {path}me/x")).len(), 1, "{path}");
        }
        assert!(found("a.rs", &format!("screens{}page.rs", MACHINE_PATHS[1])).is_empty());
    }

    #[test]
    fn lock_files_name_the_public_registries() {
        let good = format!("source = \"{CRATES_IO}\"\n");
        assert!(found("Cargo.lock", &good).is_empty());
        assert_eq!(
            found(
                "Cargo.lock",
                "source = \"registry+https://mirror.example/index\"\n"
            )
            .len(),
            1
        );
        assert!(
            found(
                "package-lock.json",
                &format!("  \"resolved\": \"{NPM}a/-/a-1.tgz\",")
            )
            .is_empty()
        );
        assert_eq!(
            found(
                "end2end/package-lock.json",
                "  \"resolved\": \"https://mirror.example/a\","
            )
            .len(),
            1
        );
    }
}
