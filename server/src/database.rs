//! Connections to the databases, and bringing them to the version that this binary knows.

use anyhow::{Context as _, bail};
use bagua_model::settings::Settings;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::str::FromStr as _;
use std::time::Duration;

/// PostgreSQL's code for a role that lacks a grant.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

static CONTROL: Migrator = sqlx::migrate!("../migrations/control");
/// Connections of one console to the control database.
const CONTROL_CONNECTIONS: u32 = 24;
static KEYS: Migrator = sqlx::migrate!("../migrations/keys");
static DATA: Migrator = sqlx::migrate!("../migrations/data");

/// A pool that connects when it is first needed, so that a console starts while its database is away.
pub fn control_pool(settings: &Settings) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(settings.control.url.expose())
        .context("control.url is not a PostgreSQL address")?;
    Ok(bagua_core::db::pool(options, CONTROL_CONNECTIONS))
}

/// Brings the control database, the key store and every cell to this binary's version, as their owner.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let owner = |url: &Option<bagua_model::settings::Secret>, key: &str| match url {
        Some(url) => Ok(url.expose().to_owned()),
        None => bail!("{key} is not set. `bagua migrate` needs the owning role's address"),
    };
    bring_up(
        &CONTROL,
        &owner(&settings.control.owner_url, "control.owner_url")?,
        "the control database",
    )
    .await?;
    if let Some(keys) = &settings.keys {
        let url = owner(&keys.owner_url, "keys.owner_url")?;
        bring_up(&KEYS, &url, "the key store").await?;
    }
    for cell in &settings.cells {
        let url = owner(&cell.owner_url, &format!("cells.owner_url of {}", cell.region))?;
        bring_up(&DATA, &url, &format!("the data database of {}", cell.region)).await?;
    }
    Ok(())
}

async fn connect(url: &str, what: &str) -> anyhow::Result<PgConnection> {
    tokio::time::timeout(Duration::from_secs(10), PgConnection::connect(url))
        .await
        .with_context(|| format!("{what} did not answer within 10 s"))?
        .with_context(|| {
            format!("{what} cannot be reached. See whether PostgreSQL runs and the address is right")
        })
}

async fn bring_up(migrator: &Migrator, url: &str, what: &str) -> anyhow::Result<()> {
    let mut connection = connect(url, what).await?;
    match migrator.run(&mut connection).await {
        Ok(()) => let_the_console_read_the_version(&mut connection, &migrator.table_name)
            .await
            .with_context(|| {
                format!("{what} is migrated, but the console's role cannot be allowed to read its version")
            }),
        Err(MigrateError::VersionMissing(version)) => bail!(newer(what, version)),
        Err(other) => {
            Err(other).with_context(|| format!("{what} could not be migrated; nothing was changed"))
        }
    }
}

/// The migrator's own table belongs to the owner. Without this grant the console could not compare versions.
async fn let_the_console_read_the_version(connection: &mut PgConnection, table: &str) -> sqlx::Result<()> {
    let grant = format!(
        "DO $$ BEGIN
             IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN GRANT SELECT ON {table} TO bagua_app; END IF;
         END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(grant)).execute(connection).await?;
    Ok(())
}

fn newer(what: &str, version: i64) -> String {
    format!(
        "{what} has migration {version}, which this binary does not know: the database is newer than the binary. \
         Use the newer bagua, or restore the backup that was taken before the upgrade. Nothing was changed"
    )
}

/// What stands between the control database and this binary.
#[derive(Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Same version.
    Current,
    /// The database lacks migrations: run `bagua migrate`.
    Behind,
    /// The database has a migration that this binary does not know.
    Newer(i64),
    /// The database answers, but does not tell the console's role which version it has.
    Unreadable,
}

/// Compares the control database with this binary.
pub async fn schema_state(url: &str) -> anyhow::Result<SchemaState> {
    let mut connection = connect(url, "the control database").await?;
    let table = &CONTROL.table_name;
    let present: Option<String> = sqlx::query_scalar("SELECT to_regclass($1)::text")
        .bind(table.as_ref())
        .fetch_one(&mut connection)
        .await
        .context("the control database did not say which version it has")?;
    if present.is_none() {
        return Ok(SchemaState::Behind);
    }
    let versions = AssertSqlSafe(format!("SELECT version FROM {table} ORDER BY version"));
    let applied: Vec<i64> = match sqlx::query_scalar(versions).fetch_all(&mut connection).await {
        Ok(applied) => applied,
        Err(sqlx::Error::Database(refusal)) if refusal.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) => {
            return Ok(SchemaState::Unreadable);
        }
        Err(other) => return Err(other).context("the list of migrations cannot be read"),
    };
    let known: Vec<i64> = CONTROL.iter().map(|m| m.version).collect();
    if let Some(unknown) = applied.iter().find(|version| !known.contains(version)) {
        return Ok(SchemaState::Newer(*unknown));
    }
    Ok(if applied.len() < known.len() {
        SchemaState::Behind
    } else {
        SchemaState::Current
    })
}

/// Refuses to serve on a schema that this binary does not fit. A database that is away refuses nothing: the console
/// starts with a notice and a read-only map.
pub async fn refuse_wrong_schema(settings: &Settings) -> anyhow::Result<()> {
    match schema_state(settings.control.url.expose()).await {
        Ok(SchemaState::Current) => Ok(()),
        Ok(SchemaState::Behind) => {
            bail!(
                "The control database is older than this binary. Run `bagua migrate` first; it changes nothing else"
            )
        }
        Ok(SchemaState::Newer(version)) => bail!(newer("the control database", version)),
        Ok(SchemaState::Unreadable) => bail!(
            "The control database does not tell this console's role which version it has. Run `bagua migrate` once; \
             it grants what is missing"
        ),
        Err(away) => {
            tracing::warn!(
                error = format!("{away:#}"),
                "the control database is away; starting read-only"
            );
            Ok(())
        }
    }
}
