//! The loop itself: two consoles, one database, one real Prometheus.

use crate::live_tests::{Engine, config, target};
use crate::{Room, register};
use async_trait::async_trait;
use bagua_core::{Actor, Answers, AskContext, Clock, Console, ConsoleParts};
use bagua_model::alerts::{AlertCount, CountAlerts};
use bagua_model::failure::Failure;
use bagua_model::region::Environment;
use bagua_model::regions::{ComponentId, GetComponent, GetWorld, Health};
use bagua_testkit::database;
use futures::StreamExt;
use sqlx::PgPool;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

type Outcome = Result<(), Box<dyn Error>>;

/// A room without any alert.
struct Calm;

#[async_trait]
impl Answers<CountAlerts> for Calm {
    async fn answer(&self, _: &AskContext, _: CountAlerts) -> Result<Vec<AlertCount>, Failure> {
        Ok(vec![])
    }
}

/// A console whose loop runs until it is dropped.
struct Running {
    console: Arc<Console>,
    _stop: DropGuard,
}

fn console(db: PgPool, prometheus: &str, id: &ComponentId) -> Result<Running, Box<dyn Error>> {
    let mut parts = ConsoleParts::new("test", db, Environment::Dev, Clock::system());
    let room = Room::new((*config(prometheus, &[id])).clone(), &parts)?;
    register(&mut parts.registry, Arc::clone(&room));
    parts.registry.query::<CountAlerts>(Arc::new(Calm));
    let console = Console::new(parts);
    let stop = CancellationToken::new();
    tokio::spawn(room.run(stop.clone()));
    Ok(Running {
        console,
        _stop: stop.drop_guard(),
    })
}

impl Running {
    async fn until(&self, id: &ComponentId, wanted: Health) -> Result<(), Box<dyn Error>> {
        let begun = Instant::now();
        loop {
            let query = GetComponent {
                component: id.clone(),
            };
            let view = self.console.ask(&Actor::system("test"), query).await?;
            if view.health == wanted {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(20) {
                return Err(format!("{id} stayed {}", view.health).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn two_consoles_agree_tell_a_change_once_and_go_on_without_the_database() -> Outcome {
    let id = ComponentId::new("eu-west-1", "gateway");
    let db = database().await?;
    let own_pool = PgPool::connect_with((*db.app.connect_options()).clone()).await?;
    let (port, answering) = target("component:cpu_percent 12.5\n").await?;
    let engine = Engine::start(&[(&id, port)], None).await?;
    let one = console(db.app.clone(), &engine.url, &id)?;
    let two = console(own_pool.clone(), &engine.url, &id)?;
    one.until(&id, Health::Healthy).await?;
    two.until(&id, Health::Healthy).await?;

    let mut heard = one.console.live.subscribe(None).await;
    answering.store(false, Ordering::Relaxed);
    one.until(&id, Health::Critical).await?;
    two.until(&id, Health::Critical).await?;
    let first = tokio::time::timeout(Duration::from_secs(1), heard.next())
        .await?
        .ok_or("the stream ended")?;
    assert_eq!(first.message.topic, "regions");
    // Longer than the consoles take to read each other's "since".
    tokio::time::sleep(Duration::from_secs(7)).await;
    let told: Vec<String> = sqlx::query_scalar(
        "SELECT arg ->> 1 FROM events, jsonb_array_elements(text -> 'args') AS arg
         WHERE kind = 'component.state' AND arg ->> 0 = 'to' ORDER BY events.id",
    )
    .fetch_all(&db.app)
    .await?;
    assert_eq!(told, ["@health.warning", "@health.critical"]);
    let mut since = Vec::new();
    for running in [&one, &two] {
        let world = running.console.ask(&Actor::system("test"), GetWorld {}).await?;
        since.push((world.regions[0].since, world.regions[0].components[0].since));
    }
    assert_eq!(since[0], since[1], "both consoles say the same since");

    own_pool.close().await;
    answering.store(true, Ordering::Relaxed);
    two.until(&id, Health::Healthy).await?;
    Ok(())
}
