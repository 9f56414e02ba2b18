//! A database for one test, as this crate's tests use it.

use bagua_testkit::TestDatabase;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

pub struct Database {
    /// As its owner, for arranging.
    pub pool: PgPool,
    made: TestDatabase,
}

impl Database {
    pub async fn new() -> Database {
        let made = bagua_testkit::database().await.unwrap();
        Database {
            pool: made.owner.clone(),
            made,
        }
    }

    /// As the console connects: with the application role and its few rights.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::from_str(&self.made.app_url).unwrap()
    }
}
