//! `cargo xtask build`: server, browser side, style, assets, and the site folder they are published in.

mod bindgen;
mod charts;
mod messages;
mod publish;
#[cfg(feature = "split")]
mod split;
mod stamp;
mod style;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::build::publish::Publisher;
use crate::context::{Context, files_below, run as run_command};

/// How to compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Quick to build.
    Dev,
    /// Small and fast to use.
    Release,
}

impl Mode {
    /// Cargo's folder for this mode below the target folder.
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    /// Cargo's name of the profile that both sides are compiled with.
    fn profile(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    /// The profile in Cargo.toml that says what is different for the browser.
    fn browser_profile(self) -> &'static str {
        match self {
            Self::Dev => "wasm-dev",
            Self::Release => "wasm-release",
        }
    }

    /// Brotli's effort: in development only the waiting counts.
    fn brotli_quality(self) -> i32 {
        match self {
            Self::Dev => 4,
            Self::Release => 11,
        }
    }
}

impl Context {
    /// The site folder of a mode, beside the server's binary.
    pub fn site(&self, mode: Mode) -> PathBuf {
        self.target.join(mode.folder()).join("site")
    }
}

/// Builds everything (`site_only`: all but the server).
pub fn run(context: &Context, mode: Mode, site_only: bool) -> Result<()> {
    if mode == Mode::Release && !cfg!(feature = "split") {
        return again_with_split(context, site_only);
    }
    let start = Instant::now();
    if !site_only {
        let mut command = context.cargo();
        command.args(["build", "--package", "bagua-server", "--profile", mode.profile()]);
        // The committed .sqlx serves a build without a database; who wants the live one sets SQLX_OFFLINE=false.
        if std::env::var_os("SQLX_OFFLINE").is_none() {
            command.env("SQLX_OFFLINE", "true");
        }
        run_command(&mut command, "building the server")?;
    }
    let wasm = build_browser(context, mode)?;
    let site = assemble(context, mode, &wasm)?;
    eprintln!(
        "built {} in {:.1} s",
        site.display(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A release build cuts the browser's module in parts; the library that can is compiled only for who needs it.
fn again_with_split(context: &Context, site_only: bool) -> Result<()> {
    let mut command = context.cargo();
    command.args([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--features",
        "split",
        "--",
        "build",
        "--release",
    ]);
    if site_only {
        command.arg("--site-only");
    }
    run_command(&mut command, "the release build")
}

/// Compiles the browser side and answers where the module is.
fn build_browser(context: &Context, mode: Mode) -> Result<PathBuf> {
    let manifest = fs::read_to_string(context.root.join("Cargo.toml"))?;
    let mut command = context.cargo();
    command.args([
        "build",
        "--package",
        "bagua-frontend",
        "--target",
        "wasm32-unknown-unknown",
    ]);
    if mode == Mode::Release {
        command.args(["--features", "split"]);
    }
    command.args(["--profile", mode.profile()]);
    // Not `--profile wasm-dev`: a profile of its own has a folder of its own, in which every macro crate is compiled once
    // more for this machine. The same values laid over `dev` leave the macros where the server's build put them.
    for setting in profile_settings(&manifest, mode.browser_profile(), mode.profile())? {
        command.args(["--config", &setting]);
    }
    run_command(&mut command, "building the browser side").map_err(|error| {
        if wasm_target_is_missing() {
            error.context("Rust's wasm32-unknown-unknown target is missing: type: rustup target add wasm32-unknown-unknown")
        } else {
            error
        }
    })?;
    Ok(context
        .target
        .join("wasm32-unknown-unknown")
        .join(mode.folder())
        .join("bagua_frontend.wasm"))
}

fn wasm_target_is_missing() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(rustc)
        .args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"])
        .output()
        .is_ok_and(|out| !Path::new(String::from_utf8_lossy(&out.stdout).trim()).is_dir())
}

/// `[profile.<from>]` of a manifest as cargo `--config` values for the profile `to`.
fn profile_settings(manifest: &str, from: &str, to: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let profile = manifest
        .get("profile")
        .and_then(|profiles| profiles.get(from))
        .and_then(toml::Value::as_table)
        .with_context(|| format!("Cargo.toml has no [profile.{from}]"))?;
    let mut settings = Vec::new();
    for (key, value) in profile.iter().filter(|(key, _)| *key != "inherits") {
        if value.is_table() {
            bail!("[profile.{from}.{key}] is not carried over; write plain values into [profile.{from}]");
        }
        settings.push(format!("profile.{to}.{key}={value}"));
    }
    Ok(settings)
}

/// Turns module, style and assets into a site folder. Leaves it alone when none of them has changed.
fn assemble(context: &Context, mode: Mode, wasm: &Path) -> Result<PathBuf> {
    let site = context.site(mode);
    let style_folder = context.root.join("style");
    let mut inputs = files_below(&style_folder)?;
    inputs.push(wasm.to_path_buf());
    inputs.push(std::env::current_exe()?);
    inputs.push(context.root.join(charts::SOURCE));
    inputs.push(context.root.join(charts::LOCK));
    let stamp = stamp::of_files(&inputs)?;
    let stamp_file = site.join(".stamp");
    if stamp::matches(&stamp_file, &stamp) && site.join(crate::manifest::Manifest::NAME).is_file() {
        link_latest(context, &site)?;
        return Ok(site);
    }

    fs::create_dir_all(&site)?;
    let mut publisher = Publisher::new(&site, mode.brotli_quality());
    let assets = publish_assets(&mut publisher, &style_folder.join("assets"))?;
    let css = style::bundle(&style_folder.join("main.css"), &assets)?;
    publisher.add("pkg/bagua.css", css.into_bytes())?;
    let bound = bindgen::bind(context, mode, wasm)?;
    let js = publisher.add_snippets(&bound.snippets, bound.js)?;
    let js = publisher.add_later(&bound.later, js)?;
    publisher.add("pkg/bagua.js", js.into_bytes())?;
    publisher.add("pkg/bagua.wasm", bound.wasm)?;
    for (language, messages) in messages::read(&context.root.join("crates/model/locales"))? {
        publisher.add(&format!("pkg/messages.{language}.txt"), messages.into_bytes())?;
    }
    let charts = charts::bundle(context, mode)?;
    let whole = charts.is_some();
    if let Some(script) = charts {
        publisher.add("pkg/later/charts.js", script)?;
    }
    publisher.finish(mode.profile())?;
    // A build without the charts is done again as soon as it can be whole.
    if whole {
        fs::write(stamp_file, stamp)?;
    }
    link_latest(context, &site)?;
    Ok(site)
}

/// Everything below `style/assets`, answering logical path below that folder → published path.
fn publish_assets(publisher: &mut Publisher, folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut published = BTreeMap::new();
    for path in files_below(folder)? {
        let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let to = publisher.add(&format!("assets/{name}"), bytes)?;
        published.insert(name, to);
    }
    Ok(published)
}

/// `<target>/site` points at the site that was built last, for whoever looks there.
fn link_latest(context: &Context, site: &Path) -> Result<()> {
    let link = context.target.join("site");
    let to = site.strip_prefix(&context.target)?;
    if fs::read_link(&link).is_ok_and(|now| now == to) {
        return Ok(());
    }
    let part = context.target.join(".site.part");
    let _ = fs::remove_file(&part);
    symlink(to, &part)?;
    fs::rename(&part, &link).with_context(|| format!("cannot point {} at {}", link.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_profile_becomes_settings_of_the_shared_one() -> Result<()> {
        let manifest =
            "[profile.wasm-dev]\ninherits = \"dev\"\nopt-level = 1\ndebug = false\nlto = \"fat\"\n";
        assert_eq!(
            profile_settings(manifest, "wasm-dev", "dev")?,
            [
                "profile.dev.debug=false",
                "profile.dev.lto=\"fat\"",
                "profile.dev.opt-level=1"
            ]
        );
        Ok(())
    }

    #[test]
    fn a_profile_that_cannot_be_carried_over_is_an_error() {
        assert!(profile_settings("[profile.dev]\n", "wasm-dev", "dev").is_err());
        assert!(
            profile_settings("[profile.wasm-dev.package.x]\nopt-level = 3\n", "wasm-dev", "dev").is_err()
        );
    }
}
