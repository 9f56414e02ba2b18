//! `/live` with two consoles on one database.

use crate::support::{AWAY, Ground, HOME, House, Somebody, WEBHOOK_TOKEN, notification};
use axum::body::{Body, BodyDataStream};
use bagua_core::Actor;
use bagua_model::access::{CreatePerson, DisablePerson, Role};
use bagua_model::operation::Submission;
use bagua_model::region::Scope;
use bagua_testkit::eventually;
use futures::StreamExt as _;
use http::{Request, StatusCode, header};
use serde_json::Value;
use std::time::{Duration, Instant};

type Outcome = anyhow::Result<()>;

/// An open stream, read message by message.
struct Ear {
    body: BodyDataStream,
    buffer: String,
}

struct Heard {
    id: String,
    message: Value,
}

impl Ear {
    async fn open(house: &House, who: &Somebody, last: Option<&str>) -> anyhow::Result<Ear> {
        let mut request = Request::get("/live").header(header::COOKIE, &who.cookie);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = house.send(request.body(Body::empty())?).await?;
        anyhow::ensure!(response.status() == StatusCode::OK, "{}", response.status());
        Ok(Ear {
            body: response.into_body().into_data_stream(),
            buffer: String::new(),
        })
    }

    /// The next message, `None` when the stream has ended or nothing came in time.
    async fn next(&mut self, within: Duration) -> Option<Heard> {
        let deadline = Instant::now() + within;
        loop {
            while let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.buffer = rest;
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::trim)
                };
                if let Some(data) = field("data:") {
                    let message = serde_json::from_str(data).ok()?;
                    return Some(Heard {
                        id: field("id:").unwrap_or_default().to_owned(),
                        message,
                    });
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let chunk = tokio::time::timeout(left, self.body.next()).await.ok()??.ok()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).ok()?);
        }
    }

    /// Messages until one is on this topic.
    async fn until(&mut self, topic: &str) -> anyhow::Result<Heard> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Some(heard) = self
            .next(deadline.saturating_duration_since(Instant::now()))
            .await
        {
            if heard.message["topic"] == topic {
                return Ok(heard);
            }
        }
        anyhow::bail!("nothing was heard of {topic}")
    }

    /// How long it takes until the server ends the stream.
    async fn end(&mut self, within: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        tokio::time::timeout(within, async { while self.body.next().await.is_some() {} }).await?;
        Ok(began.elapsed())
    }
}

/// Two consoles that have read the event log.
async fn two(ground: &Ground) -> anyhow::Result<(House, House)> {
    let (one, two) = (ground.house()?, ground.house()?);
    for house in [&one, &two] {
        house.run();
        eventually("the event log to be read", || async {
            Ok((house.parts.console.live.cursor() != "0-0").then_some(()))
        })
        .await?;
    }
    Ok((one, two))
}

async fn fire(house: &House, name: &str, region: &str) -> Outcome {
    let token = format!("Bearer {WEBHOOK_TOKEN}");
    house
        .parts
        .alerts
        .webhook(notification(name, region).as_bytes(), Some(&token))
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_is_not_signed_in_listens() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    assert_eq!(house.get("/live", None).await?.status(), StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_console_records_is_heard_on_the_other() -> Outcome {
    let ground = Ground::new().await?;
    let first = ground.house()?.person("Ada", Role::Viewer, None).await?;
    let (one, two) = two(&ground).await?;
    let mut ear = Ear::open(&two, &first, None).await?;
    fire(&one, "GatewayDown", HOME).await?;
    let heard = ear.until("alerts").await?;
    assert_eq!(heard.message["region"], HOME);
    assert!(!heard.id.is_empty(), "a message that nobody can resume from");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_comes_back_to_the_other_console_misses_nothing() -> Outcome {
    let ground = Ground::new().await?;
    let me = ground.house()?.person("Ada", Role::Viewer, None).await?;
    let (one, two) = two(&ground).await?;
    let mut ear = Ear::open(&one, &me, None).await?;
    fire(&one, "First", HOME).await?;
    let last = ear.until("alerts").await?.id;
    drop(ear);
    // While nobody listens, through both.
    for n in 0..10 {
        fire(if n % 2 == 0 { &one } else { &two }, &format!("Missed{n}"), HOME).await?;
    }
    let last_of_all: String = sqlx::query_scalar(
        "SELECT subject FROM events WHERE topic = 'alerts' AND kind = 'alert.firing' AND subject LIKE 'alert:%'
         ORDER BY id DESC LIMIT 1",
    )
    .fetch_one(&ground.db.owner)
    .await?;
    // A burst about one region is told by its last message, which stands for all: the page asks again. So what may not
    // be missing is that one.
    let mut back = Ear::open(&two, &me, Some(&last)).await?;
    let mut heard = Vec::new();
    while !heard.contains(&last_of_all) {
        let Some(next) = back.next(Duration::from_secs(10)).await else {
            break;
        };
        if next.message["topic"] == "alerts"
            && let Some(subject) = next.message["subject"].as_str()
        {
            heard.push(subject.to_owned());
        }
    }
    assert!(heard.contains(&last_of_all), "{heard:?}");
    // And from a place that is no place, the reader is told to ask for everything.
    let mut lost = Ear::open(&two, &me, Some("nonsense")).await?;
    assert_eq!(
        lost.next(Duration::from_secs(5)).await.unwrap().message["topic"],
        "reset"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_region_hears_nothing_of_another() -> Outcome {
    let ground = Ground::new().await?;
    let me = ground.house()?.person("Vera", Role::Viewer, Some(HOME)).await?;
    let (one, two) = two(&ground).await?;
    let mut ear = Ear::open(&two, &me, None).await?;
    fire(&one, "Elsewhere", AWAY).await?;
    let create = CreatePerson {
        email: "wei@example.org".into(),
        name: String::new(),
        role: Role::Viewer,
        scope: Scope::ANY,
    };
    one.parts
        .console
        .submit(&Actor::system("cli:test"), create, Submission::default())
        .await?;
    fire(&one, "Here", HOME).await?;
    let mut topics = Vec::new();
    loop {
        let heard = ear
            .next(Duration::from_secs(10))
            .await
            .expect("what happens here is heard");
        assert_ne!(heard.message["region"], AWAY, "{}", heard.message);
        topics.push(heard.message["topic"].as_str().unwrap_or_default().to_owned());
        if heard.message["topic"] == "alerts" && heard.message["region"] == HOME {
            break;
        }
    }
    assert!(
        !topics.contains(&"access".to_owned()),
        "a viewer hears of people: {topics:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_session_and_with_its_console() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let (me, other) = (
        house.person("Ada", Role::Viewer, None).await?,
        house.person("Wei", Role::Viewer, None).await?,
    );
    let (one, two) = two(&ground).await?;
    let mut ear = Ear::open(&two, &me, None).await?;
    let mut stays = Ear::open(&two, &other, None).await?;
    let disable = DisablePerson { person: me.id() };
    one.parts
        .console
        .submit(&Actor::system("cli:test"), disable, Submission::default())
        .await?;
    // The other console learns of it: sessions are believed for two seconds, streams ask every five.
    let took = ear.end(Duration::from_secs(9)).await?;
    assert!(took < Duration::from_secs(8), "{took:?}");
    fire(&one, "GatewayDown", HOME).await?;
    stays.until("alerts").await?;
    two.stop.cancel();
    stays.end(Duration::from_secs(2)).await?;
    Ok(())
}
