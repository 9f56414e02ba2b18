//! What a first visit downloads, against its budget.

use anyhow::{Context as _, Result, bail};

use crate::build::Mode;
use crate::context::Context;
use crate::manifest::Manifest;

/// Bytes (brotli) that a first visit may load before the page is alive: script, WASM, style and the messages of one language.
const BUDGET: u64 = 300_000;
/// Bytes (brotli) of the charts' script, which only pages with charts load, and after they are alive. ECharts' core alone
/// is most of it; what grows it is a component that nobody asked for.
const CHARTS: u64 = 145_000;

/// Prints the first load of the release build; fails above the budget.
pub fn run(context: &Context) -> Result<()> {
    let site = context.site(Mode::Release);
    let manifest =
        Manifest::read(&site).context("no release build to measure; run `cargo xtask build --release`")?;
    let parts = first_load(&manifest);
    if !["js", "wasm", "css", "txt"]
        .iter()
        .all(|end| parts.iter().any(|(name, _)| name.ends_with(end)))
    {
        bail!(
            "the manifest of {} lacks script, WASM, style or messages; build again",
            site.display()
        );
    }
    for (name, bytes) in &parts {
        println!("{bytes:>9}  {name}");
    }
    let sum: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    println!("{sum:>9}  first load, brotli ({BUDGET} allowed)");
    if sum > BUDGET {
        bail!(
            "the first load is {} bytes above its budget of {BUDGET}; see what grew, or load it on demand",
            sum - BUDGET
        );
    }
    let charts = manifest.files.get("pkg/later/charts.js");
    let charts = charts.context("the manifest lacks the charts' script; install npm and build again")?;
    let bytes = charts.brotli_bytes.unwrap_or(charts.bytes);
    println!("{bytes:>9}  charts, loaded by pages with charts, brotli ({CHARTS} allowed)");
    if bytes > CHARTS {
        bail!(
            "the charts' script is {} bytes above its budget of {CHARTS}",
            bytes - CHARTS
        );
    }
    Ok(())
}

/// Everything in `pkg/` but the parts that are loaded when they are wanted, with the size that travels; of the languages the largest.
fn first_load(manifest: &Manifest) -> Vec<(&str, u64)> {
    let of = |messages: bool| {
        let files = manifest.files.iter();
        files
            .filter(move |(name, _)| name.starts_with("pkg/") && !name.starts_with("pkg/later/"))
            .filter(move |(name, _)| name.starts_with("pkg/messages.") == messages)
            .map(|(name, file)| (name.as_str(), file.brotli_bytes.unwrap_or(file.bytes)))
    };
    of(false)
        .chain(of(true).max_by_key(|(_, bytes)| *bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Published;

    #[test]
    fn counts_what_travels_and_leaves_assets_and_later_parts_out() {
        let mut manifest = Manifest::default();
        let file = |bytes, brotli_bytes| Published {
            path: String::new(),
            bytes,
            brotli_bytes,
        };
        manifest.files.insert("pkg/bagua.js".into(), file(100, Some(30)));
        manifest.files.insert("pkg/tiny.css".into(), file(5, None));
        manifest
            .files
            .insert("assets/big.png".into(), file(1_000_000, None));
        manifest
            .files
            .insert("pkg/later/rooms.wasm".into(), file(100, Some(20)));
        for (name, bytes) in [("pkg/messages.en.txt", 7), ("pkg/messages.zh-CN.txt", 8)] {
            manifest.files.insert(name.into(), file(50, Some(bytes)));
        }
        assert_eq!(
            first_load(&manifest),
            [
                ("pkg/bagua.js", 30),
                ("pkg/tiny.css", 5),
                ("pkg/messages.zh-CN.txt", 8)
            ]
        );
    }
}
