//! A database of its own for each test, reached as the application role: a missing grant fails the test.

use bagua_testkit::TestDatabase;
use sqlx::PgPool;

pub struct TestDb {
    pub pool: PgPool,
    _made: TestDatabase,
}

impl TestDb {
    pub async fn new() -> anyhow::Result<TestDb> {
        let made = bagua_testkit::database().await?;
        Ok(TestDb {
            pool: made.app.clone(),
            _made: made,
        })
    }
}
