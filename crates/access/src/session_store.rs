//! The store behind `tower-sessions`: what a session keeps besides its person.
//!
//! Only the crate's types are used, not its middleware. The middleware sets the cookie and saves after the response, and
//! to keep an idle end it has to save with every request; it parses every cookie, and takes a lock and a boxed future for
//! each, also for pages that only need to know who asks. Here that is [`Sessions::actor_of`], which needs memory alone.
//! The crate's identifier is the cookie's value, and its `Session` carries the flash through the store below.

use crate::sessions::{IDLE, Sessions};
use crate::{store, token};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result as StoreResult};
use tower_sessions::{Session, SessionStore};

/// Most bytes of a flash: the typed text of one form.
pub const FLASH_LIMIT: usize = 16 * 1024;
const FLASH: &str = "flash";

/// The sessions as a `tower-sessions` store, for the data that a session keeps. Reads and writes PostgreSQL: data that
/// was written by one console must be there for the next request to another.
#[derive(Clone)]
pub struct DataStore(pub Arc<Sessions>);

impl fmt::Debug for DataStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataStore")
    }
}

fn backend(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}

fn key(id: &Id) -> token::TokenHash {
    token::hash(&id.to_string())
}

#[async_trait]
impl SessionStore for DataStore {
    /// Refused: a session begins with a sign-in, in one transaction with its audit record. So no visitor can fill the
    /// table, and nobody can be handed a session that was made before they signed in.
    async fn create(&self, _: &mut Record) -> StoreResult<()> {
        Err(Error::Backend(
            "a session begins with a sign-in and in no other way".to_owned(),
        ))
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        let data: Map<String, Value> = record.data.clone().into_iter().collect();
        let there = store::sessions::set_data(&self.0.db, &key(&record.id), &data)
            .await
            .map_err(backend)?;
        if there {
            Ok(())
        } else {
            Err(Error::Backend("the session has ended".to_owned()))
        }
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let found = store::sessions::data(&self.0.db, &key(id), self.0.clock.now(), IDLE)
            .await
            .map_err(backend)?;
        Ok(found.map(|(data, expiry_date)| Record {
            id: *id,
            data: data.into_iter().collect(),
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        store::sessions::revoke_token(&self.0.db, &key(id), self.0.clock.now())
            .await
            .map_err(backend)?;
        self.0.ended(&id.to_string()).await;
        Ok(())
    }
}

impl Sessions {
    fn data_of(self: &Arc<Self>, cookie_token: &str) -> Option<Session> {
        let id: Id = cookie_token.parse().ok()?;
        Some(Session::new(Some(id), Arc::new(DataStore(self.clone())), None))
    }

    /// Keeps the typed text of a refused form for the page that is shown next. Whether it was kept: not when the session
    /// has ended, PostgreSQL is away, or it is larger than [`FLASH_LIMIT`]. Passwords do not belong in it.
    pub async fn set_flash(self: &Arc<Self>, cookie_token: &str, flash: &Value) -> bool {
        if flash.to_string().len() > FLASH_LIMIT {
            return false;
        }
        let Some(session) = self.data_of(cookie_token) else {
            return false;
        };
        // Without this look the crate would take an ended session for a new one.
        if session.load().await.is_err() {
            return false;
        }
        session.insert(FLASH, flash).await.is_ok() && session.save().await.is_ok()
    }

    /// What [`Sessions::set_flash`] kept, once. Asks PostgreSQL: call it only where a redirect says that there is one.
    pub async fn take_flash(self: &Arc<Self>, cookie_token: &str) -> Option<Value> {
        let session = self.data_of(cookie_token)?;
        session.load().await.ok()?;
        let flash = session.remove::<Value>(FLASH).await.ok()??;
        session.save().await.ok()?;
        Some(flash)
    }
}
