//! The key store on a real database.

use anyhow::Result;
use bagua_keys::{KeyError, KeyStore, MasterKey, Subject, SubjectKind};
use bagua_testkit::{Kind, TestDatabase, database_of};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::collections::HashSet;
use std::sync::Arc;

fn store(db: &TestDatabase, master: u8, seed: u64) -> Arc<KeyStore> {
    let mut random = StdRng::seed_from_u64(seed);
    KeyStore::new(db.app.clone(), MasterKey::new(&[master; 32]), &mut random, 1_000)
}

fn person(id: i64) -> Subject {
    Subject {
        kind: SubjectKind::Person,
        id,
    }
}

async fn seal(store: &KeyStore, subject: Subject, plain: &[u8]) -> Result<Vec<u8>> {
    let keys = store.current(&HashSet::from([subject])).await?;
    Ok(keys[&subject].seal(&mut store.random(), b"test", plain)?)
}

#[tokio::test]
async fn what_one_process_seals_another_opens() -> Result<()> {
    let db = database_of(Kind::Keys).await?;
    let sealed = seal(&store(&db, 1, 1), person(42), b"hello").await?;
    assert_eq!(&store(&db, 1, 2).open(b"test", &sealed).await?[..], b"hello");
    Ok(())
}

#[tokio::test]
async fn many_processes_that_meet_new_people_agree_on_one_key_each() -> Result<()> {
    let db = database_of(Kind::Keys).await?;
    let people: HashSet<Subject> = (0..200).map(person).collect();
    let mut asking = tokio::task::JoinSet::new();
    for seed in 0..6 {
        let (store, people) = (store(&db, 1, seed), people.clone());
        asking.spawn(async move { store.current(&people).await });
    }
    let mut ids = HashSet::new();
    while let Some(found) = asking.join_next().await {
        let found = found??;
        assert_eq!(found.len(), people.len());
        ids.extend(found.into_iter().map(|(subject, key)| (subject, key.id())));
    }
    assert_eq!(ids.len(), people.len());
    Ok(())
}

#[tokio::test]
async fn a_retired_key_still_opens_and_seals_nothing_new() -> Result<()> {
    let db = database_of(Kind::Keys).await?;
    let store = store(&db, 1, 1);
    let before = seal(&store, person(1), b"before").await?;
    assert_eq!(store.retire(person(1)).await?, 1);
    let after = seal(&store, person(1), b"after").await?;
    assert_ne!(before[1..9], after[1..9]);
    assert_eq!(&store.open(b"test", &before).await?[..], b"before");
    assert_eq!(&store.open(b"test", &after).await?[..], b"after");
    Ok(())
}

#[tokio::test]
async fn destroying_waits_until_every_process_has_forgotten_and_is_for_good() -> Result<()> {
    let db = database_of(Kind::Keys).await?;
    let store = store(&db, 1, 1);
    let sealed = seal(&store, person(1), b"hello").await?;
    store.retire(person(1)).await?;
    assert_eq!(
        store.destroy_retired(person(1)).await?,
        0,
        "another process may still seal with it"
    );
    sqlx::query("UPDATE data_keys SET retired_at = retired_at - interval '61 seconds'")
        .execute(&db.owner)
        .await?;
    assert_eq!(store.destroy_retired(person(1)).await?, 1);
    assert!(matches!(
        store.open(b"test", &sealed).await,
        Err(KeyError::Destroyed)
    ));
    let undone = sqlx::query("UPDATE data_keys SET wrapped = 'x', destroyed_at = NULL")
        .execute(&db.owner)
        .await;
    assert!(undone.is_err(), "a destroyed key stays destroyed");
    Ok(())
}

#[tokio::test]
async fn another_master_key_opens_nothing_and_says_so() -> Result<()> {
    let db = database_of(Kind::Keys).await?;
    let sealed = seal(&store(&db, 1, 1), person(1), b"hello").await?;
    let other = store(&db, 2, 2);
    assert!(matches!(
        other.open(b"test", &sealed).await,
        Err(KeyError::OtherMaster(_))
    ));
    assert!(matches!(
        other.current(&HashSet::from([person(1)])).await,
        Err(KeyError::OtherMaster(_))
    ));
    Ok(())
}

#[tokio::test]
async fn a_key_given_to_another_person_does_not_unwrap() -> Result<()> {
    let db = database_of(Kind::Keys).await?;
    let sealed = seal(&store(&db, 1, 1), person(1), b"hello").await?;
    sqlx::query("UPDATE data_keys SET subject_id = 2")
        .execute(&db.owner)
        .await?;
    assert!(matches!(
        store(&db, 1, 2).open(b"test", &sealed).await,
        Err(KeyError::Seal(_))
    ));
    Ok(())
}
