//! The private PostgreSQL cluster: made once, with roles and databases.

use std::path::Path;
use std::time::Duration;

use crate::check::Helper;
use crate::engines::Engines;
use crate::error::StackError;
use crate::files;
use crate::layout::Layout;
use crate::render::{CONTROL_DATABASE, KEY_DATABASE, data_database};
use crate::secrets::Secrets;
use crate::user::RunAs;

/// The cluster's superuser, used here and nowhere else.
const SUPERUSER: &str = "bagua_admin";

/// Makes the cluster when there is none.
pub(crate) async fn cluster(
    layout: &Layout,
    engines: &Engines,
    secrets: &Secrets,
    user: Option<&RunAs>,
) -> Result<(), StackError> {
    let folder = layout.path("postgres");
    if folder.join("PG_VERSION").exists() {
        return Ok(());
    }
    // Made beside and renamed when whole, so that an interrupted start leaves nothing that looks like a cluster.
    let beside = layout.path("postgres.new");
    match std::fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StackError::file("Removing", &beside, error));
        }
        _ => {}
    }
    files::folder(&beside, 0o700, user)?;
    let password = layout.path("etc/initdb.password");
    files::write(&password, secrets.postgres_superuser.expose(), 0o640, user)?;
    let made = Helper {
        what: "Making the database cluster",
        program: engines.postgres_bin.join("initdb"),
        arguments: vec![
            "--pgdata".into(),
            beside.display().to_string(),
            "--username".into(),
            SUPERUSER.into(),
            "--pwfile".into(),
            password.display().to_string(),
            "--auth=scram-sha-256".into(),
            "--encoding=UTF8".into(),
            "--locale=C.UTF-8".into(),
            "--data-checksums".into(),
        ],
        environment: vec![("LC_ALL", "C.UTF-8".to_owned())],
        input: None,
        run_as: user,
        patience: Duration::from_secs(120),
    }
    .run()
    .await;
    let _ = std::fs::remove_file(&password);
    made?;
    // An empty folder may be there already.
    let _ = std::fs::remove_dir(&folder);
    std::fs::rename(&beside, &folder).map_err(|error| StackError::file("Naming", &folder, error))
}

/// Whether this PostgreSQL brings `pg_stat_statements`; without it a preload would keep it from starting.
pub(crate) async fn has_statement_statistics(engines: &Engines) -> bool {
    let library = |folder: &Path| folder.join("pg_stat_statements.so").exists();
    let asked = Helper {
        what: "Asking pg_config",
        program: engines.postgres_bin.join("pg_config"),
        arguments: vec!["--pkglibdir".into()],
        environment: vec![],
        input: None,
        run_as: None,
        patience: Duration::from_secs(5),
    };
    match asked.run().await {
        Ok(folder) => library(Path::new(folder.trim())),
        Err(_) => engines
            .postgres_bin
            .parent()
            .is_some_and(|above| library(&above.join("lib"))),
    }
}

/// Roles and databases; what is there already stays as it is.
pub(crate) async fn roles_and_databases(
    layout: &Layout,
    engines: &Engines,
    secrets: &Secrets,
) -> Result<(), StackError> {
    Helper {
        what: "Making database roles and databases",
        program: engines.postgres_bin.join("psql"),
        arguments: ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]
            .map(str::to_owned)
            .into(),
        environment: vec![
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", layout.port_of("postgres").to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGPASSWORD", secrets.postgres_superuser.expose().to_owned()),
            ("PGDATABASE", "postgres".to_owned()),
            ("PGSSLMODE", "disable".to_owned()),
            ("PGCONNECT_TIMEOUT", "10".to_owned()),
        ],
        input: Some(script(layout, secrets)),
        run_as: None,
        patience: Duration::from_secs(120),
    }
    .run()
    .await
    .map(drop)
}

/// Passwords are letters and digits and region codes are checked, so nothing needs quoting beyond quotes.
fn script(layout: &Layout, secrets: &Secrets) -> String {
    let mut text = String::from("SET client_min_messages = warning;\n");
    for (role, password) in [
        ("bagua_owner", &secrets.postgres_owner),
        ("bagua_app", &secrets.postgres_app),
        ("bagua_monitor", &secrets.postgres_monitor),
    ] {
        text += &format!(
            "SELECT 'CREATE ROLE {role} LOGIN PASSWORD ''{}''' \
             WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec\n",
            password.expose()
        );
    }
    text += "SELECT 'GRANT pg_monitor TO bagua_monitor' \
             WHERE NOT pg_has_role('bagua_monitor', 'pg_monitor', 'member') \\gexec\n";
    let databases = [CONTROL_DATABASE.to_owned(), KEY_DATABASE.to_owned()]
        .into_iter()
        .chain(layout.regions.iter().map(|region| data_database(region)));
    for database in databases {
        text += &format!(
            "SELECT 'CREATE DATABASE {database} OWNER bagua_owner' \
             WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec\n\
             REVOKE ALL ON DATABASE {database} FROM PUBLIC;\n\
             GRANT CONNECT ON DATABASE {database} TO bagua_app, bagua_monitor;\n"
        );
    }
    text += &format!(
        "\\connect {CONTROL_DATABASE}\n\
         SELECT 'CREATE EXTENSION pg_stat_statements' \
         WHERE EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements') \
         AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') \\gexec\n"
    );
    text
}
