//! Every language says the same things: equal files, keys and placeholders.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::Tree;

const FOLDER: &str = "crates/model/locales/";
const LANGUAGES: [&str; 2] = ["en", "zh-CN"];

/// Key → text; a key is unique across the files of a language.
type Catalogue = BTreeMap<String, String>;

/// Compares the languages.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let [first, second] = LANGUAGES.map(|language| read(tree, language, &mut complaints));
    for (here, there, language, other) in [
        (&first, &second, LANGUAGES[0], LANGUAGES[1]),
        (&second, &first, LANGUAGES[1], LANGUAGES[0]),
    ] {
        for (key, text) in here {
            if text.trim().is_empty() {
                complaints.push(format!("{key} is empty in {language}."));
            }
            if !there.contains_key(key) {
                complaints.push(format!("{key} exists in {language} but not in {other}."));
            }
        }
    }
    for (key, text) in &first {
        let Some(other) = second.get(key) else { continue };
        let (one, two) = (placeholders(text), placeholders(other));
        if one != two {
            let show =
                |set: &BTreeSet<String>| set.iter().map(|name| format!("{{{name}}}")).collect::<String>();
            complaints.push(format!(
                "{key} has the placeholders [{}] in {} and [{}] in {}.",
                show(&one),
                LANGUAGES[0],
                show(&two),
                LANGUAGES[1]
            ));
        }
    }
    complaints
}

fn read(tree: &Tree, language: &str, complaints: &mut Vec<String>) -> Catalogue {
    let mut catalogue = Catalogue::new();
    for file in &tree.sources {
        let name = file
            .path
            .strip_prefix(FOLDER)
            .and_then(|rest| rest.strip_prefix(language));
        if !name.is_some_and(|name| name.starts_with('/') && name.ends_with(".toml")) {
            continue;
        }
        match file.text.parse::<toml::Table>() {
            Ok(table) => {
                for (key, value) in table {
                    match value {
                        toml::Value::String(text) => {
                            if catalogue.insert(key.clone(), text).is_some() {
                                complaints.push(format!("{key} stands twice in {language}."));
                            }
                        }
                        _ => complaints.push(format!("{}: {key} must be a text.", file.path)),
                    }
                }
            }
            Err(error) => complaints.push(format!("{} is no valid TOML: {}", file.path, error.message())),
        }
    }
    catalogue
}

/// The names between braces.
fn placeholders(text: &str) -> BTreeSet<String> {
    text.split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(en: &str, zh: &str) -> Vec<String> {
        check(&Tree::of(&[
            ("crates/model/locales/en/common.toml", en),
            ("crates/model/locales/zh-CN/common.toml", zh),
        ]))
    }

    #[test]
    fn equal_catalogues_are_fine_in_any_order_of_words() {
        let en = "moved = \"{who} moved {what}\"";
        assert_eq!(
            compare(en, "moved = \"{what}已由{who}移动\""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn differences_are_named() {
        assert_eq!(compare("a = \"x\"", ""), ["a exists in en but not in zh-CN."]);
        assert_eq!(compare("", "a = \"x\""), ["a exists in zh-CN but not in en."]);
        assert_eq!(
            compare("a = \"{n} of {m}\"", "a = \"{n}\""),
            ["a has the placeholders [{m}{n}] in en and [{n}] in zh-CN."]
        );
        assert_eq!(compare("a = \"x\"", "a = \"\""), ["a is empty in zh-CN."]);
        assert_eq!(compare("a = 1", "a = \"x\"").len(), 2);
        assert_eq!(compare("a = ", "").len(), 1);
        let twice = [
            ("crates/model/locales/en/a.toml", "a = \"x\""),
            ("crates/model/locales/en/b.toml", "a = \"y\""),
        ];
        assert!(check(&Tree::of(&twice)).contains(&"a stands twice in en.".to_owned()));
    }
}
