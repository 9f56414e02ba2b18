//! Builds again when a source file changes. Looks at modification times: no dependency, and it works on every mount.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::build::{self, Mode};
use crate::context::{Context, files_below};

const WATCHED: [&str; 6] = ["app", "crates", "frontend", "server", "style", "migrations"];
const INTERVAL: Duration = Duration::from_millis(500);

/// Builds now and after every change, until interrupted. A failed build is shown and waits for the next change.
pub fn run(context: &Context) -> Result<()> {
    loop {
        let before = snapshot(context)?;
        match build::run(context, Mode::Dev, false) {
            Ok(()) => eprintln!("watching; restart bagua to see the change"),
            Err(error) => eprintln!("{error:#}\nwatching; waiting for the next change"),
        }
        // Compared with the state before the build: what changed meanwhile must be built too.
        while snapshot(context)? == before {
            sleep(INTERVAL);
        }
    }
}

fn snapshot(context: &Context) -> Result<BTreeMap<PathBuf, Option<SystemTime>>> {
    let mut seen = BTreeMap::new();
    let modified = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    for folder in WATCHED {
        for path in files_below(&context.root.join(folder))? {
            let time = modified(&path);
            seen.insert(path, time);
        }
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        let path = context.root.join(file);
        let time = modified(&path);
        seen.insert(path, time);
    }
    Ok(seen)
}
