//! Which groups Alertmanager has told the webhook of, and when, whichever console it was.

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use std::collections::HashMap;
use time::{Duration, OffsetDateTime};

/// How long a receipt is kept.
const KEPT: Duration = Duration::days(30);

fn digest(group: &str) -> Vec<u8> {
    Sha256::digest(group.as_bytes()).to_vec()
}

/// Notes that a notification of the group came, and forgets what is too old.
pub(crate) async fn note(db: &PgPool, group: &str, now: OffsetDateTime) -> sqlx::Result<()> {
    if group.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH old AS (DELETE FROM alert_receipts WHERE received_at < $3 AND group_digest NOT IN ('', $1))
         INSERT INTO alert_receipts (group_digest, received_at) VALUES ($1, $2)
         ON CONFLICT (group_digest) DO UPDATE SET received_at = greatest(alert_receipts.received_at, $2)",
        digest(group),
        now,
        now - KEPT
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is known of some groups.
pub(crate) struct Receipts {
    /// Nothing is known of what came before.
    pub since: OffsetDateTime,
    last: HashMap<Vec<u8>, OffsetDateTime>,
}

impl Receipts {
    /// Of these groups.
    pub(crate) async fn of<'a>(
        db: &PgPool,
        groups: impl Iterator<Item = &'a str>,
        now: OffsetDateTime,
    ) -> sqlx::Result<Receipts> {
        let wanted: Vec<_> = groups.map(digest).chain([Vec::new()]).collect();
        let rows = sqlx::query!(
            "SELECT group_digest, received_at FROM alert_receipts WHERE group_digest = ANY ($1)",
            &wanted
        )
        .fetch_all(db)
        .await?;
        let mut last: HashMap<_, _> = rows
            .into_iter()
            .map(|row| (row.group_digest, row.received_at))
            .collect();
        let begun = last.remove(&Vec::new()).unwrap_or(now);
        Ok(Receipts {
            since: begun.max(now - KEPT),
            last,
        })
    }

    /// When a notification of the group last came.
    pub(crate) fn last(&self, group: &str) -> Option<OffsetDateTime> {
        self.last.get(&digest(group)).copied()
    }
}
