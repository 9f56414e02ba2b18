//! A console on a database of its own, wired as `bagua serve` wires it, with real people and real supervised processes.

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use bagua_access::{Acceptance, Visitor};
use bagua_core::Actor;
use bagua_model::access::{Grant, Role};
use bagua_model::region::{RegionId, Scope};
use bagua_model::settings::Settings;
use bagua_server::http::{self as console_http, AppState};
use bagua_server::wiring::{self, Parts};
use bagua_stack::{ProcessSpec, Ready, Spawner, StateFile, Supervisor, Timing};
use bagua_testkit::{TestDatabase, database};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;
use uuid::Uuid;

/// Where every role's home region is in these tests, and another one.
pub const HOME: &str = "eu-west-1";
/// See [`HOME`].
pub const AWAY: &str = "ap-east-1";
/// Everybody's password.
pub const PASSWORD: &str = "a long enough passphrase 4711";
/// What Alertmanager carries.
pub const WEBHOOK_TOKEN: &str = "webhook-token-of-24-characters";
/// What Prometheus carries.
pub const METRICS_TOKEN: &str = "metrics-token-of-24-characters";

/// Whose process it is: the two regions' gateways, a runner that is stopped, and a critical service.
const COMPONENTS: [&str; 8] = [
    "eu-west-1/gateway",
    "eu-west-1/runner",
    "eu-west-1/prometheus",
    "eu-west-1/slow",
    "ap-east-1/gateway",
    "ap-east-1/runner",
    "ap-east-1/prometheus",
    "global/alertmanager",
];

/// Everything around a console that is not the console.
pub struct Ground {
    pub db: TestDatabase,
    pub settings: Settings,
    pub supervisor: Arc<Supervisor>,
    folder: tempfile::TempDir,
}

impl Ground {
    /// A database with this tree's migrations, a supervisor with idle processes, a site folder; engines are away.
    pub async fn new() -> anyhow::Result<Ground> {
        let _ = any_spawner::Executor::init_tokio();
        let folder = tempfile::tempdir()?;
        let db = database().await?;
        let socket = folder.path().join("supervisor.sock");
        let supervisor = supervise(folder.path(), &socket).await?;
        site(&folder.path().join("site"))?;
        let settings = settings(folder.path(), &db.app_url, &socket)?;
        Ok(Ground {
            db,
            settings,
            supervisor,
            folder,
        })
    }

    /// A folder for this test alone.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One more console on this ground.
    pub fn house(&self) -> anyhow::Result<House> {
        let parts = wiring::build(&self.settings)?;
        let stop = CancellationToken::new();
        let state = AppState::new(&self.settings, &parts, stop.clone())?;
        Ok(House {
            router: console_http::router(state),
            parts,
            stop: stop.clone(),
            _stops: stop.drop_guard(),
        })
    }
}

/// One console's process, without its port.
pub struct House {
    pub parts: Parts,
    pub router: Router,
    pub stop: CancellationToken,
    _stops: DropGuard,
}

/// Somebody with an account and an open session.
#[derive(Clone)]
pub struct Somebody {
    pub actor: Actor,
    pub cookie: String,
    pub token: String,
}

impl Somebody {
    pub fn id(&self) -> Uuid {
        self.actor.person().unwrap_or_default()
    }
}

impl House {
    /// Runs what `bagua serve` runs beside its port.
    pub fn run(&self) {
        let Parts {
            console,
            access,
            alerts,
            regions,
            fleet,
            ..
        } = &self.parts;
        tokio::spawn(Arc::clone(access).run(self.stop.clone()));
        tokio::spawn(Arc::clone(alerts).run(self.stop.clone()));
        tokio::spawn(Arc::clone(regions).run(self.stop.clone()));
        tokio::spawn(Arc::clone(fleet).run(self.stop.clone()));
        tokio::spawn(Arc::clone(console).run(self.stop.clone()));
    }

    /// A person, by the way that `bagua admin create` and the welcome page take.
    pub async fn person(&self, name: &str, role: Role, region: Option<&str>) -> anyhow::Result<Somebody> {
        let access = &self.parts.access;
        let grant = Grant {
            role,
            scope: Scope {
                environment: None,
                region: region.map(RegionId::new),
            },
        };
        let email = format!("{}@example.org", name.to_lowercase());
        let owner = Actor::system("cli:test");
        let link = access
            .admin_create(&owner, "http://localhost:3000", &email, Some(name), grant)
            .await?;
        let (_, token) = link.split_once("token=").context("a link carries a token")?;
        let typed = Acceptance {
            email: String::new(),
            name: String::new(),
            password: PASSWORD.into(),
        };
        let visitor = Visitor {
            address: "127.0.0.1".into(),
            user_agent: "test".into(),
        };
        let signed_in = access.accept_invitation(token, typed, &visitor).await?;
        self.somebody(signed_in.cookie_token).await
    }

    /// Who is behind a session's token.
    pub async fn somebody(&self, token: String) -> anyhow::Result<Somebody> {
        let session = self.parts.access.sessions().actor_of(&token).await?;
        let actor = session.context("the session is open")?.who.actor.clone();
        Ok(Somebody {
            actor,
            cookie: format!("bagua_session={token}"),
            token,
        })
    }

    /// Sends a request as a browser on `localhost:3000` would.
    pub async fn send(&self, request: Request<Body>) -> anyhow::Result<Response> {
        let mut request = request;
        let address: SocketAddr = ([127, 0, 0, 1], 40_000).into();
        request.extensions_mut().insert(ConnectInfo(address));
        if !request.headers().contains_key(header::HOST) {
            request
                .headers_mut()
                .insert(header::HOST, "localhost:3000".parse()?);
        }
        Ok(self.router.clone().oneshot(request).await?)
    }

    pub async fn get(&self, path: &str, who: Option<&Somebody>) -> anyhow::Result<Response> {
        self.send(as_somebody(Request::get(path), who).body(Body::empty())?)
            .await
    }

    /// Posts a form from the console's own page.
    pub async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        who: Option<&Somebody>,
    ) -> anyhow::Result<Response> {
        let request = as_somebody(Request::post(path), who)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(serde_urlencoded::to_string(form)?))?)
            .await
    }

    /// Calls a server function as the browser side does.
    pub async fn rpc(
        &self,
        name: &str,
        body: &serde_json::Value,
        who: Option<&Somebody>,
    ) -> anyhow::Result<(StatusCode, serde_json::Value)> {
        let request = as_somebody(
            Request::builder()
                .method(Method::POST)
                .uri(format!("/rpc/{name}")),
            who,
        )
        .header("sec-fetch-site", "same-origin")
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/json");
        let response = self.send(request.body(Body::from(body.to_string()))?).await?;
        let status = response.status();
        let text = text(response).await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)),
        ))
    }
}

fn as_somebody(request: http::request::Builder, who: Option<&Somebody>) -> http::request::Builder {
    match who {
        Some(who) => request.header(header::COOKIE, &who.cookie),
        None => request,
    }
}

/// A response's body.
pub async fn text(response: Response) -> anyhow::Result<String> {
    Ok(String::from_utf8(
        response.into_body().collect().await?.to_bytes().to_vec(),
    )?)
}

/// One header of a response, empty when it is missing.
pub fn head(response: &Response, name: &str) -> String {
    response
        .headers()
        .get(name)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// The cookie that a response sets under this name, whole.
pub fn set_cookie(response: &Response, name: &str) -> Option<String> {
    let all = response.headers().get_all(header::SET_COOKIE);
    all.iter()
        .filter_map(|v| v.to_str().ok())
        .find(|v| v.starts_with(&format!("{name}=")))
        .map(str::to_owned)
}

/// Alertmanager's notification that one alert fires.
pub fn notification(name: &str, region: &str) -> String {
    let at = bagua_core::Clock::system().now() - Duration::from_secs(60);
    let at = at
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default();
    json!({
        "version": "4", "receiver": "console", "truncatedAlerts": 0,
        "alerts": [{
            "status": "firing", "startsAt": at, "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("{name}-{region}"),
            "labels": { "alertname": name, "severity": "critical", "environment": "dev", "region": region, "component": "gateway" },
            "annotations": { "summary": name }, "generatorURL": "http://127.0.0.1:9/graph",
        }],
    })
    .to_string()
}

async fn supervise(folder: &Path, socket: &Path) -> anyhow::Result<Arc<Supervisor>> {
    let specs: Vec<ProcessSpec> = COMPONENTS
        .iter()
        .filter_map(|id| id.split_once('/'))
        .map(|place| idle(folder, place))
        .collect();
    let ids: Vec<String> = specs.iter().map(ProcessSpec::id).collect();
    let supervisor = Supervisor::new(
        specs,
        &Spawner::new()?,
        StateFile::load(&folder.join("desired.json"))?,
    );
    for id in &ids {
        supervisor.launch(id);
    }
    // On a slow machine a process that has not begun yet reads as stopped.
    for id in &ids {
        let ready = supervisor.until_ready(id, Duration::from_secs(30)).await;
        anyhow::ensure!(ready, "{id} did not start");
    }
    let listener = tokio::net::UnixListener::bind(socket)?;
    let router = bagua_stack::serve::control_router(Arc::clone(&supervisor));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(supervisor)
}

/// A process that does nothing. `slow` takes six seconds to end when it is asked to.
fn idle(folder: &Path, (region, service): (&str, &str)) -> ProcessSpec {
    let slow = service == "slow";
    let script = if slow {
        "trap '' TERM; while :; do sleep 1; done"
    } else {
        "exec sleep 600"
    };
    ProcessSpec {
        region: region.into(),
        service: service.into(),
        port: 1,
        critical: false,
        program: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![],
        inherit_environment: false,
        folder: folder.to_owned(),
        log: folder.join(format!("{region}-{service}.log")),
        run_as: None,
        death_signal: Signal::SIGKILL,
        stop_signal: Signal::SIGTERM,
        ready: Ready::Spawned,
        data: None,
        timing: Timing {
            grace: Duration::from_secs(if slow { 6 } else { 1 }),
            ..Timing::default()
        },
    }
}

/// A site folder as `cargo xtask build` writes it, small.
fn site(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder.join("pkg"))?;
    std::fs::create_dir_all(folder.join("assets"))?;
    let files = [
        ("pkg/bagua.css", "pkg/bagua.0123456789abcdef.css", "body{}"),
        (
            "pkg/bagua.js",
            "pkg/bagua.0123456789abcdef.js",
            "export default 1;",
        ),
        ("pkg/bagua.wasm", "pkg/bagua.0123456789abcdef.wasm", "wasm"),
        (
            "pkg/messages.en.txt",
            "pkg/messages.en.0123456789ab.txt",
            "a\tb\n",
        ),
        (
            "pkg/messages.zh-CN.txt",
            "pkg/messages.zh-CN.0123456789ab.txt",
            "a\t乙\n",
        ),
        ("assets/icon.svg", "assets/icon.0123456789ab.svg", "<svg/>"),
    ];
    let mut manifest = serde_json::Map::new();
    for (name, path, content) in files {
        std::fs::write(folder.join(path), content)?;
        manifest.insert(name.into(), json!({ "path": path, "bytes": content.len() }));
    }
    std::fs::write(folder.join("pkg/bagua.0123456789abcdef.css.br"), "brotli")?;
    std::fs::write(
        folder.join("manifest.json"),
        json!({ "profile": "dev", "files": manifest }).to_string(),
    )?;
    Ok(())
}

/// A configuration's text without its cells, which are away: `bagua migrate` would bring them up to date.
pub fn without_cells(text: &str) -> String {
    let (before, cells) = text.split_once("[[cells]]").unwrap_or((text, ""));
    let rest = cells.find("[[components]]").unwrap_or(cells.len());
    format!("{before}{}", &cells[rest..])
}

/// The text of a configuration file for a console on this database; engines' addresses answer to nobody.
pub fn configuration(folder: &Path, database: &str, socket: &Path) -> String {
    let mut text = format!(
        r#"environment = "dev"
regions = ["{AWAY}", "{HOME}"]
site = "{site}"
[listen]
address = "127.0.0.1:3000"
public_url = "http://localhost:3000"
[control]
url = "{database}"
[redis]
url = "redis://127.0.0.1:9"
[prometheus]
url = "http://127.0.0.1:9"
[alertmanager]
url = "http://127.0.0.1:9"
[supervisor]
socket = "{socket}"
[alerts]
webhook_token = "{WEBHOOK_TOKEN}"
[metrics]
token = "{METRICS_TOKEN}"
[[cells]]
region = "{AWAY}"
url = "postgres://nobody@127.0.0.1:9/away"
[[cells]]
region = "{HOME}"
url = "postgres://nobody@127.0.0.1:9/away"
"#,
        site = folder.join("site").display(),
        socket = socket.display(),
    );
    for id in COMPONENTS {
        let (region, service) = id.split_once('/').unwrap_or_default();
        // Not HTTP: ready is what the supervisor says.
        let component = format!(
            "[[components]]\nid = \"{id}\"\nregion = \"{region}\"\nservice = \"{service}\"\nurl = \"redis://127.0.0.1:1\"\nport = 1\n"
        );
        text.push_str(&component);
    }
    text
}

/// The same, read.
pub fn settings(folder: &Path, database: &str, socket: &Path) -> anyhow::Result<Settings> {
    let file = folder.join("console.toml");
    std::fs::write(&file, configuration(folder, database, socket))?;
    bagua_server::settings::load(&file)
}

/// An empty database beside the test's own, for what migrates it. Dropped with this value.
pub struct Empty {
    /// As whom everything may be done.
    pub owner_url: String,
    /// As the console's role.
    pub app_url: String,
    server: String,
    name: String,
}

impl Empty {
    pub async fn new(beside: &TestDatabase) -> anyhow::Result<Empty> {
        let mut server = beside.owner.connect_options().to_url_lossy();
        let name = format!("bagua_test_{}", Uuid::new_v4().simple());
        let mut connection = beside.owner.acquire().await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut *connection)
            .await?;
        let mut owner = server.clone();
        owner.set_path(&name);
        server.set_path("postgres");
        let app_url = beside
            .app_url
            .rsplit_once('/')
            .map(|(start, _)| format!("{start}/{name}"))
            .unwrap_or_default();
        Ok(Empty {
            owner_url: owner.into(),
            app_url,
            server: server.into(),
            name,
        })
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || -> anyhow::Result<()> {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(async {
                    let mut admin = PgConnection::connect(&server).await?;
                    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                    sqlx::query(AssertSqlSafe(drop)).execute(&mut admin).await?;
                    Ok(admin.close().await?)
                })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("the test database {} was left behind", self.name);
        }
    }
}
