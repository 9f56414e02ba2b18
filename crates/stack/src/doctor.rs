//! `bagua doctor`: what would keep `bagua up` from starting. Changes nothing.

use std::path::Path;

use crate::engines;
use crate::layout::Layout;
use crate::lock::FolderLock;
use crate::options::UpOptions;
use crate::ports;
use crate::user;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, but somebody should know.
    Notice,
    /// Keeps `bagua up` from starting.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, such as `PostgreSQL` or `port 3000`.
    pub subject: String,
    /// What was found.
    pub verdict: Verdict,
    /// In words; with the remedy when it is bad.
    pub detail: String,
}

impl Check {
    fn new(subject: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            verdict,
            detail: detail.into(),
        }
    }
}

/// Looks at options, engines, user, folder, lock and ports.
pub async fn doctor(options: &UpOptions) -> Vec<Check> {
    let regions = match options.validate().and_then(|()| options.region_list()) {
        Ok(regions) => regions,
        Err(error) => return vec![Check::new("options", Verdict::Bad, error.to_string())],
    };
    let layout = Layout {
        data: options.data_folder(),
        port: options.port,
        regions,
        demo_bots: options.with_demo_bots(),
    };
    let mut checks: Vec<Check> = engines::look(&layout)
        .await
        .into_iter()
        .map(|found| match found.result {
            Ok((path, Some((major, minor)))) => Check::new(
                found.wanted.name,
                Verdict::Good,
                format!("{major}.{minor} at {}", path.display()),
            ),
            Ok((path, None)) => Check::new(found.wanted.name, Verdict::Good, path.display().to_string()),
            Err(fault) => Check::new(found.wanted.name, Verdict::Bad, fault),
        })
        .collect();
    checks.push(folder(&layout.data));
    match user::engine_user(&layout.path("postgres")) {
        Ok(None) => checks.push(Check::new("engines' user", Verdict::Good, "yourself")),
        Ok(Some(user)) => checks.push(match user::check_reach(&user, &layout.data) {
            Ok(()) => Check::new("engines' user", Verdict::Good, user.name),
            Err(error) => Check::new("engines' user", Verdict::Bad, error.to_string()),
        }),
        Err(error) => checks.push(Check::new("engines' user", Verdict::Bad, error.to_string())),
    }
    if let Some(held) = FolderLock::holder(&layout) {
        // Its own ports are in use then, which is as it should be.
        checks.push(Check::new("lock", Verdict::Notice, held.to_string()));
        return checks;
    }
    checks.push(Check::new("lock", Verdict::Good, "nobody runs on this folder"));
    match ports::check(&layout, std::time::Duration::ZERO).await {
        Ok(()) => checks.push(Check::new(
            "ports",
            Verdict::Good,
            format!(
                "{} to {} are free where needed",
                layout.port,
                layout.port + crate::layout::LAST_OFFSET
            ),
        )),
        Err(error) => checks.push(Check::new("ports", Verdict::Bad, error.to_string())),
    }
    checks
}

/// Whether the folder, or the nearest one above it that exists, can be written.
fn folder(data: &Path) -> Check {
    let Some(existing) = data.ancestors().find(|path| path.exists()) else {
        return Check::new(
            "data folder",
            Verdict::Bad,
            format!("{} has no parent folder", data.display()),
        );
    };
    let writable = nix::unistd::access(
        existing,
        nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK,
    );
    match writable {
        Ok(()) if existing == data => Check::new("data folder", Verdict::Good, data.display().to_string()),
        Ok(()) => Check::new(
            "data folder",
            Verdict::Good,
            format!("{} will be made", data.display()),
        ),
        Err(error) => Check::new(
            "data folder",
            Verdict::Bad,
            format!(
                "{} cannot be written ({error}). Choose another folder with --data (or BAGUA_DATA).",
                existing.display()
            ),
        ),
    }
}
