//! What `/proc` says about processes. Everything here is measured when it is asked for.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// A line of `/proc/<pid>/stat`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: u32,
    /// Own time and that of ended children which were waited for, in clock ticks.
    ticks: u64,
    /// Clock ticks after boot; with the id it names a process for ever.
    pub(crate) started: u64,
}

/// Reads one process; `None` when there is none.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name stands in parentheses and may hold any character, parentheses included.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        started: number(19)?,
    })
}

/// Figures of a process tree.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) memory_bytes: u64,
    pub(crate) open_files: u64,
    pub(crate) threads: u64,
    pub(crate) processes: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    /// Seconds since 1970.
    pub(crate) started_at: f64,
}

/// All processes at one moment, so that many trees cost one walk.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    processes: HashMap<u32, Stat>,
    children: HashMap<u32, Vec<u32>>,
}

impl Snapshot {
    /// Walks `/proc`.
    pub(crate) fn take() -> Self {
        let mut snapshot = Self::default();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(stat) = stat(pid) {
                snapshot.processes.insert(pid, stat);
                snapshot.children.entry(stat.parent).or_default().push(pid);
            }
        }
        snapshot
    }

    /// Sums the tree below and including `root`; `None` when it does not run.
    pub(crate) fn usage(&self, root: u32) -> Option<Usage> {
        let main = self.processes.get(&root)?;
        let mut usage = Usage {
            started_at: started_at(main.started)?,
            ..Usage::default()
        };
        let mut ticks = 0;
        // Shared memory is counted once: every PostgreSQL process maps the same buffers.
        let mut largest_shared = 0;
        let mut open = vec![root];
        while let Some(pid) = open.pop() {
            let Some(stat) = self.processes.get(&pid) else {
                continue;
            };
            open.extend(self.children.get(&pid).into_iter().flatten());
            ticks += stat.ticks;
            usage.processes += 1;
            usage.open_files +=
                fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |files| files.count() as u64);
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let kilobytes = |name: &str| field(&status, name).unwrap_or(0) * 1024;
            let shared = kilobytes("RssShmem:");
            usage.memory_bytes += kilobytes("VmRSS:").saturating_sub(shared);
            largest_shared = shared.max(largest_shared);
            usage.threads += field(&status, "Threads:").unwrap_or(0);
            let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
            usage.read_bytes += field(&io, "read_bytes:").unwrap_or(0);
            usage.written_bytes += field(&io, "write_bytes:").unwrap_or(0);
        }
        usage.memory_bytes += largest_shared;
        usage.cpu_seconds = ticks as f64 / ticks_per_second();
        Some(usage)
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// `USER_HZ` is 100 on every Linux that Rust runs on: the kernel fixes it for its interfaces.
fn ticks_per_second() -> f64 {
    100.0
}

fn started_at(ticks_after_boot: u64) -> Option<f64> {
    let boot = field(&fs::read_to_string("/proc/stat").ok()?, "btime ")?;
    Some(boot as f64 + ticks_after_boot as f64 / ticks_per_second())
}

/// Bytes that a folder takes on disk, links not followed. What vanishes while it is walked counts nothing.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut total = 0;
    let mut open = vec![folder.to_owned()];
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(here).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            total += meta.blocks() * 512;
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "77 (a) b (c)) S 12 77 77 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5555 1 2";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                state: 'S',
                parent: 12,
                ticks: 100,
                started: 5555
            })
        );
    }

    #[test]
    fn our_own_process_is_measured() -> anyhow::Result<()> {
        let snapshot = Snapshot::take();
        let usage = snapshot
            .usage(std::process::id())
            .ok_or_else(|| anyhow::anyhow!("not found"))?;
        assert!(usage.memory_bytes > 100_000, "{usage:?}");
        assert!(usage.open_files >= 3 && usage.threads >= 1, "{usage:?}");
        let age = time::OffsetDateTime::now_utc().unix_timestamp() as f64 - usage.started_at;
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
        assert_eq!(snapshot.usage(u32::MAX), None);
        Ok(())
    }
}
