//! A console's access room on a database of its own, a real Redis, and a gate that can be shut between a console and
//! PostgreSQL.

use crate::database::Database;
use bagua_access::{Acceptance, Access, AccessParts, SessionActor, SignedIn, Visitor, copy_key};
use bagua_core::{Clock, Console, ConsoleParts, Sources};
use bagua_model::region::Environment;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use time::macros::datetime;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "lantern furnace orbit 57";
pub const EMAIL: &str = "wei@example.org";
pub const URL: &str = "http://localhost:3000";

/// A free port of the loopback. Taken again by whoever is quickest, so callers start at once.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A private Redis; ends with the value.
pub struct Redis {
    child: Option<Child>,
    pub port: u16,
}

impl Redis {
    pub async fn start() -> Redis {
        let mut redis = Redis {
            child: None,
            port: free_port(),
        };
        redis.start_again().await;
        redis
    }

    pub async fn start_again(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (./dev setup)");
        self.child = Some(child);
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("redis-server did not listen on port {}", self.port);
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A TCP relay to PostgreSQL. Shut, it refuses new connections and cuts the ones there are.
pub struct Gate {
    pub port: u16,
    target: (String, u16),
    task: Option<JoinHandle<()>>,
}

impl Gate {
    pub async fn open_to(options: &PgConnectOptions) -> Gate {
        let target = (options.get_host().to_owned(), options.get_port());
        let mut gate = Gate {
            port: free_port(),
            target,
            task: None,
        };
        gate.open().await;
        gate
    }

    pub async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let target = self.target.clone();
        self.task = Some(tokio::spawn(async move {
            // Dropped with the task, and with it every relay.
            let mut relays = tokio::task::JoinSet::new();
            while let Ok((mut inside, _)) = listener.accept().await {
                let target = target.clone();
                relays.spawn(async move {
                    if let Ok(mut outside) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                    }
                });
            }
        }));
    }

    pub async fn shut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

/// What consoles share.
pub struct World {
    database: Database,
    pub clock: Clock,
    pub redis: Redis,
}

/// One console's room.
pub struct Room {
    pub access: Arc<Access>,
    pub console: Arc<Console>,
    pub sources: Sources,
    pub gate: Gate,
}

impl World {
    pub async fn new() -> World {
        World {
            database: Database::new().await,
            clock: Clock::standing(datetime!(2026-11-22 21:00 UTC)),
            redis: Redis::start().await,
        }
    }

    /// A console with a pool, a gate and a memory of its own.
    pub async fn room(&self) -> Room {
        let options = self.database.options();
        let gate = Gate::open_to(&options).await;
        let db = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(2))
            .connect_lazy_with(options.host("127.0.0.1").port(gate.port));
        let mut parts = ConsoleParts::new("test", db.clone(), Environment::Dev, self.clock.clone());
        let sources = parts.sources.clone();
        let access = Access::new(AccessParts {
            db,
            environment: Environment::Dev,
            clock: self.clock.clone(),
            redis_url: Some(self.redis.url()),
            copy_key: copy_key("a secret of the test"),
            sources: sources.clone(),
            live: parts.live.clone(),
        })
        .unwrap();
        bagua_access::register(&mut parts.registry, access.clone());
        Room {
            access,
            console: Console::new(parts),
            sources,
            gate,
        }
    }

    /// A pool that no gate stands before.
    pub fn db(&self) -> &PgPool {
        &self.database.pool
    }

    pub fn advance(&self, by: time::Duration) {
        self.clock.advance(by);
    }
}

impl Room {
    /// The first administrator, signed in.
    pub async fn first_admin(&self) -> SignedIn {
        let link = self
            .access
            .first_admin_link(URL)
            .await
            .unwrap()
            .expect("there is no administrator yet");
        self.accept(&link, EMAIL, PASSWORD).await.unwrap()
    }

    pub async fn accept(
        &self,
        link: &str,
        email: &str,
        password: &str,
    ) -> Result<SignedIn, bagua_model::failure::Failure> {
        let typed = Acceptance {
            email: email.into(),
            name: "Wei".into(),
            password: password.into(),
        };
        self.access
            .accept_invitation(token_of(link), typed, &visitor())
            .await
    }

    pub async fn sign_in(
        &self,
        email: &str,
        password: &str,
    ) -> Result<SignedIn, bagua_model::failure::Failure> {
        self.access.sign_in(email, password, &visitor(), None).await
    }

    pub async fn who(&self, signed_in: &SignedIn) -> Option<SessionActor> {
        self.access
            .sessions()
            .actor_of(&signed_in.cookie_token)
            .await
            .unwrap()
    }
}

pub fn visitor() -> Visitor {
    Visitor {
        address: "192.0.2.7".into(),
        user_agent: "test".into(),
    }
}

pub fn token_of(link: &str) -> &str {
    link.split_once("token=").unwrap().1
}

/// Lets what was put behind somebody's back come to an end.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}
