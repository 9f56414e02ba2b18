//! The room over a real database.

use bagua_core::{Actor, Console};
use bagua_localization::Localization;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::localization::{GetMessage, ListCatalogues, ReadCatalogue};
use bagua_model::operation::Submission;
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use bagua_testkit::people::{operator_in, system, viewer};
use bagua_testkit::{TestDatabase, clock, database, parts};
use serde_json::{Value, json};
use std::sync::Arc;

struct Ground {
    room: Arc<Localization>,
    console: Arc<Console>,
    db: TestDatabase,
}

async fn ground() -> anyhow::Result<Ground> {
    let db = database().await?;
    let mut parts = parts("a", &db, &clock());
    let regions = ["ap-east-1", "eu-west-1"].map(RegionId::new).to_vec();
    let room = Localization::new(regions, &parts);
    bagua_localization::register(&mut parts.registry, Arc::clone(&room));
    Ok(Ground {
        room,
        console: Console::new(parts),
        db,
    })
}

impl Ground {
    async fn submit(&self, actor: &Actor, kind: &str, input: Value) -> Result<(), Failure> {
        let submission = Submission::default();
        self.console
            .submit_json(actor, kind, input, submission)
            .await
            .map(drop)
    }

    async fn write(&self, language: &str, key: &str, text: &str, version: i64) -> Result<(), Failure> {
        let input = json!({ "language": language, "key": key, "text": text, "version": version });
        self.submit(&system(), "catalogue.write", input).await
    }

    async fn said(&self, language: &str, region: &str, key: &str) -> Result<String, Failure> {
        let query = GetMessage {
            language: language.into(),
            region: Some(RegionId::new(region)),
            key: key.into(),
            values: [("name".to_owned(), "Wei".to_owned())].into(),
        };
        Ok(self.console.ask(&system(), query).await?.text)
    }
}

fn field(refused: Result<(), Failure>) -> String {
    match refused {
        Ok(()) => "done".to_owned(),
        Err(failure) => failure
            .fields
            .first()
            .map_or_else(|| format!("{:?}", failure.kind), |(name, _)| name.clone()),
    }
}

#[tokio::test]
async fn a_text_is_written_served_with_what_stands_in_and_taken_away() -> anyhow::Result<()> {
    let ground = ground().await?;
    assert_eq!(
        ground.room.health().await?.status,
        "empty",
        "nothing is no health"
    );
    ground.write("en", "hello", "Hello {name}", 0).await?;
    ground.write("zh", "hello", "{name}，你好", 0).await?;
    assert_eq!(ground.said("zh-CN", "eu-west-1", "hello").await?, "Wei，你好");
    assert_eq!(ground.said("de", "eu-west-1", "hello").await?, "Hello Wei");
    let own = json!({ "language": "en", "region": "eu-west-1", "key": "hello", "text": "Good day {name}", "version": 0 });
    let operator = operator_in("Olaf", "eu-west-1");
    ground.submit(&operator, "catalogue.write", own.clone()).await?;
    assert_eq!(ground.said("de", "eu-west-1", "hello").await?, "Good day Wei");
    assert_eq!(ground.said("de", "ap-east-1", "hello").await?, "Hello Wei");
    assert_eq!(ground.room.health().await?.status, "healthy");
    let refused = ground.said("de", "eu-west-1", "no-such").await;
    assert_eq!(refused.map_err(|f| f.kind), Err(FailureKind::NotFound));

    let remove = json!({ "language": "en", "region": "eu-west-1", "key": "hello" });
    ground.submit(&operator, "catalogue.remove", remove).await?;
    assert_eq!(ground.said("de", "eu-west-1", "hello").await?, "Hello Wei");
    // What was said before stays known, and the numbers go on.
    ground.submit(&operator, "catalogue.write", own).await?;
    let history: Vec<(i64, Option<String>)> = sqlx::query_as(
        "SELECT version, text FROM catalogue_versions WHERE region = 'eu-west-1' ORDER BY version",
    )
    .fetch_all(&ground.db.app)
    .await?;
    let good_day = Some("Good day {name}".to_owned());
    assert_eq!(history, [(1, good_day.clone()), (2, None), (3, good_day)]);
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_field_and_what_became_wrong_is_shown() -> anyhow::Result<()> {
    let ground = ground().await?;
    ground.write("en", "hello", "Hello {name}", 0).await?;
    for (language, key, text, wrong) in [
        ("zh_CN", "hello", "{name}", "language"),
        ("zh-CN", "Hello", "{name}", "key"),
        ("zh-CN", "other", "x", "key"),
        ("zh-CN", "hello", "你好", "text"),
        ("zh-CN", "hello", "{name} {other}", "text"),
        ("zh-CN", "hello", "{name", "text"),
        ("en", "hello", " ", "text"),
    ] {
        assert_eq!(
            field(ground.write(language, key, text, 0).await),
            wrong,
            "{language} {key} {text}"
        );
    }
    let elsewhere =
        json!({ "language": "en", "region": "mars-1", "key": "hello", "text": "x", "version": 0 });
    assert_eq!(
        field(ground.submit(&system(), "catalogue.write", elsewhere).await),
        "region"
    );
    // Somebody else was first.
    assert_eq!(
        field(ground.write("en", "hello", "Hi {name}", 0).await),
        "Conflict"
    );
    ground.write("zh-CN", "hello", "{name}，你好", 0).await?;

    // The English text changes: what follows from it is said before, and seen after.
    let changed = json!({ "language": "en", "key": "hello", "text": "Hello {first}", "version": 1 });
    let plan = ground
        .console
        .plan_json(&system(), "catalogue.write", changed.clone())
        .await?;
    assert_eq!(plan.plan.warnings[0].key, keys::PLAN_CATALOGUE_WRITE_OTHERS);
    assert!(plan.plan.warnings[0].to_string().contains("zh-CN"));
    ground.submit(&system(), "catalogue.write", changed).await?;
    ground.write("en", "bye", "Bye", 0).await?;
    let list = ground.console.ask(&viewer("Vera"), ListCatalogues {}).await?;
    let counts: Vec<_> = list
        .iter()
        .map(|c| (c.language.as_str(), c.missing, c.faulty))
        .collect();
    assert_eq!(counts, [("en", 0, 0), ("zh-CN", 1, 1)]);
    let health = ground.room.health().await?;
    assert_eq!((health.status, health.wanting.len()), ("degraded", 1));
    let query = ReadCatalogue {
        language: "zh-CN".into(),
        region: None,
        wanting: true,
    };
    let wanting = ground.console.ask(&viewer("Vera"), query).await?;
    let named: Vec<_> = wanting
        .iter()
        .map(|m| (m.key.as_str(), m.faults[0].key.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("bye", keys::LOCALIZATION_MISSING),
            ("hello", keys::LOCALIZATION_PLACEHOLDERS)
        ]
    );
    Ok(())
}

#[tokio::test]
async fn who_may_read_may_not_write_and_a_region_is_no_licence_for_all() -> anyhow::Result<()> {
    let ground = ground().await?;
    let everywhere = json!({ "language": "en", "key": "a", "text": "A", "version": 0 });
    let regional = operator_in("Olaf", "eu-west-1");
    for actor in [&viewer("Vera"), &regional] {
        let refused = ground.submit(actor, "catalogue.write", everywhere.clone()).await;
        assert_eq!(refused.map_err(|f| f.kind), Err(FailureKind::Forbidden));
    }
    let query = |region: &str| ReadCatalogue {
        language: "en".into(),
        region: Some(RegionId::new(region)),
        wanting: false,
    };
    assert!(ground.console.ask(&regional, query("eu-west-1")).await.is_ok());
    let refused = ground.console.ask(&regional, query("ap-east-1")).await;
    assert_eq!(refused.map(drop).map_err(|f| f.kind), Err(FailureKind::NotFound));
    Ok(())
}

#[tokio::test]
async fn two_who_write_at_the_same_time_do_not_overwrite_each_other() -> anyhow::Result<()> {
    let ground = ground().await?;
    let (a, b) = tokio::join!(
        ground.write("en", "a", "one", 0),
        ground.write("en", "a", "two", 0)
    );
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1, "{a:?} {b:?}");
    Ok(())
}
