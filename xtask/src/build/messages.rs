//! The messages of each language as the browser loads them: a line each, sorted by key, a tab behind the key.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::context::files_below;

/// Beginnings of keys that no page says: words of the API's description and of the command line.
const ELSEWHERE: [&str; 2] = ["api.", "cli."];

/// Language → its messages. That languages are complete is checked where the model is built.
pub fn read(locales: &Path) -> Result<BTreeMap<String, String>> {
    let mut languages = BTreeMap::new();
    for folder in fs::read_dir(locales)? {
        let folder = folder?.path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut all = BTreeMap::new();
        for file in files_below(&folder)? {
            let text = fs::read_to_string(&file)?;
            let table: BTreeMap<String, String> = toml::from_str(&text)
                .with_context(|| format!("{} is no list of messages", file.display()))?;
            all.extend(table);
        }
        all.retain(|key, _| !ELSEWHERE.iter().any(|beginning| key.starts_with(beginning)));
        languages.insert(name, lines(&all)?);
    }
    Ok(languages)
}

fn lines(messages: &BTreeMap<String, String>) -> Result<String> {
    let mut out = String::new();
    for (key, message) in messages {
        if message.contains(['\n', '\r']) || key.contains('\t') {
            bail!("the message {key} has more than one line");
        }
        out.extend([key, "\t", message, "\n"]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_read_sorted_and_without_what_no_page_says() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let english = folder.path().join("en");
        fs::create_dir(&english)?;
        fs::write(
            english.join("b.toml"),
            "\"ui.b\" = \"Two words\"\n\"api.kind.x\" = \"X\"\n",
        )?;
        fs::write(
            english.join("a.toml"),
            "\"ui.a\" = \"A {tab}\"\n\"cli.a\" = \"A\"\n",
        )?;
        let languages = read(folder.path())?;
        assert_eq!(
            languages.get("en").map(String::as_str),
            Some("ui.a\tA {tab}\nui.b\tTwo words\n")
        );
        fs::write(english.join("c.toml"), "\"ui.c\" = \"two\\nlines\"\n")?;
        assert!(read(folder.path()).is_err_and(|error| error.to_string().contains("ui.c")));
        Ok(())
    }
}
