//! Puts files into the site folder under names that carry the hash of their content, with a brotli copy beside each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use brotli::enc::BrotliEncoderParams;
use sha2::{Digest, Sha256};

use crate::context::files_below;
use crate::manifest::{Manifest, Published};

/// What brotli makes smaller; pictures and fonts are compressed already.
const COMPRESSIBLE: [&str; 9] = [
    "css",
    "html",
    "ico",
    "js",
    "json",
    "svg",
    "txt",
    "wasm",
    "webmanifest",
];

/// Collects a site. Nothing is deleted before the end, so a running server keeps its files.
pub struct Publisher {
    site: PathBuf,
    quality: i32,
    manifest: Manifest,
}

impl Publisher {
    /// A publisher into this folder. `quality`: brotli's effort, 0 to 11.
    pub fn new(site: &Path, quality: i32) -> Self {
        Self {
            site: site.to_path_buf(),
            quality,
            manifest: Manifest::default(),
        }
    }

    /// Publishes `pkg/bagua.js` as `pkg/bagua.<hash>.js`; answers that path.
    pub fn add(&mut self, logical: &str, bytes: Vec<u8>) -> Result<String> {
        let path = hashed_name(logical, &hash(&[&bytes]));
        self.place(logical, path, &bytes)
    }

    /// Publishes the scripts that crates bring along and answers the main script with its imports pointing at them.
    /// The folder carries the hash of them all, since they may import each other.
    pub fn add_snippets(&mut self, snippets: &BTreeMap<String, String>, js: String) -> Result<String> {
        if snippets.is_empty() {
            return Ok(js);
        }
        let parts: Vec<&[u8]> = snippets
            .iter()
            .flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()])
            .collect();
        let folder = format!("snippets.{}", hash(&parts));
        for (name, text) in snippets {
            let path = format!("pkg/{folder}/{name}");
            self.place(&format!("pkg/snippets/{name}"), path, text.as_bytes())?;
        }
        Ok(js
            .replace("'./snippets/", &format!("'./{folder}/"))
            .replace("\"./snippets/", &format!("\"./{folder}/")))
    }

    /// Publishes the parts of the module that are loaded when they are wanted and answers the main script with their paths.
    pub fn add_later(&mut self, later: &BTreeMap<String, Vec<u8>>, mut js: String) -> Result<String> {
        for (name, part) in later {
            let known_as = format!("\"./{name}\"");
            if !js.contains(&known_as) {
                bail!("the main script does not load {name}");
            }
            let path = self.add(&format!("pkg/later/{name}"), part.clone())?;
            let relative = path.strip_prefix("pkg/").unwrap_or(&path);
            js = js.replace(&known_as, &format!("\"./{relative}\""));
        }
        Ok(js)
    }

    fn place(&mut self, logical: &str, path: String, bytes: &[u8]) -> Result<String> {
        let file = self.site.join(&path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        write_once(&file, || Ok(bytes.to_vec()))?;
        let brotli_bytes = self.compress(&file, bytes)?;
        let entry = Published {
            path: path.clone(),
            bytes: bytes.len() as u64,
            brotli_bytes,
        };
        self.manifest.files.insert(logical.to_owned(), entry);
        Ok(path)
    }

    /// The `.br` file beside `file`; answers its size, or nothing where compressing does not pay.
    fn compress(&self, file: &Path, bytes: &[u8]) -> Result<Option<u64>> {
        let end = file.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if !COMPRESSIBLE.contains(&end) {
            return Ok(None);
        }
        let mut name = file.as_os_str().to_owned();
        name.push(".br");
        let to = PathBuf::from(name);
        let size = write_once(&to, || brotli(bytes, self.quality))?;
        if size >= bytes.len() as u64 {
            fs::remove_file(&to)?;
            return Ok(None);
        }
        Ok(Some(size))
    }

    /// Writes the manifest and removes what neither it nor the one before it names (a page open in a browser may still
    /// ask for the files of the one before).
    pub fn finish(self, profile: &str) -> Result<Manifest> {
        let before = Manifest::read(&self.site).unwrap_or_default();
        self.manifest.write(&self.site, profile)?;
        let mut keep: BTreeSet<PathBuf> = BTreeSet::new();
        for file in before.files.values().chain(self.manifest.files.values()) {
            keep.insert(self.site.join(&file.path));
            keep.insert(self.site.join(format!("{}.br", file.path)));
        }
        for folder in ["pkg", "assets"] {
            for path in files_below(&self.site.join(folder))? {
                if !keep.contains(&path) {
                    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                }
            }
        }
        Ok(self.manifest)
    }
}

/// Writes a file unless it is there (its name says its content); answers its size. Never leaves half a file.
fn write_once(file: &Path, content: impl FnOnce() -> Result<Vec<u8>>) -> Result<u64> {
    if let Ok(meta) = fs::metadata(file) {
        return Ok(meta.len());
    }
    let bytes = content()?;
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    fs::rename(&part, file)?;
    Ok(bytes.len() as u64)
}

fn brotli(bytes: &[u8], quality: i32) -> Result<Vec<u8>> {
    let params = BrotliEncoderParams {
        quality,
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut out, &params)?;
    Ok(out)
}

/// Twelve hex digits: enough to tell the versions of one file apart.
fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
        .finalize()
        .iter()
        .take(6)
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// `a/b.js` → `a/b.<hash>.js`.
fn hashed_name(logical: &str, hash: &str) -> String {
    let (folder, name) = logical
        .rsplit_once('/')
        .map_or(("", logical), |(folder, name)| (folder, name));
    let hashed = match name.rsplit_once('.') {
        Some((stem, end)) if !stem.is_empty() => format!("{stem}.{hash}.{end}"),
        _ => format!("{name}.{hash}"),
    };
    if folder.is_empty() {
        hashed
    } else {
        format!("{folder}/{hashed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unbrotli(bytes: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        brotli::BrotliDecompress(&mut &bytes[..], &mut out)?;
        Ok(out)
    }

    #[test]
    fn names_carry_the_hash_before_the_ending() {
        assert_eq!(hashed_name("pkg/bagua.js", "h"), "pkg/bagua.h.js");
        assert_eq!(hashed_name("assets/a.b/c.min.svg", "h"), "assets/a.b/c.min.h.svg");
        assert_eq!(hashed_name("LICENSE", "h"), "LICENSE.h");
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]), "the borders count");
    }

    #[test]
    fn what_is_published_can_be_read_and_unpacked() -> Result<()> {
        let site = tempfile::tempdir()?;
        let text = "body{}".repeat(200).into_bytes();
        let mut publisher = Publisher::new(site.path(), 11);
        let css = publisher.add("pkg/bagua.css", text.clone())?;
        publisher.add("assets/photo.png", vec![1, 2, 3])?;
        publisher.add("assets/tiny.txt", vec![b'a'])?;
        publisher.finish("dev")?;
        let manifest = Manifest::read(site.path())?;
        assert_eq!(fs::read(site.path().join(&css))?, text);
        let br = fs::read(site.path().join(format!("{css}.br")))?;
        assert_eq!(unbrotli(&br)?, text);
        assert_eq!(
            manifest.files["pkg/bagua.css"].brotli_bytes,
            Some(br.len() as u64)
        );
        assert_eq!(manifest.files["assets/photo.png"].brotli_bytes, None);
        assert_eq!(
            manifest.files["assets/tiny.txt"].brotli_bytes, None,
            "one byte does not shrink"
        );
        Ok(())
    }

    #[test]
    fn the_version_before_stays_and_older_ones_go() -> Result<()> {
        let site = tempfile::tempdir()?;
        let mut paths = Vec::new();
        for text in ["one", "two", "three"] {
            let mut publisher = Publisher::new(site.path(), 4);
            paths.push(publisher.add("pkg/bagua.js", text.repeat(100).into_bytes())?);
            publisher.finish("dev")?;
        }
        let there: Vec<bool> = paths.iter().map(|path| site.path().join(path).exists()).collect();
        assert_eq!(there, [false, true, true]);
        assert!(!site.path().join(format!("{}.br", paths[0])).exists());
        Ok(())
    }

    #[test]
    fn imports_of_snippets_follow_their_folder() -> Result<()> {
        let site = tempfile::tempdir()?;
        let snippets = BTreeMap::from([(
            "some-crate-1/inline0.js".to_owned(),
            "export const a = 1;".to_owned(),
        )]);
        let mut publisher = Publisher::new(site.path(), 4);
        let js = "import { a } from './snippets/some-crate-1/inline0.js';".to_owned();
        let js = publisher.add_snippets(&snippets, js)?;
        let manifest = publisher.finish("dev")?;
        let path = &manifest.files["pkg/snippets/some-crate-1/inline0.js"].path;
        let relative = path.strip_prefix("pkg/").map(|rest| format!("'./{rest}'"));
        assert!(
            relative.is_some_and(|import| js.contains(&import)),
            "{js} does not import {path}"
        );
        Ok(())
    }
}
