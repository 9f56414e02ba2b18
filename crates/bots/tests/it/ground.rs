//! A cell, a key store and bots in it.

use anyhow::Result;
use bagua_bots::BotId;
use bagua_bots::ingest::{Batch, Committer, CommitterConfig, Ingest, Message, Update, Way};
use bagua_keys::{KeyStore, MasterKey};
use bagua_testkit::{Kind, TestDatabase, database_of};
use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::sync::Arc;
use time::macros::datetime;

pub struct Ground {
    pub data: TestDatabase,
    pub keys: Arc<KeyStore>,
    pub ingest: Ingest,
    // Dropped last: the key store works on it.
    _keys: TestDatabase,
}

pub async fn ground() -> Result<Ground> {
    ground_with(CommitterConfig::default()).await
}

pub async fn ground_with(config: CommitterConfig) -> Result<Ground> {
    let data = database_of(Kind::Data).await?;
    let keys_db = database_of(Kind::Keys).await?;
    let mut random = StdRng::seed_from_u64(1);
    let keys = KeyStore::new(keys_db.app.clone(), MasterKey::new(&[1; 32]), &mut random, 1_000);
    let now = Arc::new(|| datetime!(2026-11-22 20:00:00 UTC));
    let ingest = Ingest::new(keys.clone(), Committer::start(&data.app, config, now));
    Ok(Ground {
        data,
        keys,
        ingest,
        _keys: keys_db,
    })
}

impl Ground {
    /// Bots that should run, and that nobody owns yet.
    pub async fn bots(&self, ids: impl IntoIterator<Item = i64>) -> Result<()> {
        for id in ids {
            sqlx::query(
                "WITH bot AS (
                     INSERT INTO bots (bot_id, username, token, base_url, mode, desired)
                     VALUES ($1, 'bot_' || $1, 'x', 'http://127.0.0.1:1', 'polling', 'running') RETURNING bot_id
                 ), lease AS (INSERT INTO bot_leases (bot_id) SELECT bot_id FROM bot)
                 INSERT INTO bot_cursors (bot_id) SELECT bot_id FROM bot",
            )
            .bind(id)
            .execute(&self.data.app)
            .await?;
        }
        Ok(())
    }

    pub async fn count(&self, table: &str) -> Result<i64> {
        let sql = format!("SELECT count(*) FROM {table}");
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&self.data.owner)
            .await?)
    }

    pub async fn cursor(&self, bot: i64) -> Result<i64> {
        Ok(
            sqlx::query_scalar("SELECT next_offset FROM bot_cursors WHERE bot_id = $1")
                .bind(bot)
                .fetch_one(&self.data.owner)
                .await?,
        )
    }
}

/// A text message in a chat of its sender.
pub fn text(update_id: i64, sender: i64, words: &str) -> Update {
    Update {
        update_id,
        kind: "message".to_owned(),
        chat: Some(sender),
        sender: Some(sender),
        message: Some(Message {
            id: update_id,
            date: datetime!(2026-11-22 19:59:00 UTC),
            edit_date: 0,
            media: None,
            text: Some(words.to_owned()),
        }),
        raw: Bytes::from(format!(
            r#"{{"update_id":{update_id},"message":{{"text":"{words}"}}}}"#
        )),
    }
}

pub fn texts(ids: impl IntoIterator<Item = i64>) -> Vec<Update> {
    ids.into_iter()
        .map(|id| text(id, 500 + id % 7, "hello"))
        .collect()
}

pub fn pushed(bot: i64, updates: Vec<Update>) -> Batch {
    Batch {
        bot: BotId(bot),
        way: Way::Pushed,
        updates,
    }
}
