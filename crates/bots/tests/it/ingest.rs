use crate::ground::{ground, ground_with, here, pushed, text, texts};
use anyhow::{Context as _, Result};
use bagua_bots::ingest::{Batch, Committed, CommitterConfig, IngestError, Way, context};
use bagua_bots::lease::{LEASE, Lease, acquire};
use bagua_bots::{BotId, Fence};

fn polled(lease: &Lease, updates: Vec<bagua_bots::ingest::Update>) -> Batch {
    let next_offset = updates
        .last()
        .map_or(lease.next_offset, |last| last.update_id + 1);
    Batch {
        bot: lease.bot,
        way: Way::Polled {
            fence: lease.fence,
            next_offset,
        },
        updates,
    }
}

#[tokio::test]
async fn an_update_is_stored_sealed_together_with_its_message_and_the_cursor() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let lease = acquire(&ground.data.app, &here("a"), 10, LEASE).await?[0];
    let sent = text(100, 42, "meet me at nine");
    let done = ground.ingest.ingest(polled(&lease, vec![sent.clone()])).await?;
    assert_eq!(
        done,
        Committed {
            stored: 1,
            repeats: 0
        }
    );
    assert_eq!(ground.cursor(7).await?, 101);

    let (raw, words): (Vec<u8>, Vec<u8>) =
        sqlx::query_as("SELECT u.raw, m.text FROM updates u JOIN messages m USING (bot_id, update_id)")
            .fetch_one(&ground.data.app)
            .await?;
    for sealed in [&raw, &words] {
        assert!(
            !sealed.windows(4).any(|part| part == b"meet"),
            "content lies open in the database"
        );
    }
    let opened = ground.keys.open(&context(b'u', BotId(7), 100), &raw).await?;
    assert_eq!(&opened[..], &sent.raw[..]);
    let opened = ground.keys.open(&context(b'm', BotId(7), 100), &words).await?;
    assert_eq!(&opened[..], b"meet me at nine");
    Ok(())
}

#[tokio::test]
async fn what_comes_again_is_counted_and_not_stored_again() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let lease = acquire(&ground.data.app, &here("a"), 10, LEASE).await?[0];
    ground.ingest.ingest(polled(&lease, texts(1..=50))).await?;
    let again = ground.ingest.ingest(polled(&lease, texts(26..=75))).await?;
    assert_eq!(
        again,
        Committed {
            stored: 25,
            repeats: 25
        }
    );
    // Twice in one batch is once too.
    let twice = ground.ingest.ingest(pushed(7, texts([76, 76, 77]))).await?;
    assert_eq!(
        twice,
        Committed {
            stored: 2,
            repeats: 1
        }
    );
    assert_eq!(ground.count("updates").await?, 77);
    assert_eq!(ground.count("messages").await?, 77);
    assert_eq!(ground.cursor(7).await?, 76, "a push moves no cursor");
    Ok(())
}

#[tokio::test]
async fn a_lost_fence_stores_nothing_and_disturbs_no_other_bot_of_the_group() -> Result<()> {
    // One writer, so that both are in its hands.
    let ground = ground_with(CommitterConfig {
        writers: 1,
        ..CommitterConfig::default()
    })
    .await?;
    ground.bots([7, 8]).await?;
    let leases = acquire(&ground.data.app, &here("a"), 10, LEASE).await?;
    let stale = Lease {
        fence: Fence(leases[0].fence.0 - 1),
        ..leases[0]
    };
    let (first, second) = tokio::join!(
        ground.ingest.ingest(polled(&stale, texts(1..=10))),
        ground.ingest.ingest(polled(&leases[1], texts(1..=10))),
    );
    assert!(matches!(first, Err(IngestError::FenceLost)), "{first:?}");
    assert_eq!(
        second?,
        Committed {
            stored: 10,
            repeats: 0
        }
    );
    assert_eq!(ground.count("updates WHERE bot_id = 7").await?, 0);
    assert_eq!(ground.count("update_ledger WHERE bot_id = 7").await?, 0);
    assert_eq!(ground.cursor(7).await?, 0);
    assert_eq!(ground.cursor(8).await?, 11);
    Ok(())
}

#[tokio::test]
async fn numbers_that_go_down_are_taken_and_the_cursor_follows() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let lease = acquire(&ground.data.app, &here("a"), 10, LEASE).await?[0];
    ground.ingest.ingest(polled(&lease, texts([900_000_001]))).await?;
    ground.ingest.ingest(polled(&lease, texts([17]))).await?;
    assert_eq!(ground.cursor(7).await?, 18);
    assert_eq!(ground.count("updates").await?, 2);
    Ok(())
}

#[tokio::test]
async fn edits_are_versions_and_unknown_kinds_are_kept() -> Result<()> {
    let ground = ground().await?;
    let first = text(1, 42, "frist");
    let mut edited = text(2, 42, "first");
    edited.kind = "edited_message".to_owned();
    let message = edited.message.as_mut().context("a message")?;
    message.id = 1;
    message.edit_date = 1_795_000_000;
    let mut unknown = text(3, 42, "");
    unknown.kind = "telepathy".to_owned();
    unknown.message = None;
    (unknown.chat, unknown.sender) = (None, None);
    let done = ground
        .ingest
        .ingest(pushed(7, vec![first, edited, unknown]))
        .await?;
    assert_eq!(done.stored, 3);
    assert_eq!(ground.count("messages WHERE message_id = 1").await?, 2);
    assert_eq!(ground.count("updates WHERE kind = 'telepathy'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn more_bytes_than_may_wait_are_refused_before_anything_is_done() -> Result<()> {
    let ground = ground_with(CommitterConfig {
        bytes: 200,
        ..CommitterConfig::default()
    })
    .await?;
    // Nothing commits while this holds the table.
    let mut holder = ground.data.owner.begin().await?;
    sqlx::query("LOCK TABLE update_ledger IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *holder)
        .await?;
    let ingest = ground.ingest.clone();
    let waiting = tokio::spawn(async move { ingest.ingest(pushed(7, texts([1, 2, 3, 4]))).await });
    // Its room is taken once it waits for the lock.
    bagua_testkit::eventually("the first batch to wait", || async {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .fetch_one(&ground.data.owner)
        .await?;
        Ok(waits.then_some(()))
    })
    .await?;
    let refused = ground.ingest.ingest(pushed(7, texts([5, 6, 7]))).await;
    assert!(matches!(refused, Err(IngestError::Busy)), "{refused:?}");
    holder.rollback().await?;
    assert_eq!(waiting.await??.stored, 4);
    assert_eq!(ground.ingest.ingest(pushed(7, texts([5, 6, 7]))).await?.stored, 3);
    Ok(())
}

#[tokio::test]
async fn partitions_are_made_ahead_and_asking_again_makes_none() -> Result<()> {
    let ground = ground().await?;
    let make = || {
        sqlx::query_scalar::<_, i32>("SELECT bots_make_partitions('2026-11-29', 4)")
            .fetch_one(&ground.data.app)
    };
    // Four days of updates and of terms, and the months of November and December.
    assert_eq!(make().await?, 10);
    assert_eq!(make().await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_update_that_is_pushed_is_stored_also_beside_the_same_one_polled_under_a_lost_fence() -> Result<()>
{
    let ground = ground_with(CommitterConfig {
        writers: 1,
        ..CommitterConfig::default()
    })
    .await?;
    ground.bots([7]).await?;
    let lease = acquire(&ground.data.app, &here("a"), 10, LEASE).await?[0];
    let stale = Lease {
        fence: Fence(lease.fence.0 - 1),
        ..lease
    };
    // The writer waits, so that the next two share one transaction.
    let mut lock = ground.data.owner.begin().await?;
    sqlx::query("LOCK TABLE update_ledger IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await?;
    let release = async {
        bagua_testkit::eventually("a statement that waits", || async {
            let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            Ok((ground.count(waits).await? > 0).then_some(()))
        })
        .await?;
        let (polled, pushed) = tokio::join!(ground.ingest.ingest(polled(&stale, texts([5]))), async {
            let both = ground.ingest.ingest(pushed(7, texts([5])));
            lock.rollback().await?;
            anyhow::Ok(both.await?)
        },);
        assert!(matches!(polled, Err(IngestError::FenceLost)), "{polled:?}");
        anyhow::Ok(pushed?)
    };
    let (first, pushed) = tokio::join!(ground.ingest.ingest(pushed(7, texts([1]))), release);
    assert_eq!((first?.stored, pushed?.stored), (1, 1));
    assert_eq!(ground.count("updates WHERE update_id = 5").await?, 1);
    Ok(())
}
