//! One style sheet out of `style/main.css` and what it imports.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use lightningcss::bundler::{Bundler, FileProvider};
use lightningcss::dependencies::{Dependency, DependencyOptions};
use lightningcss::printer::PrinterOptions;
use lightningcss::stylesheet::{MinifyOptions, ParserOptions};

/// Bundles and minifies. `assets`: path below `style/assets` → published path; `url()` of an asset becomes its published path.
pub fn bundle(entry: &Path, assets: &BTreeMap<String, String>) -> Result<String> {
    let provider = FileProvider::new();
    let mut bundler = Bundler::new(&provider, None, ParserOptions::default());
    // The error borrows the sources, hence the text.
    let mut sheet = bundler.bundle(entry).map_err(|error| anyhow!("{error}"))?;
    sheet
        .minify(MinifyOptions::default())
        .map_err(|error| anyhow!("{error}"))?;
    let printed = sheet
        .to_css(PrinterOptions {
            minify: true,
            analyze_dependencies: Some(DependencyOptions {
                remove_imports: false,
            }),
            ..PrinterOptions::default()
        })
        .map_err(|error| anyhow!("{error}"))?;

    let style_folder = entry.parent().unwrap_or(Path::new(""));
    let mut css = printed.code;
    for dependency in printed.dependencies.unwrap_or_default() {
        let (placeholder, to) = match dependency {
            Dependency::Import(import) => (import.placeholder, import.url),
            Dependency::Url(url) => {
                let to = published_url(&url.url, Path::new(&url.loc.file_path), style_folder, assets)?;
                (url.placeholder, to)
            }
        };
        css = css.replace(&placeholder, &to);
    }
    Ok(css)
}

/// What a `url()` in `sheet` must say once the bundle lies in `pkg/`.
fn published_url(
    url: &str,
    sheet: &Path,
    style_folder: &Path,
    assets: &BTreeMap<String, String>,
) -> Result<String> {
    if url.starts_with("data:") || url.starts_with('#') || url.starts_with('/') || url.contains("://") {
        return Ok(url.to_owned());
    }
    let (path, fragment) = url.find(['#', '?']).map_or((url, ""), |at| url.split_at(at));
    let file = normal(&sheet.parent().unwrap_or(Path::new("")).join(path));
    let name = file
        .strip_prefix(style_folder.join("assets"))
        .map(|name| name.to_string_lossy().into_owned());
    match name.ok().and_then(|name| assets.get(&name)) {
        Some(to) => Ok(format!("../{to}{fragment}")),
        None => bail!(
            "{} names url({url}), which is no file below style/assets",
            sheet.display()
        ),
    }
}

/// `a/./b/../c` → `a/c`, without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(files: &[(&str, &str)]) -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            fs::write(path, text)?;
        }
        Ok(folder)
    }

    #[test]
    fn imports_are_inlined_and_assets_get_their_published_name() -> Result<()> {
        let folder = write(&[
            (
                "main.css",
                "@import \"parts/button.css\";\nbody { color: #ff0000; }",
            ),
            (
                "parts/button.css",
                ".b { background: url(../assets/icons/a.svg#x); mask: url(\"data:image/png,1\") }",
            ),
        ])?;
        let assets = BTreeMap::from([("icons/a.svg".to_owned(), "assets/icons/a.123.svg".to_owned())]);
        let css = bundle(&folder.path().join("main.css"), &assets)?;
        assert!(css.contains("url(\"../assets/icons/a.123.svg#x\")"), "{css}");
        assert!(css.contains("data:image/png,1"), "{css}");
        assert!(css.contains("body{color:red}"), "{css}");
        assert!(!css.contains("@import"), "{css}");
        Ok(())
    }

    #[test]
    fn a_missing_asset_and_bad_style_are_errors() -> Result<()> {
        let missing = write(&[("main.css", "a { background: url(assets/none.svg) }")])?;
        let error = bundle(&missing.path().join("main.css"), &BTreeMap::new())
            .err()
            .map(|e| e.to_string());
        assert!(error.is_some_and(|text| text.contains("assets/none.svg")));
        let bad = write(&[("main.css", "a { color: red; } }")])?;
        assert!(bundle(&bad.path().join("main.css"), &BTreeMap::new()).is_err());
        let gone = write(&[("main.css", "@import \"gone.css\";")])?;
        assert!(bundle(&gone.path().join("main.css"), &BTreeMap::new()).is_err());
        Ok(())
    }
}
