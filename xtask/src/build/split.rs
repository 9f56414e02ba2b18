//! Cuts the browser's module where `app/src/parts.rs` draws the border, so that the first screen loads without the rest.
//!
//! The cutting library brings a hundred thousand lines of its own along and only release builds cut; it stands behind
//! the feature `split`, which `cargo xtask build --release` asks for by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use wasm_split_cli_support::{Options, transform};

/// What the library calls the script that loads the later parts, and what the first part imports it as.
const LINK: &str = "./__wasm_split.js";

/// A module in parts.
pub struct Parts {
    /// The first part; wasm-bindgen goes on from it.
    pub first: PathBuf,
    /// The later parts: file name in the link script → module.
    pub later: BTreeMap<String, Vec<u8>>,
    /// The script that loads the later parts.
    pub link: String,
}

/// Cuts a module that was linked with `--emit-relocs`.
pub fn cut(wasm: &Path, work: &Path) -> Result<Parts> {
    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    fs::create_dir_all(work)?;
    let input = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    let first = work.join("first.wasm");
    let mut options = Options::new(&input);
    options.output_dir = work;
    options.main_out_path = &first;
    options.link_name = LINK;
    let made = transform(options)
        .map_err(|error| anyhow::anyhow!("{error:#}"))
        .with_context(|| format!("{} cannot be cut into parts", wasm.display()))?;
    let mut later = BTreeMap::new();
    for path in made.split_modules {
        let name = path
            .file_name()
            .context("a part without a name")?
            .to_string_lossy()
            .into_owned();
        let part = fs::read(&path)?;
        let bare = without_custom_sections(&part).with_context(|| format!("{name} is not a WASM module"))?;
        later.insert(name, bare);
    }
    let link = fs::read_to_string(work.join(LINK))?;
    Ok(Parts { first, later, link })
}

/// The main script with the link script inside: as files of their own they would have to name each other's hash.
pub fn with_link(js: &str, link: &str) -> Result<String> {
    let import = js
        .lines()
        .find(|line| line.starts_with("import ") && line.contains(LINK));
    let Some(import) = import else {
        bail!("the main script does not import {LINK}")
    };
    let name = import
        .strip_prefix("import * as ")
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("cannot read: {import}"))?;
    let mut body = String::new();
    let mut loaders = Vec::new();
    for line in link.lines() {
        // `initSync` stands in the main script itself.
        if line.starts_with("import ") {
            continue;
        }
        match line.strip_prefix("export const ") {
            Some(rest) => {
                loaders.push(
                    rest.split_whitespace()
                        .next()
                        .context("a nameless export")?
                        .to_owned(),
                );
                body.push_str("const ");
                body.push_str(rest);
            }
            None => body.push_str(line),
        }
        body.push('\n');
    }
    let whole = format!(
        "const {name} = (() => {{\n{body}return {{ {} }};\n}})();",
        loaders.join(", ")
    );
    Ok(js.replacen(import, &whole, 1))
}

/// Names and tool marks, which no browser needs.
fn without_custom_sections(module: &[u8]) -> Option<Vec<u8>> {
    let mut out = module.get(..8)?.to_vec();
    let mut at = 8;
    while at < module.len() {
        let id = module[at];
        let (mut size, mut shift, mut p) = (0_usize, 0, at + 1);
        loop {
            let byte = *module.get(p)?;
            p += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            if shift > 28 {
                return None;
            }
        }
        let end = p.checked_add(size)?;
        let section = module.get(at..end)?;
        if id != 0 {
            out.extend_from_slice(section);
        }
        at = end;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_script_moves_into_the_main_script() -> Result<()> {
        let js = "import * as import1 from \"./__wasm_split.js\"\nfunction f() { return { \"./__wasm_split.js\": import1 }; }\n";
        let link = "import { initSync } from \"./main.js\";\nfunction load() {}\nexport const a = load(1);\nexport const b = load(\n2);\n";
        let whole = with_link(js, link)?;
        assert!(
            !whole.contains("import ") && !whole.contains("export "),
            "{whole}"
        );
        assert!(whole.starts_with("const import1 = (() => {"), "{whole}");
        assert!(
            whole.contains("const b = load(\n2);\nreturn { a, b };"),
            "{whole}"
        );
        assert!(with_link("nothing", link).is_err());
        Ok(())
    }

    #[test]
    fn only_custom_sections_go() {
        let head = b"\0asm\x01\0\0\0";
        let module = [
            head.as_slice(),
            &[1, 2, 9, 9],
            &[0, 3, 1, b'n', 7],
            &[10, 0x81, 0, 5],
        ]
        .concat();
        let bare = [head.as_slice(), &[1, 2, 9, 9], &[10, 0x81, 0, 5]].concat();
        assert_eq!(without_custom_sections(&module), Some(bare));
        assert_eq!(
            without_custom_sections(&module[..module.len() - 1]),
            None,
            "cut short"
        );
    }
}
