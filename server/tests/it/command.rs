//! The binary's own words: what it says, where, and with which exit code.

use crate::support::{AWAY, Empty, Ground, HOME, configuration, without_cells};
use bagua_core::Actor;
use bagua_model::operation::{CancelOperation, ListOperations, OperationState, Submission};
use bagua_model::supervisor::{Action, ControlRequest};
use bagua_testkit::eventually;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tokio::process::Command;
use uuid::Uuid;

type Outcome = anyhow::Result<()>;

fn bagua(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bagua"));
    for name in [
        "BAGUA_CONFIG",
        "BAGUA_DATA",
        "BAGUA_PORT",
        "BAGUA_REGIONS",
        "BAGUA_LOG",
        "LC_ALL",
        "LC_MESSAGES",
    ] {
        command.env_remove(name);
    }
    command
        .env("LANG", "en_GB.UTF-8")
        .args(arguments)
        .kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    Ok(tokio::time::timeout(Duration::from_secs(60), bagua(arguments).output()).await??)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A configuration file in the ground's folder, changed.
fn file(ground: &Ground, name: &str, change: impl FnOnce(String) -> String) -> anyhow::Result<PathBuf> {
    let socket = ground.folder().join("supervisor.sock");
    let path = ground.folder().join(name);
    std::fs::write(
        &path,
        change(configuration(ground.folder(), &ground.db.app_url, &socket)),
    )?;
    Ok(path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_used_is_named_with_line_and_remedy() -> Outcome {
    let ground = Ground::new().await?;
    let absent = ground.folder().join("absent.toml");
    let unknown = file(&ground, "unknown.toml", |all| {
        all.replace("[redis]", "[redis]\nurls = \"redis://x\"")
    })?;
    let line = std::fs::read_to_string(&unknown)?
        .lines()
        .position(|l| l.starts_with("urls"))
        .unwrap()
        + 1;
    let line = format!("line {line}, column 1");
    let word = file(&ground, "word.toml", |all| {
        all.replace("127.0.0.1:3000\"\npublic", "here\"\npublic")
    })?;
    let stage = file(&ground, "stage.toml", |all| {
        all.replace("\"dev\"", "\"production\"")
    })?;
    let token = file(&ground, "token.toml", |all| {
        all.replace(crate::support::METRICS_TOKEN, "short")
    })?;
    let proxies = file(&ground, "proxies.toml", |all| {
        all.replace("[control]", "trusted_proxies = [\"the-proxy\"]\n[control]")
    })?;
    let cases: [(&Path, &[&str]); 6] = [
        (
            &proxies,
            &[
                "`listen.trusted_proxies` cannot be used",
                "`the-proxy`",
                "10.0.0.0/24",
            ],
        ),
        (&absent, &["absent.toml cannot be read", "bagua up", "--config"]),
        (&unknown, &[&line, "urls", "expected `url`"]),
        (&word, &["line 5, column", "address"]),
        (&stage, &["`environment` cannot be used", "dev, staging or prod"]),
        (
            &token,
            &["`metrics.token` cannot be used", "24 random characters"],
        ),
    ];
    for role in ["serve", "migrate", "ask"] {
        for (path, parts) in &cases {
            let output = run(&[role, "--config", text(path)]).await?;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(1), "{role} {}: {said}", path.display());
            assert!(
                said.starts_with("bagua: ") && !said.contains("panicked"),
                "{said}"
            );
            assert!(!said.contains("short"), "a secret is shown: {said}");
            for part in *parts {
                assert!(said.contains(part), "{role}: no `{part}` in: {said}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_newer_than_the_binary_is_left_alone() -> Outcome {
    let ground = Ground::new().await?;
    let empty = Empty::new(&ground.db).await?;
    let config = file(&ground, "newer.toml", |all| {
        let app = format!("url = \"{}\"", ground.db.app_url);
        without_cells(&all)
            .replace(
                &app,
                &format!("url = \"{}\"\nowner_url = \"{}\"", empty.app_url, empty.owner_url),
            )
            .replace("127.0.0.1:3000", "127.0.0.1:0")
    })?;
    // Older first: an empty database is not served either.
    let output = run(&["serve", "--config", text(&config)]).await?;
    assert!(
        said(&output).contains("Run `bagua migrate` first"),
        "{}",
        said(&output)
    );
    let output = run(&["migrate", "--config", text(&config)]).await?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        run(&["migrate", "--config", text(&config)])
            .await?
            .status
            .success(),
        "a second time changes nothing"
    );

    // As after an upgrade from a version that did not grant it.
    let db = sqlx::PgPool::connect(&empty.owner_url).await?;
    sqlx::query("REVOKE SELECT ON _sqlx_migrations FROM bagua_app")
        .execute(&db)
        .await?;
    let output = run(&["serve", "--config", text(&config)]).await?;
    assert!(
        said(&output).contains("Run `bagua migrate` once"),
        "{}",
        said(&output)
    );
    assert!(
        run(&["migrate", "--config", text(&config)])
            .await?
            .status
            .success()
    );
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, '\\x00', 1)")
        .execute(&db)
        .await?;
    let shape = async || {
        sqlx::query_scalar::<_, String>(
            "SELECT md5(coalesce(string_agg(c.relname || a.attname, ',' ORDER BY c.relname, a.attnum), ''))
                    || (SELECT string_agg(version || md5(checksum), ',' ORDER BY version) FROM _sqlx_migrations)
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace",
        )
        .fetch_one(&db)
        .await
    };
    let before = shape().await?;
    for role in ["migrate", "serve"] {
        let output = run(&[role, "--config", text(&config)]).await?;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{role}: {said}");
        for part in [
            "9999",
            "newer than the binary",
            "Use the newer bagua, or restore the backup",
            "Nothing was changed",
        ] {
            assert!(said.contains(part), "{role}: no `{part}` in: {said}");
        }
    }
    assert_eq!(shape().await?, before);
    db.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_before_anything_else_is_touched() -> Outcome {
    let ground = Ground::new().await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    // The database is one that nobody has migrated: that would be the next thing to be said.
    let config = file(&ground, "port.toml", |all| {
        all.replace("127.0.0.1:3000\"\npublic", &format!("{address}\"\npublic"))
    })?;
    let output = run(&["serve", "--config", text(&config)]).await?;
    assert_eq!(output.status.code(), Some(1));
    for part in [
        address.as_str(),
        "taken by another process",
        "ss -ltnp",
        "BAGUA_PORT",
    ] {
        assert!(said(&output).contains(part), "no `{part}` in: {}", said(&output));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_can_tell_by_the_exit_code_what_became_of_a_call() -> Outcome {
    let ground = Ground::new().await?;
    let config = file(&ground, "ok.toml", |all| all)?;
    let config = text(&config).to_owned();
    let gateway = format!("{{\"component\":\"{HOME}/gateway\"}}");
    let call = async |code: i32, parts: &[&str], arguments: &[&str]| {
        let output = run(&[arguments, &["--config", &config]].concat()).await?;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}{}",
            printed(&output),
            said(&output)
        );
        for part in parts {
            let all = printed(&output) + &said(&output);
            assert!(all.contains(part), "{arguments:?}: no `{part}` in: {all}");
        }
        anyhow::Ok(output)
    };
    call(
        0,
        &["regions.world", "component.restart", "people.manage"],
        &["ask"],
    )
    .await?;
    let world = call(0, &[], &["ask", "regions.world"]).await?;
    let world: Value = serde_json::from_slice(&world.stdout)?;
    assert_eq!(world["regions"].as_array().map(Vec::len), Some(2));
    call(2, &["no-such-verb"], &["no-such-verb"]).await?;
    call(
        2,
        &["not valid JSON", "single quotes"],
        &["ask", "regions.region", "{region:"],
    )
    .await?;
    call(
        2,
        &["not valid JSON"],
        &["submit", "component.restart", "{component:"],
    )
    .await?;
    call(
        2,
        &["regions.region", "regoin"],
        &["ask", "regions.region", "{\"regoin\":\"x\"}"],
    )
    .await?;
    call(
        2,
        &["component"],
        &[
            "submit",
            "component.restart",
            "{\"component\":\"eu-west-1/nothing\"}",
        ],
    )
    .await?;
    call(3, &["regions.wrold"], &["ask", "regions.wrold"]).await?;
    call(3, &["component.explode"], &["submit", "component.explode"]).await?;
    call(3, &[], &["ask", "regions.region", "{\"region\":\"us-east-1\"}"]).await?;
    call(
        0,
        &["hash "],
        &["submit", "component.restart", &gateway, "--plan"],
    )
    .await?;
    call(
        4,
        &[],
        &[
            "submit",
            "component.restart",
            &gateway,
            "--hash",
            "of-another-plan",
        ],
    )
    .await?;
    let first = call(0, &["queued"], &["submit", "component.restart", &gateway]).await?;
    // No worker runs: the first holds the target, and the refusal names it.
    let id = printed(&first).split(' ').next().unwrap_or_default().to_owned();
    call(4, &[&id], &["submit", "component.restart", &gateway]).await?;
    let acted: Vec<String> = sqlx::query_scalar("SELECT DISTINCT actor FROM audit WHERE action = 'submit'")
        .fetch_all(&ground.db.owner)
        .await?;
    assert!(acted.len() == 1 && acted[0].starts_with("cli:"), "{acted:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_operation_ends_the_call_as_it_ended_itself() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let console = &house.parts.console;
    let config = file(&ground, "ok.toml", |all| all)?;
    let follow = |component: &str| {
        let input = format!("{{\"component\":\"{component}\"}}");
        bagua(&[
            "submit",
            "component.restart",
            &input,
            "--follow",
            "--config",
            text(&config),
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
    };
    let queued = async |component: &str| {
        eventually("the operation is queued", || async {
            let query = ListOperations {
                states: vec![OperationState::Queued],
                target: Some(format!("component:{component}")),
                ..ListOperations::default()
            };
            let page = console.ask(&Actor::system("test"), query).await?;
            Ok(page.rows.first().map(|row| row.operation))
        })
        .await
    };
    let end = async |child: tokio::process::Child| {
        anyhow::Ok(tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await??)
    };
    // Cancelled before any worker took it.
    let (home, away) = (format!("{HOME}/gateway"), format!("{AWAY}/gateway"));
    let child = follow(&home)?;
    let operation = queued(&home).await?;
    console
        .submit(
            &Actor::system("test"),
            CancelOperation {
                operation,
                reason: None,
            },
            Submission::default(),
        )
        .await?;
    let output = end(child).await?;
    assert_eq!(
        output.status.code(),
        Some(5),
        "{}{}",
        printed(&output),
        said(&output)
    );

    // Restarted by somebody else meanwhile: it waits for a person. And one that nothing stands in the way of.
    let (waits, succeeds) = (follow(&away)?, follow(&home)?);
    queued(&away).await?;
    queued(&home).await?;
    let wish = ControlRequest {
        request: Uuid::new_v4(),
        expect_generation: None,
        no_wait: false,
    };
    anyhow::ensure!(
        ground
            .supervisor
            .control(&away, Action::Restart, &wish)
            .await
            .is_ok()
    );
    house.run();
    let output = end(waits).await?;
    assert_eq!(
        output.status.code(),
        Some(6),
        "{}{}",
        printed(&output),
        said(&output)
    );
    let output = end(succeeds).await?;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        printed(&output),
        said(&output)
    );
    assert!(
        printed(&output).contains("submitted"),
        "the log is not shown: {}",
        printed(&output)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_looks_and_changes_nothing() -> Outcome {
    let ground = Ground::new().await?;
    let data = ground.folder().join("nothing-here");
    let output = run(&["doctor", "--json", "--data", text(&data), "--port", "47000"]).await?;
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    assert!(checks.len() >= 5, "{checks:?}");
    let bad = checks.iter().any(|check| check["verdict"] == "BAD");
    assert_eq!(output.status.success(), !bad, "{checks:?}");
    assert!(!data.exists(), "doctor made the data folder");

    // A database that this binary does not know is bad, and said so.
    let empty = Empty::new(&ground.db).await?;
    let folder = ground.folder().join("data");
    std::fs::create_dir(&folder)?;
    let socket = ground.folder().join("supervisor.sock");
    let config = configuration(ground.folder(), &empty.owner_url, &socket);
    std::fs::write(folder.join("console.toml"), config)?;
    let about = async || {
        let output = run(&["doctor", "--json", "--data", text(&folder), "--port", "47000"]).await?;
        let checks: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        let found = checks
            .into_iter()
            .find(|check| check["subject"] == "control database");
        anyhow::Ok((found.unwrap_or_default(), output.status.success()))
    };
    assert_eq!(
        about().await?.0["verdict"],
        "note",
        "an empty one is brought up by the next start"
    );
    let db = sqlx::PgPool::connect(&empty.owner_url).await?;
    sqlx::raw_sql(
        "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL
           DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);
         INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '\\x00', 1)",
    )
    .execute(&db)
    .await?;
    db.close().await;
    let (check, good) = about().await?;
    assert!(check["verdict"] == "BAD" && !good, "{check}");
    assert!(
        check["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("9999")),
        "{check}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_links_go_to_standard_output_and_nowhere_else() -> Outcome {
    let ground = Ground::new().await?;
    let config = file(&ground, "ok.toml", |all| all)?;
    let config = text(&config);
    let output = run(&["admin", "--config", config, "link"]).await?;
    assert!(
        printed(&output).starts_with("http://localhost:3000/welcome?token="),
        "{}",
        said(&output)
    );
    assert!(!said(&output).contains("token="));
    let create = [
        "admin",
        "--config",
        config,
        "create",
        "ada@example.org",
        "--role",
        "administrator",
    ];
    let output = run(&create).await?;
    assert!(printed(&output).contains("/welcome?token="), "{}", said(&output));
    let again = run(&create).await?;
    assert!(
        again.status.code() == Some(1) && printed(&again).is_empty(),
        "{}",
        said(&again)
    );
    let wrong = run(&[
        "admin",
        "--config",
        config,
        "create",
        "wei@example.org",
        "--role",
        "emperor",
    ])
    .await?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        said(&wrong).contains("compliance-officer"),
        "the roles are not named: {}",
        said(&wrong)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_gets_its_completions() -> Outcome {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]).await?;
        assert!(output.status.success(), "{}", said(&output));
        for word in ["submit", "break-glass"] {
            assert!(printed(&output).contains(word), "{shell}: {word}");
        }
    }
    Ok(())
}
