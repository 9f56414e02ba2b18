//! A database for each test, copied from a template with this tree's migrations of one kind.

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// A database of one test. Dropped with this value.
pub struct TestDatabase {
    /// The role that may do everything, for arranging and for looking behind the scenes.
    pub owner: PgPool,
    /// The role that the console runs with.
    pub app: PgPool,
    /// How to connect as the console's role, for a process that the test starts.
    pub app_url: String,
    name: String,
    server: PgConnectOptions,
}

/// Which of the platform's databases: each has migrations of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// People, operations, audit, alerts.
    Control,
    /// A region's data.
    Data,
    /// Data keys.
    Keys,
}

impl Kind {
    /// The folder below `migrations/`.
    fn folder(self) -> &'static str {
        match self {
            Kind::Control => "control",
            Kind::Data => "data",
            Kind::Keys => "keys",
        }
    }
}

/// Makes a control database; see [`database_of`].
///
/// # Errors
/// As [`database_of`].
pub async fn database() -> anyhow::Result<TestDatabase> {
    database_of(Kind::Control).await
}

/// Makes a database. The server is that of `BAGUA_TEST_DATABASE_URL` (a superuser of a cluster in which nothing
/// matters), else the one of `./dev db`.
///
/// # Errors
/// When there is no such server, or a migration fails.
pub async fn database_of(kind: Kind) -> anyhow::Result<TestDatabase> {
    let url = server_url().await?;
    let server = PgConnectOptions::from_str(url)?.database("postgres");
    let template = template(&server, kind).await?;
    let name = format!("bagua_test_{}", Uuid::new_v4().simple());
    let mut admin = PgConnection::connect_with(&server).await?;
    // Copying the template waits for nobody but excludes whoever connects to it; nobody does.
    admin
        .execute(AssertSqlSafe(format!(
            "CREATE DATABASE {name} TEMPLATE {template}"
        )))
        .await?;
    admin.close().await?;
    let owner = PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(20))
        .connect_lazy_with(server.clone().database(&name));
    let app_options = server.clone().database(&name).username(APP).password(APP);
    let app = PgPoolOptions::new()
        .max_connections(12)
        .acquire_timeout(Duration::from_secs(20))
        .connect_lazy_with(app_options);
    let (host, port) = (server.get_host(), server.get_port());
    let app_url = format!("postgres://{APP}:{APP}@{host}:{port}/{name}");
    Ok(TestDatabase {
        owner,
        app,
        app_url,
        name,
        server,
    })
}

const APP: &str = "bagua_app";

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (name, server) = (self.name.clone(), self.server.clone());
        // The test's own runtime may be shutting down; this one is short-lived and waits for the drop.
        let dropped = std::thread::spawn(move || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&server).await?;
                admin
                    .execute(AssertSqlSafe(format!(
                        "DROP DATABASE IF EXISTS {name} WITH (FORCE)"
                    )))
                    .await?;
                Ok(admin.close().await?)
            })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("the test database {} was left behind", self.name);
        }
    }
}

async fn server_url() -> anyhow::Result<&'static str> {
    static URL: OnceCell<String> = OnceCell::const_new();
    let url = URL
        .get_or_try_init(|| async {
            if let Ok(url) = std::env::var("BAGUA_TEST_DATABASE_URL") {
                return Ok(url);
            }
            let output = tokio::process::Command::new(workspace().join("dev"))
                .arg("db")
                .output()
                .await?;
            ensure!(
                output.status.success(),
                "./dev db failed, and BAGUA_TEST_DATABASE_URL is not set: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        })
        .await?;
    Ok(url)
}

/// The root of the workspace that this was compiled in.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The template of these migrations; the first test that needs it makes it.
async fn template(server: &PgConnectOptions, kind: Kind) -> anyhow::Result<&'static str> {
    static TEMPLATES: [OnceCell<String>; 3] = [const { OnceCell::const_new() }; 3];
    let name = TEMPLATES[kind as usize]
        .get_or_try_init(|| async {
            let migrations = migrations(kind)?;
            let mut hash = Sha256::new();
            for (name, sql) in &migrations {
                hash.update(name);
                hash.update(sql);
            }
            let mut template = String::from("bagua_template_");
            for byte in hash.finalize().iter().take(8) {
                write!(template, "{byte:02x}")?;
            }
            make_template(server, &template, &migrations).await?;
            anyhow::Ok(template)
        })
        .await?;
    Ok(name)
}

async fn make_template(
    server: &PgConnectOptions,
    template: &str,
    migrations: &[(String, String)],
) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect_with(server).await?;
    // Several test programs may start at once; the lock goes with the connection.
    admin.execute("SELECT pg_advisory_lock(7233471)").await?;
    admin
        .execute(AssertSqlSafe(format!(
            "DO $$ BEGIN
                 IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP}') THEN CREATE ROLE {APP}; END IF;
             END $$;
             ALTER ROLE {APP} LOGIN PASSWORD '{APP}'"
        )))
        .await?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(template)
        .fetch_one(&mut admin)
        .await?;
    if !there {
        let unfinished = format!("{template}_unfinished");
        admin
            .execute(AssertSqlSafe(format!(
                "DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"
            )))
            .await?;
        admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {unfinished}")))
            .await?;
        let mut inside = PgConnection::connect_with(&server.clone().database(&unfinished)).await?;
        for (name, sql) in migrations {
            sqlx::raw_sql(AssertSqlSafe(sql.clone()))
                .execute(&mut inside)
                .await
                .with_context(|| format!("the migration {name} failed"))?;
        }
        inside.close().await?;
        admin
            .execute(AssertSqlSafe(format!(
                "ALTER DATABASE {unfinished} RENAME TO {template}"
            )))
            .await?;
    }
    admin.close().await?;
    Ok(())
}

/// The migrations of this tree, in order.
fn migrations(kind: Kind) -> anyhow::Result<Vec<(String, String)>> {
    let folder = workspace().join("migrations").join(kind.folder());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".sql") && !name.ends_with(".down.sql") {
            files.push((name, std::fs::read_to_string(&path)?));
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "there is no migration in {}", folder.display());
    Ok(files)
}
