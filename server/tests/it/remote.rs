//! The command line against a console at an address, over a real port.

use crate::support::{Ground, HOME};
use crate::tokens::{made, wish};
use bagua_model::access::Role;
use bagua_model::tokens::TokenAccess;
use bagua_server::listener;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

type Outcome = anyhow::Result<()>;

/// Terminates TLS before `console` as a proxy does. Its certificate, for localhost, is in the file that is named.
async fn tls_before(console: SocketAddr, folder: &Path) -> anyhow::Result<(SocketAddr, String)> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let file = folder.join("authority.pem");
    std::fs::write(&file, cert.pem())?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(console).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok((address, file.display().to_string()))
}

/// Runs a command with this environment and no other.
async fn bagua(environment: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bagua"));
    command
        .env_clear()
        .env("LANG", "en_GB.UTF-8")
        .envs(environment.iter().copied())
        .args(arguments)
        .kill_on_drop(true);
    Ok(tokio::time::timeout(Duration::from_secs(60), command.output()).await??)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_at_an_address_is_called_with_the_same_words() -> Outcome {
    let mut ground = Ground::new().await?;
    let bound = listener::bind(([127, 0, 0, 1], 0).into()).await?;
    let address = bound.local_addr()?;
    ground.settings.listen.address = address;
    let (tls, authority) = tls_before(address, ground.folder()).await?;
    let safe = format!("https://localhost:{}", tls.port());
    ground.settings.listen.public_url.clone_from(&safe);
    let house = ground.house()?;
    house.run();
    tokio::spawn(listener::serve(
        bound,
        house.router.clone(),
        house.stop.clone(),
        Duration::from_secs(1),
    ));
    let olaf = house.person("Olaf", Role::Operator, None).await?;
    let (token, _) = made(&house, &olaf, wish(TokenAccess::Everything)).await?;
    let (reads, _) = made(&house, &olaf, wish(TokenAccess::ReadOnly)).await?;
    let url = format!("http://{address}");
    let gateway = format!("{HOME}/gateway");
    let all = [("BAGUA_URL", url.as_str()), ("BAGUA_TOKEN", &token)];
    let only_reads = [("BAGUA_URL", url.as_str()), ("BAGUA_TOKEN", &reads)];
    let call = async |environment: &[(&str, &str)], code: i32, part: &str, arguments: &[&str]| {
        let output = bagua(environment, arguments).await?;
        let told =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: no `{part}` in: {told}");
        assert!(!told.contains(&token), "{arguments:?} tells the token");
        anyhow::Ok(String::from_utf8(output.stdout)?)
    };

    call(&all, 0, HOME, &["regions", "list"]).await?;
    call(&all, 0, &gateway, &["components", "list"]).await?;
    let world = call(&all, 0, HOME, &["ask", "regions.world"]).await?;
    let json = call(&all, 0, HOME, &["regions", "list", "--json"]).await?;
    let (world, json): (Value, Value) = (serde_json::from_str(&world)?, serde_json::from_str(&json)?);
    assert_eq!(world["environment"], json["environment"]);
    call(&all, 0, "hash ", &["components", "restart", &gateway, "--plan"]).await?;
    call(
        &only_reads,
        0,
        "hash ",
        &["components", "restart", &gateway, "--plan"],
    )
    .await?;
    call(&only_reads, 3, "only reads", &["components", "restart", &gateway]).await?;
    let done = call(
        &all,
        0,
        "submitted",
        &["components", "restart", &gateway, "--follow"],
    )
    .await?;
    let operation = done.split(' ').next().unwrap_or_default();
    call(&all, 0, "submitted", &["operations", "follow", operation]).await?;
    call(&all, 0, "component.restart", &["operations", "show", operation]).await?;
    call(&all, 4, "", &["operations", "cancel", operation]).await?;
    call(
        &all,
        6,
        "",
        &["components", "stop", "global/alertmanager", "--follow"],
    )
    .await?;

    call(&all, 2, "no-such-verb", &["alerts", "no-such-verb"]).await?;
    call(&all, 2, "regoin", &["alerts", "list", "--regoin", HOME]).await?;
    call(&all, 3, "Read the audit log", &["audit", "list"]).await?;
    call(
        &all,
        3,
        "",
        &["alerts", "show", "00000000-0000-0000-0000-000000000000"],
    )
    .await?;
    call(&all, 2, "BAGUA_TOKEN", &["alerts", "list", "--token", "x"]).await?;
    call(&all[..1], 1, "wants an API token", &["alerts", "list"]).await?;
    let away = [
        ("BAGUA_URL", "http://127.0.0.1:9"),
        ("BAGUA_TOKEN", token.as_str()),
    ];
    call(&away, 7, "cannot be reached", &["alerts", "list"]).await?;
    call(&away, 7, "cannot be reached", &["submit", "component.restart"]).await?;

    let ftp = [
        ("BAGUA_URL", "ftp://console.example.org"),
        ("BAGUA_TOKEN", token.as_str()),
    ];
    call(&ftp, 1, "Start it with https://", &["alerts", "list"]).await?;

    // TLS in front of it, under an authority that only this machine knows.
    let strange = [("BAGUA_URL", safe.as_str()), ("BAGUA_TOKEN", &token)];
    call(&strange, 7, "certificate", &["regions", "list"]).await?;
    let known = [strange[0], strange[1], ("SSL_CERT_FILE", authority.as_str())];
    call(&known, 0, HOME, &["regions", "list"]).await?;

    // A token of its own making: told to standard output, and good for what it was made for.
    let child = call(
        &all,
        0,
        "bagua_",
        &[
            "tokens",
            "create",
            "child",
            "--access",
            "read-only",
            "--days",
            "1",
        ],
    )
    .await?;
    let child = [("BAGUA_URL", url.as_str()), ("BAGUA_TOKEN", child.trim())];
    call(&child, 0, "child", &["tokens", "list"]).await?;

    let file = ground.folder().join("token");
    std::fs::write(&file, &token)?;
    let name = file.to_str().unwrap_or_default();
    let from_file = ["alerts", "list", "--url", &url, "--token-file", name];
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    call(&[], 1, "chmod 600", &from_file).await?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    call(&[], 0, "", &from_file).await?;
    Ok(())
}
