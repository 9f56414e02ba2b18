//! Recording of states against a real database, with two consoles.

use crate::recorder::Changes;
use crate::snapshot::StateChange;
use crate::store;
use bagua_model::region::Environment;
use bagua_model::regions::{ComponentId, Health};
use bagua_testkit::{TestDatabase, database};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const BEGIN: OffsetDateTime = datetime!(2026-01-01 12:00:00 UTC);

fn state(health: Health, after_ms: i64) -> StateChange {
    StateChange {
        component: ComponentId::new("eu-west-1", "gateway"),
        health,
        why: None,
        since: BEGIN + Duration::milliseconds(after_ms),
    }
}

async fn told(db: &TestDatabase) -> anyhow::Result<Vec<String>> {
    Ok(
        sqlx::query_scalar("SELECT text ->> 'key' FROM events WHERE kind = 'component.state' ORDER BY id")
            .fetch_all(&db.app)
            .await?,
    )
}

#[tokio::test]
async fn two_consoles_that_see_the_same_change_tell_it_once() -> anyhow::Result<()> {
    let db = database().await?;
    let (mut one, mut two) = (Changes::default(), Changes::default());
    let first = [state(Health::Healthy, 0)];
    for console in [&mut one, &mut two] {
        console.notice(&first);
        console.flush(&db.app, Environment::Dev).await?;
    }
    assert_eq!(
        told(&db).await?,
        Vec::<String>::new(),
        "that it is healthy from the start is no news"
    );

    one.notice(&[state(Health::Critical, 1_000)]);
    two.notice(&[state(Health::Critical, 1_400)]);
    let (a, b) = tokio::join!(
        one.flush(&db.app, Environment::Dev),
        two.flush(&db.app, Environment::Dev)
    );
    a?;
    b?;
    assert_eq!(told(&db).await?, ["event.component.state"]);
    let recorded = store::states(&db.app, Environment::Dev).await?;
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].health, Health::Critical);
    Ok(())
}

#[tokio::test]
async fn consoles_that_disagree_do_not_overwrite_each_other_in_turn() -> anyhow::Result<()> {
    let db = database().await?;
    let (mut one, mut two) = (Changes::default(), Changes::default());
    for second in 0..5 {
        one.notice(&[state(Health::Critical, 0)]);
        two.notice(&[state(Health::Healthy, 1 + second)]);
        one.flush(&db.app, Environment::Dev).await?;
        two.flush(&db.app, Environment::Dev).await?;
    }
    assert_eq!(told(&db).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_restarted_console_tells_nothing_that_was_told() -> anyhow::Result<()> {
    let db = database().await?;
    let mut before = Changes::default();
    before.notice(&[state(Health::Critical, 0)]);
    before.flush(&db.app, Environment::Dev).await?;
    assert_eq!(told(&db).await?, ["event.component.first"]);

    let recorded = store::states(&db.app, Environment::Dev).await?;
    assert_eq!(recorded[0].since, BEGIN);
    let mut after = Changes::default();
    after.start_from(&recorded);
    after.notice(&[state(Health::Critical, 60_000)]);
    after.flush(&db.app, Environment::Dev).await?;
    assert_eq!(told(&db).await?.len(), 1);
    assert_eq!(
        store::states(&db.app, Environment::Dev).await?[0].since,
        BEGIN,
        "since when stays"
    );
    Ok(())
}
