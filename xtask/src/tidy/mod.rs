//! `cargo xtask tidy`: rules of the house that the compiler does not know. Each check is a function from what is there
//! to a list of sentences; an empty list means all is well.

mod dependencies;
mod docs;
mod locales;
mod migrations;
mod sources;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;

/// A text file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl Source {
    /// A source for tests.
    #[cfg(test)]
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// What the repository holds: its files by name, and those of them that are text.
#[derive(Debug, Default)]
pub struct Tree {
    /// Path of every file, text or not.
    pub paths: Vec<String>,
    /// The text files.
    pub sources: Vec<Source>,
}

impl Tree {
    /// A tree of text files, for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self {
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
            sources: files.iter().map(|(path, text)| Source::new(path, text)).collect(),
        }
    }

    /// What git knows, and what it would know after `git add`.
    fn read(context: &Context) -> Result<Self> {
        let output = Command::new("git")
            .current_dir(&context.root)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .context("git could not be started")?;
        if !output.status.success() {
            bail!(
                "git ls-files failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let mut tree = Self::default();
        for path in String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|path| !path.is_empty())
        {
            // A file that is deleted but not yet committed as such is not there.
            let Ok(bytes) = fs::read(context.root.join(path)) else {
                continue;
            };
            tree.paths.push(path.to_owned());
            if let Ok(text) = String::from_utf8(bytes) {
                tree.sources.push(Source {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        tree.paths.sort();
        tree.paths.dedup();
        Ok(tree)
    }
}

/// Runs every check and fails when any has something to say.
pub fn run(context: &Context) -> Result<()> {
    let tree = Tree::read(context)?;
    let checks = [
        ("dependencies", dependencies::check(&context.metadata()?, &tree)),
        ("sources", sources::check(&tree)),
        ("migrations", migrations::check(&tree)),
        ("locales", locales::check(&tree)),
        ("docs", docs::check(&tree)),
    ];
    let mut count = 0;
    for (name, complaints) in &checks {
        for complaint in complaints {
            println!("{name}: {complaint}");
        }
        count += complaints.len();
    }
    if count > 0 {
        bail!("tidy found {count} things to mend");
    }
    println!("tidy: {} files, nothing to mend", tree.paths.len());
    Ok(())
}
