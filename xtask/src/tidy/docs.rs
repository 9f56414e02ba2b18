//! Documents: links lead somewhere, and every document can be reached.

use std::collections::{BTreeSet, VecDeque};

use crate::tidy::{Source, Tree};

const ENTRY: &str = "README.md";
const FOLDER: &str = "docs/";

/// Follows the links of every Markdown file, from the README on.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let files: BTreeSet<&str> = tree.paths.iter().map(String::as_str).collect();
    let markdown: Vec<&Source> = tree
        .sources
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .collect();
    if !files.contains(ENTRY) {
        complaints.push(format!("there is no {ENTRY}; a visitor begins there."));
    }
    for file in &markdown {
        for link in links(&file.text) {
            let Some(to) = resolve(&file.path, &link) else {
                continue;
            };
            let folder = format!("{}/", to.trim_end_matches('/'));
            if !to.is_empty()
                && !files.contains(to.as_str())
                && !files.iter().any(|path| path.starts_with(&folder))
            {
                complaints.push(format!("{} links to {link}, which is not there.", file.path));
            }
        }
    }

    let mut reached: BTreeSet<String> = BTreeSet::from([ENTRY.to_owned()]);
    let mut open = VecDeque::from([ENTRY.to_owned()]);
    while let Some(path) = open.pop_front() {
        let Some(file) = markdown.iter().find(|file| file.path == path) else {
            continue;
        };
        for link in links(&file.text) {
            if let Some(to) = resolve(&path, &link)
                && reached.insert(to.clone())
            {
                open.push_back(to);
            }
        }
    }
    let hidden = files
        .iter()
        .filter(|path| path.starts_with(FOLDER) && !reached.contains(**path));
    complaints.extend(hidden.map(|path| format!("{path} cannot be reached by links from {ENTRY}.")));
    complaints
}

/// Targets of Markdown links, pictures, reference definitions, and `src`/`href` of HTML; code is left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("\u{0}");
        for (mark, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for (at, _) in prose.match_indices(mark) {
                let rest = &prose[at + mark.len()..];
                if let Some((target, _)) = rest.split_once(end) {
                    found.extend(target.split_whitespace().next().map(str::to_owned));
                }
            }
        }
        if let Some((label, target)) = prose.trim_start().split_once("]: ")
            && label.starts_with('[')
        {
            found.extend(target.split_whitespace().next().map(str::to_owned));
        }
    }
    found
}

/// A link as a path from the root; nothing for links to elsewhere and within the page.
fn resolve(from: &str, link: &str) -> Option<String> {
    let link = link.trim_matches(['<', '>']);
    let path = link.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() || link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if path.starts_with('/') {
        parts.clear();
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                // Out of the repository: kept, so that it is found missing.
                if parts.pop().is_none() {
                    return Some(path.to_owned());
                }
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reachable_house_is_fine() {
        let tree = Tree::of(&[
            (
                "README.md",
                "[map](ARCHITECTURE.md#rooms) ![shot](docs/shot.png) [web](https://example.org) [here](#top)",
            ),
            (
                "ARCHITECTURE.md",
                "see [rooms](docs/rooms/) and [one](docs/rooms/one.md \"title\")",
            ),
            (
                "docs/rooms/one.md",
                "[back](../../README.md)\n```\n[no](link.md)\n```\n`[nor](this.md)`\n",
            ),
            ("docs/shot.png", ""),
        ]);
        assert_eq!(check(&tree), Vec::<String>::new());
    }

    #[test]
    fn broken_links_and_hidden_documents_are_found() {
        let tree = Tree::of(&[
            ("README.md", "[a](docs/a.md)\n[b]: docs/gone.md"),
            ("docs/a.md", "[out](../../elsewhere.md)"),
            ("docs/lost.md", "[a](a.md)"),
        ]);
        assert_eq!(
            check(&tree),
            [
                "README.md links to docs/gone.md, which is not there.",
                "docs/a.md links to ../../elsewhere.md, which is not there.",
                "docs/lost.md cannot be reached by links from README.md.",
            ]
        );
    }

    #[test]
    fn a_missing_readme_is_said() {
        assert_eq!(check(&Tree::default()).len(), 1);
    }
}
