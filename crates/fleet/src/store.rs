//! What is read from a cell. Writing is `bagua_bots::catalogue`'s.

use bagua_bots::BotId;
use bagua_bots::fleet::{self, Happened};
use bagua_model::bots::{BotChange, BotCondition, BotDesired, BotEvent, BotMode};
use bagua_model::region::RegionId;
use sqlx::PgPool;
use time::OffsetDateTime;

/// A bot as its cell has it.
#[derive(Clone, Debug)]
pub struct Row {
    pub bot_id: i64,
    pub username: String,
    pub base_url: String,
    pub mode: String,
    pub desired: String,
    pub generation: i64,
    pub created_at: OffsetDateTime,
    pub fence: i64,
    pub next_offset: i64,
    /// Nobody when the lease has ended.
    pub owner: Option<String>,
    /// Where it runs.
    pub runs_in: Option<String>,
    /// Where it shall run; empty: in its data's region.
    pub regions: Vec<String>,
    pub state: Option<String>,
    pub class: Option<String>,
    pub detail: Option<String>,
    pub since: Option<OffsetDateTime>,
    pub state_fence: Option<i64>,
    pub state_generation: Option<i64>,
    /// Of the configuration of updates: kinds, and the address to push to.
    pub update_kinds: Vec<String>,
    pub webhook_url: Option<String>,
    /// What Telegram last said, and when.
    pub asked_at: Option<OffsetDateTime>,
    pub pending: Option<i64>,
    pub seen_url: Option<String>,
    pub seen_kinds: Option<Vec<String>>,
    pub seen_error_at: Option<OffsetDateTime>,
    pub seen_error: Option<String>,
    /// Nothing that waits there is older.
    pub waits_since: Option<OffsetDateTime>,
    /// Sum of what was new.
    pub stored: i64,
    pub last_received_at: Option<OffsetDateTime>,
    pub lag_ms: Option<i64>,
    /// Seconds of 429 within a day.
    pub throttled: i64,
    pub quarantined: i64,
    pub open_calls: i64,
    pub uncertain: i64,
}

impl Row {
    /// Where it shall run, its home first. Never empty.
    pub fn places(&self, region: &RegionId) -> Vec<RegionId> {
        if self.regions.is_empty() {
            return vec![region.clone()];
        }
        self.regions.iter().map(RegionId::new).collect()
    }

    /// What is wanted.
    pub fn desired(&self) -> BotDesired {
        // The table's CHECK knows the same two words.
        self.desired.parse().unwrap_or(BotDesired::Stopped)
    }

    /// How updates come.
    pub fn mode(&self) -> BotMode {
        self.mode.parse().unwrap_or(BotMode::Polling)
    }

    /// Whether Telegram says that its pushes fail, and nothing has come since. Its owner is well then, and the bot is not.
    pub fn pushes_fail(&self) -> bool {
        self.mode() == BotMode::Webhook
            && self.pending.is_some_and(|pending| pending > 0)
            && self
                .seen_error_at
                .is_some_and(|failed| self.last_received_at.is_none_or(|came| failed > came))
    }

    /// What readers are shown: what its owner says, unless Telegram says that its pushes fail.
    pub fn shown(&self) -> BotCondition {
        match self.condition() {
            BotCondition::Running if self.pushes_fail() => BotCondition::Retrying,
            condition => condition,
        }
    }

    /// What the bot is doing, as its owner says. A state counts only when it was said by this owner about these settings: what an earlier
    /// owner said is no news of the present one.
    pub fn condition(&self) -> BotCondition {
        use BotCondition as C;
        let about_these_settings = self.state_generation == Some(self.generation);
        let by_this_owner = self.state_fence == Some(self.fence);
        let state = self.state.as_deref().unwrap_or_default();
        match (self.desired(), self.owner.is_some()) {
            (BotDesired::Stopped, true) => C::Draining,
            (BotDesired::Stopped, false) => C::Stopped,
            // Nobody owns it because nobody can help it but a person.
            (BotDesired::Running, _) if about_these_settings && state == "invalid" => C::Invalid,
            (BotDesired::Running, _) if about_these_settings && state == "failed" => C::Failed,
            (BotDesired::Running, false) => C::Unowned,
            (BotDesired::Running, true) if !about_these_settings || !by_this_owner => C::Starting,
            (BotDesired::Running, true) => match state {
                "running" => C::Running,
                "conflict" => C::Conflict,
                "retrying" => C::Retrying,
                _ => C::Starting,
            },
        }
    }
}

/// All bots of a cell, or one.
pub async fn bots(pool: &PgPool, bot: Option<i64>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"SELECT b.bot_id, b.username, b.base_url, b.mode, b.desired, b.generation, b.created_at, l.fence, c.next_offset,
                  CASE WHEN l.expires_at > now() THEN l.owner END AS owner,
                  CASE WHEN l.expires_at > now() THEN l.region END AS runs_in, b.regions,
                  s.state AS "state?", s.class, s.detail, s.since AS "since?", s.fence AS "state_fence?",
                  s.generation AS "state_generation?", b.update_kinds, b.webhook_url,
                  v.at AS "asked_at?", v.pending AS "pending?", v.url AS "seen_url?", v.update_kinds AS "seen_kinds?",
                  v.last_error_at AS "seen_error_at?", v.last_error AS "seen_error?",
                  CASE WHEN b.mode = 'webhook' THEN coalesce(v.emptied_at, n.last_date)
                       ELSE greatest(v.emptied_at, n.last_date) END AS waits_since,
                  coalesce(n.stored, 0) AS "stored!",
                  n.last_at AS "last_received_at?",
                  greatest(0, extract(epoch FROM n.dated_at - n.last_date) * 1000)::bigint AS lag_ms,
                  (SELECT coalesce(sum(seconds), 0)::bigint FROM bot_throttles t
                   WHERE t.bot_id = b.bot_id AND t.hour > now() - interval '24 hours') AS "throttled!",
                  (SELECT count(*) FROM update_quarantine q WHERE q.bot_id = b.bot_id) AS "quarantined!",
                  (SELECT count(*) FROM outbox o WHERE o.bot_id = b.bot_id AND o.state IN ('pending', 'sending')) AS "open_calls!",
                  (SELECT count(*) FROM outbox o WHERE o.bot_id = b.bot_id AND o.state = 'uncertain') AS "uncertain!"
           FROM bots b JOIN bot_leases l USING (bot_id) JOIN bot_cursors c USING (bot_id)
           LEFT JOIN bot_states s USING (bot_id)
           LEFT JOIN bot_observations v USING (bot_id) LEFT JOIN ingest_counts n USING (bot_id)
           WHERE $1::bigint IS NULL OR b.bot_id = $1"#,
        bot
    )
    .fetch_all(pool)
    .await
}

/// One bot.
pub async fn bot(pool: &PgPool, bot: i64) -> sqlx::Result<Option<Row>> {
    Ok(bots(pool, Some(bot)).await?.pop())
}

/// The sealed token of a bot.
pub async fn sealed_token(pool: &PgPool, bot: i64) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("SELECT token FROM bots WHERE bot_id = $1", bot)
        .fetch_optional(pool)
        .await
}

/// Who owned a bot and how it was, newest first.
pub async fn timeline(pool: &PgPool, bot: i64) -> sqlx::Result<Vec<BotEvent>> {
    let events = fleet::timeline(pool, BotId(bot), 50).await?;
    Ok(events
        .into_iter()
        .map(|event| {
            let (what, owner, class, detail) = match event.what {
                Happened::Lease { what, owner } => (what, Some(owner), None, None),
                Happened::State { state, class, detail } => (state, None, class, detail),
            };
            BotEvent {
                at: event.at,
                // Both tables' CHECKs know these words and no others.
                what: what.parse().unwrap_or(BotChange::Acquired),
                owner,
                class,
                detail,
                fence: event.fence.0,
            }
        })
        .collect())
}

/// An update as it is stored.
pub struct Update {
    pub update_id: i64,
    pub received_at: OffsetDateTime,
    pub kind: String,
    pub raw: Vec<u8>,
}

/// The newest updates of a bot.
pub async fn tail(pool: &PgPool, bot: i64, limit: i64) -> sqlx::Result<Vec<Update>> {
    sqlx::query_as!(
        Update,
        "SELECT update_id, received_at, kind, raw FROM updates WHERE bot_id = $1
         ORDER BY received_at DESC, update_id DESC LIMIT $2",
        bot,
        limit
    )
    .fetch_all(pool)
    .await
}

/// One update, that was stored at that time.
pub async fn update(
    pool: &PgPool,
    bot: i64,
    update: i64,
    at: OffsetDateTime,
) -> sqlx::Result<Option<Update>> {
    sqlx::query_as!(
        Update,
        "SELECT update_id, received_at, kind, raw FROM updates WHERE bot_id = $1 AND update_id = $2 AND received_at = $3 LIMIT 1",
        bot,
        update,
        at
    )
    .fetch_optional(pool)
    .await
}

/// What rules did with an update: `drop`, `unreadable`, `tag …`.
pub async fn marks(pool: &PgPool, bot: i64, update: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT concat_ws(' ', mark, tag) AS "mark!" FROM update_marks WHERE bot_id = $1 AND update_id = $2 ORDER BY rule_id, step"#,
        bot,
        update
    )
    .fetch_all(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(desired: &str, owner: Option<&str>, state: Option<(&str, i64, i64)>) -> Row {
        Row {
            bot_id: 1,
            username: "b".to_owned(),
            base_url: "http://127.0.0.1:1".to_owned(),
            mode: "polling".to_owned(),
            desired: desired.to_owned(),
            generation: 2,
            created_at: OffsetDateTime::UNIX_EPOCH,
            fence: 5,
            next_offset: 0,
            owner: owner.map(str::to_owned),
            runs_in: None,
            regions: Vec::new(),
            state: state.map(|s| s.0.to_owned()),
            class: None,
            detail: None,
            since: None,
            state_fence: state.map(|s| s.1),
            state_generation: state.map(|s| s.2),
            update_kinds: Vec::new(),
            webhook_url: None,
            asked_at: None,
            pending: None,
            seen_url: None,
            seen_kinds: None,
            seen_error_at: None,
            seen_error: None,
            waits_since: None,
            stored: 0,
            last_received_at: None,
            lag_ms: None,
            throttled: 0,
            quarantined: 0,
            open_calls: 0,
            uncertain: 0,
        }
    }

    #[test]
    fn a_state_counts_only_when_its_owner_said_it_about_these_settings() {
        use BotCondition as C;
        for (row, expected) in [
            (row("running", Some("a"), Some(("running", 5, 2))), C::Running),
            (row("running", Some("a"), Some(("retrying", 5, 2))), C::Retrying),
            (row("running", Some("a"), Some(("conflict", 5, 2))), C::Conflict),
            // Said by the owner before, or about the settings before.
            (row("running", Some("a"), Some(("running", 4, 2))), C::Starting),
            (row("running", Some("a"), Some(("running", 5, 1))), C::Starting),
            (row("running", Some("a"), None), C::Starting),
            // Absence of an owner is never health, whatever the last one said.
            (row("running", None, Some(("running", 5, 2))), C::Unowned),
            (row("running", None, Some(("invalid", 4, 2))), C::Invalid),
            (row("running", None, Some(("invalid", 4, 1))), C::Unowned),
            (row("running", None, Some(("failed", 4, 2))), C::Failed),
            (row("stopped", Some("a"), Some(("running", 5, 2))), C::Draining),
            (row("stopped", None, Some(("running", 5, 2))), C::Stopped),
        ] {
            assert_eq!(row.condition(), expected, "{row:?}");
        }
    }

    #[test]
    fn a_bot_whose_pushes_fail_does_not_run_however_well_its_owner_is() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        let mut bot = row("running", Some("a"), Some(("running", 5, 2)));
        (bot.seen_error_at, bot.last_received_at, bot.pending) = (at(200), at(100), Some(3));
        assert_eq!(bot.shown(), BotCondition::Running, "one that polls has no pushes");
        bot.mode = "webhook".to_owned();
        assert_eq!(bot.shown(), BotCondition::Retrying);
        // An old failure that was followed by a push, or nothing that waits.
        bot.last_received_at = at(300);
        assert_eq!(bot.shown(), BotCondition::Running);
        (bot.last_received_at, bot.pending) = (None, Some(0));
        assert_eq!(bot.shown(), BotCondition::Running);
    }
}
