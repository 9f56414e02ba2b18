//! Turns `locales/{en,zh-CN}/*.toml` into one sorted table and a constant for each key. The browser's module gets the constants only:
//! it loads the texts of its one language beside it (`cargo xtask build` publishes them).
//!
//! A key that one language lacks, a key given twice, or placeholders that differ between the
//! languages end the build with a sentence that names the key, so a half-translated screen cannot ship.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=locales");
    let english = read_language("en");
    let chinese = read_language("zh-CN");
    let mut faults = Vec::new();
    for key in english.keys().chain(chinese.keys()).collect::<BTreeSet<_>>() {
        match (english.get(key), chinese.get(key)) {
            (Some(en), Some(zh)) if placeholders(en) != placeholders(zh) => {
                faults.push(format!("`{key}`: placeholders differ between en and zh-CN"));
            }
            (Some(_), None) => faults.push(format!("`{key}` is missing in zh-CN")),
            (None, Some(_)) => faults.push(format!("`{key}` is missing in en")),
            _ => {}
        }
    }
    assert!(
        faults.is_empty(),
        "locales are not complete:\n  {}",
        faults.join("\n  ")
    );

    let mut out = String::new();
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch != "wasm32") {
        out.push_str("/// Every message, sorted by key: `(key, English, 简体中文)`.\npub static MESSAGES: &[(&str, &str, &str)] = &[\n");
        for (key, en) in &english {
            let _ = writeln!(out, "    ({key:?}, {en:?}, {:?}),", chinese[key]);
        }
        out.push_str("];\n\n");
    }
    out.push_str("/// One constant for each message key: a key that does not exist does not compile.\npub mod keys {\n");
    for key in english.keys() {
        let name = key.replace(['.', '-'], "_").to_uppercase();
        let _ = writeln!(
            out,
            "    /// {:?}\n    pub const {name}: &str = {key:?};",
            english[key]
        );
    }
    out.push_str("}\n");
    let target = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&target).join("messages.rs"), out).expect("the build folder is writable");
}

fn read_language(language: &str) -> BTreeMap<String, String> {
    let folder = Path::new("locales").join(language);
    let mut all = BTreeMap::new();
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the locale folder exists")
        .map(|e| e.expect("readable").path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "toml"))
    {
        let text = std::fs::read_to_string(file).expect("the locale file is readable");
        let table: BTreeMap<String, String> =
            toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for (key, value) in table {
            assert!(
                all.insert(key.clone(), value).is_none(),
                "`{key}` stands twice in {language}"
            );
        }
    }
    all
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .collect()
}
