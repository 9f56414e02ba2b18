//! Finding the engines and refusing what is too old.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::error::StackError;
use crate::layout::Layout;

/// Version as far as it matters.
pub(crate) type Version = (u32, u32);

/// An engine that we need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Its name for people.
    pub(crate) name: &'static str,
    /// What its executable may be called: Debian's name, then upstream's.
    programs: &'static [&'static str],
    /// The oldest version that works; `None` when any does.
    minimum: Option<Version>,
    /// Debian package.
    package: &'static str,
}

impl Wanted {
    const fn new(
        name: &'static str,
        programs: &'static [&'static str],
        minimum: Option<Version>,
        package: &'static str,
    ) -> Self {
        Self {
            name,
            programs,
            minimum,
            package,
        }
    }

    fn remedy(&self) -> String {
        format!(
            "Install it: apt-get install --no-install-recommends {}",
            self.package
        )
    }
}

const POSTGRES: Wanted = Wanted::new("PostgreSQL", &["postgres"], Some((15, 0)), "postgresql");
const REDIS: Wanted = Wanted::new("Redis", &["redis-server"], Some((7, 0)), "redis-server");
const PROMETHEUS: Wanted = Wanted::new("Prometheus", &["prometheus"], Some((2, 42)), "prometheus");
const PROMTOOL: Wanted = Wanted::new("promtool", &["promtool"], Some((2, 42)), "prometheus");
const ALERTMANAGER: Wanted = Wanted::new(
    "Alertmanager",
    &["prometheus-alertmanager", "alertmanager"],
    Some((0, 25)),
    "prometheus-alertmanager",
);
const AMTOOL: Wanted = Wanted::new("amtool", &["amtool"], Some((0, 25)), "prometheus-alertmanager");
const NODE: Wanted = Wanted::new(
    "the node exporter",
    &["prometheus-node-exporter", "node_exporter"],
    None,
    "prometheus-node-exporter",
);
const POSTGRES_EXPORTER: Wanted = Wanted::new(
    "the PostgreSQL exporter",
    &["prometheus-postgres-exporter", "postgres_exporter"],
    None,
    "prometheus-postgres-exporter",
);
const REDIS_EXPORTER: Wanted = Wanted::new(
    "the Redis exporter",
    &["prometheus-redis-exporter", "redis_exporter"],
    None,
    "prometheus-redis-exporter",
);
const BLACKBOX: Wanted = Wanted::new(
    "the blackbox exporter",
    &["prometheus-blackbox-exporter", "blackbox_exporter"],
    None,
    "prometheus-blackbox-exporter",
);

/// Every engine, found.
#[derive(Debug, Clone)]
pub(crate) struct Engines {
    /// Folder of PostgreSQL's programs.
    pub(crate) postgres_bin: PathBuf,
    pub(crate) redis: PathBuf,
    pub(crate) prometheus: PathBuf,
    pub(crate) promtool: PathBuf,
    pub(crate) alertmanager: PathBuf,
    pub(crate) amtool: PathBuf,
    pub(crate) node_exporter: PathBuf,
    pub(crate) postgres_exporter: PathBuf,
    pub(crate) redis_exporter: PathBuf,
    pub(crate) blackbox_exporter: PathBuf,
}

/// What was found of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) wanted: Wanted,
    pub(crate) result: Result<(PathBuf, Option<Version>), String>,
}

/// Where to look for executables: `PATH`, then the folders that Debian keeps daemons in.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"].map(PathBuf::from))
        .collect()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn look_up(programs: &[&str]) -> Option<PathBuf> {
    let folders = search_path();
    programs.iter().find_map(|name| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))
    })
}

/// Every folder with a `postgres` in it: Debian's versioned ones newest first, then those on `PATH`.
fn postgres_folders() -> Vec<PathBuf> {
    let mut versioned: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versioned.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let on_path = search_path().into_iter().filter_map(|folder| {
        // A link such as /usr/local/bin/postgres leads to the folder where the other programs are.
        fs::canonicalize(folder.join("postgres"))
            .ok()?
            .parent()
            .map(Path::to_owned)
    });
    let mut folders: Vec<PathBuf> = versioned
        .into_iter()
        .map(|(_, folder)| folder)
        .chain(on_path)
        .collect();
    folders.retain(|folder| is_program(&folder.join("postgres")) && is_program(&folder.join("initdb")));
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// The first `major.minor` in a program's words about its version.
fn parse_version(text: &str) -> Option<Version> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .find_map(|word| {
            let mut parts = word.trim_matches('.').split('.');
            let major = parts.next()?.parse().ok()?;
            let minor = parts.next()?.parse().ok()?;
            Some((major, minor))
        })
}

async fn version_of(program: &Path) -> Option<Version> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(10), output)
        .await
        .ok()?
        .ok()?;
    // Some print it to standard error.
    parse_version(&String::from_utf8_lossy(&output.stdout))
        .or_else(|| parse_version(&String::from_utf8_lossy(&output.stderr)))
}

fn judge(
    wanted: &Wanted,
    program: PathBuf,
    version: Option<Version>,
) -> Result<(PathBuf, Option<Version>), String> {
    match (wanted.minimum, version) {
        (None, version) => Ok((program, version)),
        (Some((major, minor)), None) => Err(format!(
            "{} at {} does not tell its version, and {major}.{minor} or newer is needed. {}",
            wanted.name,
            program.display(),
            wanted.remedy()
        )),
        (Some(minimum), Some(version)) if version >= minimum => Ok((program, Some(version))),
        (Some((major, minor)), Some((have, have_minor))) => Err(format!(
            "{} {have}.{have_minor} at {} is too old: {major}.{minor} or newer is needed. {}",
            wanted.name,
            program.display(),
            wanted.remedy()
        )),
    }
}

async fn find(wanted: Wanted) -> Found {
    let result = match look_up(wanted.programs) {
        None => Err(format!("{} is not installed. {}", wanted.name, wanted.remedy())),
        Some(program) => {
            let version = if wanted.minimum.is_some() {
                version_of(&program).await
            } else {
                None
            };
            judge(&wanted, program, version)
        }
    };
    Found { wanted, result }
}

/// PostgreSQL: the version that made an existing cluster, else the newest.
async fn find_postgres(layout: &Layout) -> Found {
    let wanted = POSTGRES;
    let made_by: Option<u32> = fs::read_to_string(layout.path("postgres/PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let mut newest: Option<Result<(PathBuf, Option<Version>), String>> = None;
    for folder in postgres_folders() {
        let version = version_of(&folder.join("postgres")).await;
        let judged = judge(&wanted, folder.clone(), version);
        match (made_by, version) {
            (Some(major), Some((have, _))) if major == have => {
                return Found {
                    wanted,
                    result: judged,
                };
            }
            (Some(_), _) => {}
            (None, _) if judged.is_ok() => {
                return Found {
                    wanted,
                    result: judged,
                };
            }
            (None, _) => newest = newest.or(Some(judged)),
        }
    }
    let result = match made_by {
        Some(major) => Err(format!(
            "The database cluster in {} was made by PostgreSQL {major}, which is not installed. \
             Install it: apt-get install --no-install-recommends postgresql-{major}",
            layout.path("postgres").display()
        )),
        None => {
            newest.unwrap_or_else(|| Err(format!("{} is not installed. {}", wanted.name, wanted.remedy())))
        }
    };
    Found { wanted, result }
}

/// Looks for everything; the order is fixed.
pub(crate) async fn look(layout: &Layout) -> Vec<Found> {
    let (postgres, others) = futures::join!(
        find_postgres(layout),
        futures::future::join_all(
            [
                REDIS,
                PROMETHEUS,
                PROMTOOL,
                ALERTMANAGER,
                AMTOOL,
                NODE,
                POSTGRES_EXPORTER,
                REDIS_EXPORTER,
                BLACKBOX
            ]
            .map(find)
        )
    );
    std::iter::once(postgres).chain(others).collect()
}

/// Everything, or what is missing in one error.
pub(crate) async fn require(layout: &Layout) -> Result<Engines, StackError> {
    let found = look(layout).await;
    let faults: Vec<&str> = found
        .iter()
        .filter_map(|engine| engine.result.as_ref().err().map(String::as_str))
        .collect();
    if !faults.is_empty() {
        return Err(StackError::Engine(faults.join("\n")));
    }
    let mut paths = found
        .into_iter()
        .filter_map(|engine| engine.result.ok())
        .map(|(path, _)| path);
    let mut next = || paths.next().unwrap_or_default();
    Ok(Engines {
        postgres_bin: next(),
        redis: next(),
        prometheus: next(),
        promtool: next(),
        alertmanager: next(),
        amtool: next(),
        node_exporter: next(),
        postgres_exporter: next(),
        redis_exporter: next(),
        blackbox_exporter: next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_engines_write_them() {
        for (text, version) in [
            ("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", (15, 20)),
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
                (7, 0),
            ),
            ("prometheus, version 2.42.0+ds (branch: debian/sid)", (2, 42)),
            ("alertmanager, version 0.25.0 (branch: debian/sid)", (0, 25)),
        ] {
            assert_eq!(parse_version(text), Some(version), "{text}");
        }
        assert_eq!(parse_version("no numbers"), None);
    }

    #[test]
    fn too_old_is_refused_with_the_command_that_helps() {
        let fault = judge(&PROMETHEUS, "/usr/bin/prometheus".into(), Some((2, 9)))
            .err()
            .unwrap_or_default();
        assert!(
            fault.contains("2.9") && fault.contains("2.42") && fault.contains("apt-get install"),
            "{fault}"
        );
        assert!(judge(&PROMETHEUS, "/usr/bin/prometheus".into(), Some((3, 0))).is_ok());
    }
}
