//! `.sqlx`: what the database says about every query in the source, so that a build needs no database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::context::{Context, files_below, run as run_command};

/// Regenerates `.sqlx`, or with `check` says whether the committed one is up to date.
pub fn run(context: &Context, check: bool) -> Result<()> {
    let url = match std::env::var("DATABASE_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => development_database(context)?,
    };
    // The macros write each query as they expand; a crate that cargo finds fresh expands nothing, hence the touch.
    let touched = Touched::sources(&context.metadata()?)?;
    let fresh = context.target.join("sqlx-fresh");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let mut command = context.cargo();
    command
        .args([
            "check",
            "--workspace",
            "--exclude",
            "bagua-frontend",
            "--exclude",
            "xtask",
            "--all-targets",
        ])
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &fresh);
    run_command(&mut command, "checking every query against the database")?;
    drop(touched);

    let committed = context.root.join(".sqlx");
    let (old, new) = (read(&committed)?, read(&fresh)?);
    let differing: Vec<&String> = old
        .keys()
        .chain(new.keys())
        .filter(|name| old.get(*name) != new.get(*name))
        .collect();
    if check {
        if !differing.is_empty() {
            bail!(
                ".sqlx is out of date in {} files; run `cargo xtask sqlx` and commit it",
                differing.len()
            );
        }
    } else {
        fs::create_dir_all(&committed)?;
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            fs::remove_file(committed.join(name))?;
        }
        for (name, text) in new.iter().filter(|(name, text)| old.get(*name) != Some(*text)) {
            fs::write(committed.join(name), text)?;
        }
    }
    println!(".sqlx: {} queries, {} files differed", new.len(), differing.len());
    Ok(())
}

fn development_database(context: &Context) -> Result<String> {
    let output = Command::new(context.root.join("dev"))
        .arg("db")
        .output()
        .context("./dev db could not be started")?;
    if !output.status.success() {
        bail!(
            "./dev db failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Source files with a newer time than their own, which get it back in the end: otherwise the next build would compile
/// for nothing all that the check compiled.
struct Touched(Vec<(PathBuf, SystemTime, SystemTime)>);

impl Touched {
    /// Makes cargo look again at every target of the packages that depend on sqlx.
    fn sources(metadata: &Value) -> Result<Self> {
        let mut touched = Self(Vec::new());
        for path in query_sources(metadata) {
            let touch = || -> std::io::Result<(SystemTime, SystemTime)> {
                let file = fs::File::options().append(true).open(&path)?;
                let before = file.metadata()?.modified()?;
                file.set_modified(SystemTime::now())?;
                Ok((before, file.metadata()?.modified()?))
            };
            let (before, now) = touch().with_context(|| format!("cannot touch {}", path.display()))?;
            touched.0.push((path, before, now));
        }
        Ok(touched)
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        for (path, before, now) in &self.0 {
            let Ok(file) = fs::File::options().append(true).open(path) else {
                continue;
            };
            // Edited meanwhile: its time is the edit's.
            if file
                .metadata()
                .and_then(|meta| meta.modified())
                .is_ok_and(|modified| modified == *now)
            {
                // At worst one crate is compiled once more.
                let _ = file.set_modified(*before);
            }
        }
    }
}

fn query_sources(metadata: &Value) -> Vec<PathBuf> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let uses_sqlx = |package: &Value| {
        list(&package["dependencies"])
            .iter()
            .any(|dep| dep["name"] == "sqlx")
    };
    list(&metadata["packages"])
        .iter()
        .filter(|package| uses_sqlx(package))
        .flat_map(|package| list(&package["targets"]))
        // A build script expands no query, and touching it would rebuild more than needed.
        .filter(|target| !list(&target["kind"]).contains(&"custom-build".into()))
        .filter_map(|target| target["src_path"].as_str().map(PathBuf::from))
        .collect()
}

/// File name → text of every query file in a folder.
fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for path in files_below(folder)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("query-") && name.ends_with(".json") {
            found.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_crates_with_sqlx_are_touched_and_no_build_scripts() {
        let metadata = json!({ "packages": [
            { "dependencies": [{ "name": "sqlx" }], "targets": [
                { "kind": ["lib"], "src_path": "/a/src/lib.rs" },
                { "kind": ["custom-build"], "src_path": "/a/build.rs" },
                { "kind": ["test"], "src_path": "/a/tests/t.rs" } ] },
            { "dependencies": [{ "name": "serde" }], "targets": [{ "kind": ["lib"], "src_path": "/b/src/lib.rs" }] },
        ]});
        assert_eq!(
            query_sources(&metadata),
            [PathBuf::from("/a/src/lib.rs"), PathBuf::from("/a/tests/t.rs")]
        );
    }

    #[test]
    fn a_touched_file_gets_its_time_back_unless_it_was_edited() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let paths = ["same.rs", "edited.rs"].map(|name| folder.path().join(name));
        for path in &paths {
            fs::write(path, "")?;
            fs::File::options().append(true).open(path)?.set_modified(old)?;
        }
        let targets: Vec<Value> = paths
            .iter()
            .map(|path| json!({ "kind": ["lib"], "src_path": path.to_string_lossy() }))
            .collect();
        let package = json!({ "dependencies": [{ "name": "sqlx" }], "targets": targets });
        let touched = Touched::sources(&json!({ "packages": [package] }))?;
        let time = |path: &PathBuf| fs::metadata(path).and_then(|meta| meta.modified());
        assert!(time(&paths[0])? > old && time(&paths[1])? > old);
        let edit = old + std::time::Duration::from_secs(5);
        fs::File::options()
            .append(true)
            .open(&paths[1])?
            .set_modified(edit)?;
        drop(touched);
        assert_eq!(time(&paths[0])?, old);
        assert_eq!(time(&paths[1])?, edit);
        Ok(())
    }

    #[test]
    fn only_query_files_count() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("query-1.json"), "{}")?;
        fs::write(folder.path().join("notes.txt"), "")?;
        assert_eq!(
            read(folder.path())?.into_keys().collect::<Vec<_>>(),
            ["query-1.json"]
        );
        Ok(())
    }
}
