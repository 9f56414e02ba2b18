//! Migrations: each folder is one linear sequence, and each file says whose it is and why it exists.

use std::collections::BTreeMap;

use crate::tidy::{Source, Tree};

/// Looks at `migrations/control`, `migrations/data` and `migrations/keys`.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut folders: BTreeMap<&str, Vec<(&Source, &str)>> = BTreeMap::new();
    for file in &tree.sources {
        let Some(rest) = file.path.strip_prefix("migrations/") else {
            continue;
        };
        if !rest.ends_with(".sql") {
            continue;
        }
        match rest.split_once('/') {
            Some((folder @ ("control" | "data" | "keys"), name)) if !name.contains('/') => {
                folders.entry(folder).or_default().push((file, name));
            }
            _ => complaints.push(format!(
                "{} must lie in migrations/control, migrations/data or migrations/keys.",
                file.path
            )),
        }
    }
    for files in folders.values_mut() {
        files.sort_by_key(|(_, name)| *name);
        let mut expected = 1;
        for (file, name) in files {
            match number(name) {
                Some(found) if found == expected => expected += 1,
                Some(found) => {
                    let path = &file.path;
                    complaints.push(format!("{path} has number {found} where {expected:04} comes next; the sequence has no gaps and no twins."));
                    expected = found + 1;
                }
                None => complaints.push(format!("{} must be named like 0001_what_it_does.sql.", file.path)),
            }
            complaints.extend(header(file));
        }
    }
    complaints
}

/// `0001_people.sql` → 1.
fn number(name: &str) -> Option<u32> {
    let (digits, rest) = name.split_once('_')?;
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let stem = rest.strip_suffix(".sql")?;
    if digits.len() != 4 || stem.is_empty() || !stem.chars().all(plain) {
        return None;
    }
    digits.parse().ok()
}

/// The comment at the top names an owner and a reason.
fn header(file: &Source) -> Option<String> {
    let comment: Vec<String> = file
        .text
        .lines()
        .take_while(|line| line.starts_with("--"))
        .map(|line| line.trim_start_matches('-').trim().to_lowercase())
        .collect();
    let owner = comment.iter().any(|line| {
        line.strip_prefix("owner:")
            .is_some_and(|rest| !rest.trim().is_empty())
    });
    let is_word = |word: &str| word.trim_matches(|letter: char| !letter.is_alphanumeric()) == "why";
    let why = comment.iter().any(|line| {
        let mut words = line.split_whitespace().skip_while(|word| !is_word(word));
        words.next().is_some() && words.next().is_some()
    });
    if owner && why {
        return None;
    }
    Some(format!(
        "{} must begin with the comment lines `-- Owner: <crate>` and `-- Why: <reason>`.",
        file.path
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "-- Owner: core\n-- Why: people sign in\ncreate table t ();\n";

    #[test]
    fn a_sequence_with_headers_is_fine() {
        let tree = Tree::of(&[
            ("migrations/control/0001_people.sql", HEADER),
            ("migrations/control/0002_events.sql", HEADER),
            ("migrations/data/0001_bots.sql", HEADER),
            ("migrations/README.md", "text"),
        ]);
        assert_eq!(check(&tree), Vec::<String>::new());
    }

    #[test]
    fn gaps_twins_and_odd_names_are_found() {
        let gap = [
            ("migrations/control/0001_a.sql", HEADER),
            ("migrations/control/0003_b.sql", HEADER),
        ];
        assert!(check(&Tree::of(&gap))[0].contains("0002 comes next"));
        let twins = [
            ("migrations/data/0001_a.sql", HEADER),
            ("migrations/data/0001_b.sql", HEADER),
        ];
        assert_eq!(check(&Tree::of(&twins)).len(), 1);
        for odd in [
            "migrations/data/1_a.sql",
            "migrations/data/people.sql",
            "migrations/0001_a.sql",
        ] {
            assert_eq!(check(&Tree::of(&[(odd, HEADER)])).len(), 1, "{odd}");
        }
    }

    #[test]
    fn owner_and_why_are_wanted() {
        let prose = "-- Owner: core. The people.\n--\n-- Why a table, and not a file: it must be searched.\n";
        assert_eq!(
            check(&Tree::of(&[("migrations/data/0001_a.sql", prose)])),
            Vec::<String>::new()
        );
        for text in [
            "create table t ();",
            "-- Owner: core\n",
            "-- Owner: core\n-- Why:\n",
            "\n-- Owner: a\n-- Why: b\n",
        ] {
            assert_eq!(
                check(&Tree::of(&[("migrations/data/0001_a.sql", text)])).len(),
                1,
                "{text:?}"
            );
        }
    }
}
