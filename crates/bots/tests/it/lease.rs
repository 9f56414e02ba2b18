use crate::ground::{ground, here, texts};
use anyhow::Result;
use bagua_bots::ingest::{Batch, IngestError, Way};
use bagua_bots::lease::{LEASE, acquire, release, renew};
use std::collections::HashSet;

/// As if nobody had renewed for longer than a lease lives.
async fn run_out(pool: &sqlx::PgPool) -> Result<()> {
    sqlx::query("UPDATE bot_leases SET expires_at = now() - interval '1 second'")
        .execute(pool)
        .await?;
    Ok(())
}

#[tokio::test]
async fn of_many_processes_that_want_the_same_bots_each_bot_gets_one() -> Result<()> {
    let ground = ground().await?;
    ground.bots(1..=40).await?;
    let mut wanting = tokio::task::JoinSet::new();
    for owner in 0..6 {
        let pool = ground.data.app.clone();
        wanting.spawn(async move { acquire(&pool, &here(&format!("runner-{owner}")), 40, LEASE).await });
    }
    let mut bots = Vec::new();
    while let Some(taken) = wanting.join_next().await {
        bots.extend(taken??.into_iter().map(|lease| lease.bot));
    }
    // Rows that another process was just looking at may be passed by; the next look takes them.
    bots.extend(
        acquire(&ground.data.app, &here("last"), 40, LEASE)
            .await?
            .into_iter()
            .map(|lease| lease.bot),
    );
    assert_eq!(bots.len(), 40);
    assert_eq!(bots.iter().collect::<HashSet<_>>().len(), 40);
    Ok(())
}

#[tokio::test]
async fn who_was_frozen_past_the_lease_can_store_nothing_and_learns_it() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let frozen = acquire(&ground.data.app, &here("frozen"), 1, LEASE).await?[0];
    assert!(
        acquire(&ground.data.app, &here("other"), 1, LEASE)
            .await?
            .is_empty(),
        "a living lease is nobody else's"
    );
    run_out(&ground.data.owner).await?;
    let other = acquire(&ground.data.app, &here("other"), 1, LEASE).await?[0];
    assert!(other.fence > frozen.fence);

    let batch = Batch {
        bot: frozen.bot,
        way: Way::Polled {
            fence: frozen.fence,
            next_offset: 11,
        },
        updates: texts(1..=10),
    };
    assert!(matches!(
        ground.ingest.ingest(batch).await,
        Err(IngestError::FenceLost)
    ));
    assert_eq!(ground.count("updates").await?, 0);
    assert_eq!(ground.cursor(7).await?, 0);
    assert!(
        renew(&ground.data.app, "frozen", &[frozen], LEASE)
            .await?
            .is_empty()
    );
    assert_eq!(renew(&ground.data.app, "other", &[other], LEASE).await?.len(), 1);
    assert_eq!(release(&ground.data.app, "frozen", &[frozen]).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_lease_that_ran_out_unnoticed_by_anybody_is_renewed() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let lease = acquire(&ground.data.app, &here("a"), 1, LEASE).await?;
    run_out(&ground.data.owner).await?;
    // Nobody else has written under another fence, so nothing can have gone wrong.
    assert_eq!(renew(&ground.data.app, "a", &lease, LEASE).await?.len(), 1);
    assert!(acquire(&ground.data.app, &here("b"), 1, LEASE).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_bot_that_was_given_back_is_free_at_once_and_the_timeline_tells_it() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let first = acquire(&ground.data.app, &here("a"), 1, LEASE).await?;
    assert_eq!(release(&ground.data.app, "a", &first).await?, 1);
    let late = Batch {
        bot: first[0].bot,
        way: Way::Polled {
            fence: first[0].fence,
            next_offset: 2,
        },
        updates: texts([1]),
    };
    assert!(matches!(
        ground.ingest.ingest(late).await,
        Err(IngestError::FenceLost)
    ));
    let second = acquire(&ground.data.app, &here("b"), 1, LEASE).await?;
    run_out(&ground.data.owner).await?;
    acquire(&ground.data.app, &here("c"), 1, LEASE).await?;
    assert_eq!(second.len(), 1);
    let timeline: Vec<(String, String)> =
        sqlx::query_as("SELECT owner, what FROM bot_lease_events ORDER BY id")
            .fetch_all(&ground.data.app)
            .await?;
    let told: Vec<String> = timeline
        .into_iter()
        .map(|(owner, what)| format!("{owner} {what}"))
        .collect();
    assert_eq!(told, ["a acquired", "a released", "b acquired", "c taken_over"]);
    Ok(())
}

#[tokio::test]
async fn a_bot_that_should_not_run_is_not_acquired() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    sqlx::query("UPDATE bots SET desired = 'stopped'")
        .execute(&ground.data.owner)
        .await?;
    assert!(acquire(&ground.data.app, &here("a"), 1, LEASE).await?.is_empty());
    Ok(())
}
