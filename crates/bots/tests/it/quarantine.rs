//! What had no number is read again by a version that finds one, once.

use crate::ground::{Ground, MASTER, ground, says};
use anyhow::Result;
use bagua_bots::BotId;
use bagua_bots::quarantine::{Replayed, discard, list, replay};
use bagua_keys::{KeyStore, MasterKey, Subject, SubjectKind};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use time::macros::datetime;

const BOT: BotId = BotId(7);

/// Puts bytes into quarantine as an older version would have done.
async fn put(ground: &Ground, raw: &str) -> Result<i64> {
    let subject = Subject {
        kind: SubjectKind::Bot,
        id: BOT.0,
    };
    let digest = Sha256::digest(raw.as_bytes());
    let mut context = vec![b'q'];
    context.extend(BOT.0.to_be_bytes());
    context.extend(digest);
    let key = ground.keys.current_one(subject).await?;
    let sealed = key.seal(&mut ground.keys.random(), &context, raw.as_bytes())?;
    Ok(sqlx::query_scalar(
        "INSERT INTO update_quarantine (bot_id, received_at, reason, digest, raw) VALUES ($1, now(), 'no_number', $2, $3) RETURNING id",
    )
    .bind(BOT.0)
    .bind(&digest[..])
    .bind(sealed)
    .fetch_one(&ground.data.owner)
    .await?)
}

async fn again(ground: &Ground, rows: &[i64]) -> Result<Replayed> {
    let now = Arc::new(|| datetime!(2026-11-22 20:00:00 UTC));
    Ok(replay(&ground.data.app, &ground.keys, BOT, rows, now).await?)
}

#[tokio::test]
async fn what_has_a_number_now_is_stored_once_and_what_has_none_stays() -> Result<()> {
    let ground = ground().await?;
    ground.bots([BOT.0]).await?;
    let numbered = says(42, 1, "late").replacen('{', r#"{"update_id":11,"#, 1);
    let readable = put(&ground, &numbered).await?;
    let odd = put(&ground, r#"{"message":{"text":"no number"}}"#).await?;
    let done = again(&ground, &[readable, odd]).await?;
    assert_eq!((done.stored, done.repeats, done.left), (1, 0, 1));
    assert_eq!(ground.count("updates WHERE update_id = 11").await?, 1);
    let left: Vec<i64> = list(&ground.data.app, BOT, 10)
        .await?
        .iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(left, [odd]);

    // As after a run that stored it and died before it took it away.
    let twice = put(&ground, &numbered).await?;
    let done = again(&ground, &[twice]).await?;
    assert_eq!((done.stored, done.repeats, done.left), (0, 1, 0));
    assert_eq!(ground.count("updates WHERE update_id = 11").await?, 1);

    // One whose key was destroyed stays, and keeps no other from being read.
    let (sealed_off, late) = (
        put(&ground, r#"{"update_id":12}"#).await?,
        numbered.replacen("11", "13", 1),
    );
    let subject = Subject {
        kind: SubjectKind::Bot,
        id: BOT.0,
    };
    ground.keys.retire(subject).await?;
    sqlx::query(
        "UPDATE data_keys SET wrapped = NULL, destroyed_at = clock_timestamp() WHERE subject_id = $1",
    )
    .bind(BOT.0)
    .execute(&ground.keys_db.owner)
    .await?;
    let late = put(&ground, &late).await?;
    // A process that has not remembered the destroyed one.
    let mut random = StdRng::seed_from_u64(2);
    let master = MasterKey::new(&MASTER);
    let keys = KeyStore::new(ground.keys_db.app.clone(), master, &mut random, 10);
    let now = Arc::new(|| datetime!(2026-11-22 20:00:00 UTC));
    let done = replay(&ground.data.app, &keys, BOT, &[sealed_off, late], now).await?;
    assert_eq!((done.stored, done.repeats, done.left), (1, 0, 1));
    assert_eq!(discard(&ground.data.app, BOT, &[sealed_off]).await?, 1);

    // Of another bot nothing goes.
    assert_eq!(discard(&ground.data.app, BotId(8), &[odd]).await?, 0);
    assert_eq!(discard(&ground.data.app, BOT, &[odd]).await?, 1);
    assert_eq!(ground.count("update_quarantine").await?, 0);
    Ok(())
}
