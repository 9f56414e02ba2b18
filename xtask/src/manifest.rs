//! `manifest.json`: what the server reads to know the hashed names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Path below the site folder, hash included (`pkg/bagua.0123456789ab.js`).
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Size in bytes of the `.br` file beside it; absent when there is none.
    pub brotli_bytes: Option<u64>,
}

/// Logical name (`pkg/bagua.js`, `assets/logo.svg`) → published file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The files, by logical name.
    pub files: BTreeMap<String, Published>,
}

impl Manifest {
    /// File name below the site folder.
    pub const NAME: &'static str = "manifest.json";

    /// Reads the manifest of a site folder.
    pub fn read(site: &Path) -> Result<Self> {
        let path = site.join(Self::NAME);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a site manifest", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let files = value["files"].as_object().context("it has no `files`")?;
        let mut manifest = Self::default();
        for (name, file) in files {
            manifest.files.insert(
                name.clone(),
                Published {
                    path: file["path"].as_str().context("a file without `path`")?.to_owned(),
                    bytes: file["bytes"].as_u64().context("a file without `bytes`")?,
                    brotli_bytes: file["brotli_bytes"].as_u64(),
                },
            );
        }
        Ok(manifest)
    }

    /// Writes the manifest in one step, so that a server that starts now sees the old one or the new one.
    pub fn write(&self, site: &Path, profile: &str) -> Result<()> {
        let part = site.join(format!(".{}.part", Self::NAME));
        fs::write(&part, self.to_json(profile))?;
        fs::rename(&part, site.join(Self::NAME))?;
        Ok(())
    }

    fn to_json(&self, profile: &str) -> String {
        let files: BTreeMap<&String, Value> = self
            .files
            .iter()
            .map(|(name, file)| {
                let entry =
                    json!({ "path": file.path, "bytes": file.bytes, "brotli_bytes": file.brotli_bytes });
                (name, entry)
            })
            .collect();
        format!("{:#}\n", json!({ "profile": profile, "files": files }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() -> Result<()> {
        let mut manifest = Manifest::default();
        manifest.files.insert(
            "pkg/bagua.js".into(),
            Published {
                path: "pkg/bagua.abc.js".into(),
                bytes: 10,
                brotli_bytes: Some(4),
            },
        );
        manifest.files.insert(
            "assets/photo.png".into(),
            Published {
                path: "assets/photo.abc.png".into(),
                bytes: 7,
                brotli_bytes: None,
            },
        );
        assert_eq!(Manifest::parse(&manifest.to_json("dev"))?, manifest);
        Ok(())
    }

    #[test]
    fn a_foreign_file_is_refused() {
        assert!(Manifest::parse("{}").is_err());
        assert!(Manifest::parse(r#"{"files":{"a":{}}}"#).is_err());
    }
}
