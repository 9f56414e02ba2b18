//! The script that draws charts in the browser: ECharts from npm, only the parts in use, bundled by esbuild.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Mode;
use crate::context::{Context, run};

/// The script's source, below the root.
pub const SOURCE: &str = "frontend/charts/charts.js";
/// Says which versions are in use.
pub const LOCK: &str = "package-lock.json";

/// Bundles the script. Nothing when npm is not there and only a development build is wanted: the pictures that the
/// server draws stand for themselves.
pub fn bundle(context: &Context, mode: Mode) -> Result<Option<Vec<u8>>> {
    if !installed(&context.root) && !install(context, mode)? {
        return Ok(None);
    }
    let to = context.target.join("charts.js");
    let mut command = Command::new(context.root.join("node_modules/.bin/esbuild"));
    command
        .current_dir(&context.root)
        .args([
            SOURCE,
            "--bundle",
            "--minify",
            "--format=esm",
            "--target=es2022",
            "--log-level=warning",
            "--define:process.env.NODE_ENV=\"production\"",
        ])
        .arg(format!("--banner:js=/*! {} */", notice(&context.root)?))
        .arg(format!("--outfile={}", to.display()));
    run(&mut command, "bundling the charts")?;
    Ok(Some(fs::read(&to)?))
}

/// Whether what the lock file says is installed; npm writes its own copy of it at the end.
fn installed(root: &Path) -> bool {
    let time = |path: &str| fs::metadata(root.join(path)).and_then(|meta| meta.modified());
    let there = ["node_modules/.bin/esbuild", "node_modules/echarts/package.json"];
    match (time(LOCK), time("node_modules/.package-lock.json")) {
        (Ok(wanted), Ok(done)) => done >= wanted && there.iter().all(|path| root.join(path).exists()),
        _ => false,
    }
}

/// Whether the packages are there afterwards.
fn install(context: &Context, mode: Mode) -> Result<bool> {
    if Command::new("npm").arg("--version").output().is_err() {
        if mode == Mode::Release {
            bail!(
                "npm is missing, and with it the charts' script; install npm (Debian: apt-get install npm)"
            );
        }
        eprintln!(
            "npm is missing: charts stay the pictures that the server draws; install npm and build again"
        );
        return Ok(false);
    }
    eprintln!("installing the packages that charts are built from");
    let mut npm = Command::new("npm");
    npm.current_dir(&context.root).args([
        "ci",
        "--omit=dev",
        "--ignore-scripts",
        "--silent",
        "--no-audit",
        "--no-fund",
    ]);
    run(&mut npm, "npm ci")?;
    Ok(true)
}

/// The licence asks that its notice goes along.
fn notice(root: &Path) -> Result<String> {
    let package = root.join("node_modules/echarts/package.json");
    let text = fs::read_to_string(&package).with_context(|| format!("cannot read {}", package.display()))?;
    let package: serde_json::Value = serde_json::from_str(&text)?;
    let version = package["version"].as_str().context("ECharts without a version")?;
    Ok(format!(
        "Apache ECharts {version}, Copyright 2017-2024 The Apache Software Foundation, Apache License 2.0, \
         https://www.apache.org/licenses/LICENSE-2.0. This product includes software developed at The Apache \
         Software Foundation (https://www.apache.org/). Includes zrender, BSD 3-Clause."
    ))
}
