//! The names under which the build published scripts, styles and pictures.

use bagua_model::text::Locale;
use serde::Deserialize;
use std::collections::HashMap;

/// The site folder's `manifest.json`, as far as pages need it. Paths are absolute (`/pkg/bagua.<hash>.js`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteAssets {
    /// The one style sheet.
    pub css: String,
    /// The script that loads the WASM module.
    pub js: String,
    /// The WASM module.
    pub wasm: String,
    /// The messages of each language, in the order of [`Locale::ALL`].
    pub messages: [String; Locale::ALL.len()],
    /// The script that draws charts; none where the build had no npm.
    pub charts: Option<String>,
    /// Pictures: name below `style/assets` → published path.
    pub assets: HashMap<String, String>,
}

fn messages_of(locale: Locale) -> String {
    format!("pkg/messages.{}.txt", locale.tag())
}

#[derive(Deserialize)]
struct Manifest {
    files: HashMap<String, Published>,
}

#[derive(Deserialize)]
struct Published {
    path: String,
}

impl SiteAssets {
    /// Reads `manifest.json`. The error says which part is missing.
    pub fn from_manifest(json: &str) -> Result<SiteAssets, String> {
        let manifest: Manifest =
            serde_json::from_str(json).map_err(|e| format!("not a site manifest: {e}"))?;
        let path = |name: &str| {
            let file = manifest
                .files
                .get(name)
                .ok_or_else(|| format!("the site manifest lacks {name}"))?;
            Ok::<_, String>(format!("/{}", file.path))
        };
        Ok(SiteAssets {
            css: path("pkg/bagua.css")?,
            js: path("pkg/bagua.js")?,
            wasm: path("pkg/bagua.wasm")?,
            messages: [
                path(&messages_of(Locale::ALL[0]))?,
                path(&messages_of(Locale::ALL[1]))?,
            ],
            charts: path("pkg/later/charts.js").ok(),
            assets: manifest
                .files
                .iter()
                .filter_map(|(name, file)| {
                    Some((
                        name.strip_prefix("assets/")?.to_owned(),
                        format!("/{}", file.path),
                    ))
                })
                .collect(),
        })
    }

    /// The published path of a language's messages.
    pub fn messages(&self, locale: Locale) -> &str {
        let of = Locale::ALL
            .iter()
            .zip(&self.messages)
            .find(|(other, _)| **other == locale);
        of.map_or("", |(_, path)| path)
    }

    /// The published path of a picture; its plain name when the manifest does not know it, which then answers 404.
    pub fn asset(&self, name: &str) -> String {
        self.assets
            .get(name)
            .cloned()
            .unwrap_or_else(|| format!("/assets/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_are_read_and_a_missing_part_is_named() -> Result<(), String> {
        let whole = r#"{"profile":"dev","files":{
            "pkg/bagua.css":{"path":"pkg/bagua.1.css","bytes":1},
            "pkg/bagua.js":{"path":"pkg/bagua.2.js","bytes":1},
            "pkg/bagua.wasm":{"path":"pkg/bagua.3.wasm","bytes":1},
            "pkg/messages.en.txt":{"path":"pkg/messages.en.5.txt","bytes":1},
            "pkg/messages.zh-CN.txt":{"path":"pkg/messages.zh-CN.6.txt","bytes":1},
            "assets/world.svg":{"path":"assets/world.4.svg","bytes":1}}}"#;
        let site = SiteAssets::from_manifest(whole)?;
        assert_eq!(site.js, "/pkg/bagua.2.js");
        assert_eq!(site.messages(Locale::Chinese), "/pkg/messages.zh-CN.6.txt");
        assert_eq!(site.asset("world.svg"), "/assets/world.4.svg");
        let error = SiteAssets::from_manifest(&whole.replace("bagua.wasm\"", "other\"")).err();
        assert!(error.is_some_and(|e| e.contains("pkg/bagua.wasm")));
        Ok(())
    }
}
