//! Rules in the data database.

use super::{Action, Rule, RuleError, check};
use crate::BotId;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

/// Why a rule was not kept.
#[derive(Debug, thiserror::Error)]
pub enum RuleStoreError {
    /// It cannot be used.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// There is no such rule of this bot, or somebody changed it meanwhile.
    #[error("the rule is not there in this version; look at it again")]
    Changed,
    /// There is no such bot, or another rule has its place.
    #[error("the rule cannot be kept like that: {0}")]
    Refused(String),
    /// The data database is away.
    #[error("the data database does not answer")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for RuleStoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(said) if said.is_unique_violation() => {
                RuleStoreError::Refused("another rule has its place in the order".to_owned())
            }
            sqlx::Error::Database(said) if said.is_foreign_key_violation() => {
                RuleStoreError::Refused("there is no such bot".to_owned())
            }
            _ => RuleStoreError::Database(error),
        }
    }
}

struct Row {
    rule_id: i64,
    version: i32,
    position: i32,
    title: String,
    enabled: bool,
    stops: bool,
    matches: Value,
    actions: Value,
}

impl Row {
    fn read(self) -> Result<Rule, RuleError> {
        let odd = |error: serde_json::Error| RuleError::Pattern(error.to_string());
        Ok(Rule {
            id: self.rule_id,
            version: self.version,
            position: self.position,
            title: self.title,
            enabled: self.enabled,
            stops: self.stops,
            matches: serde_json::from_value(self.matches).map_err(odd)?,
            actions: serde_json::from_value(self.actions).map_err(odd)?,
        })
    }
}

/// All rules of a bot, in their order. One that a later version wrote and this one cannot read is left out and logged.
///
/// # Errors
/// When the database is away.
pub async fn list(pool: &PgPool, bot: BotId) -> sqlx::Result<Vec<Rule>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT rule_id, version, position, title, enabled, stops, matches, actions FROM bot_rules
         WHERE bot_id = $1 ORDER BY position, rule_id",
        bot.0
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let id = row.rule_id;
            row.read()
                .inspect_err(|error| tracing::error!(bot = bot.0, rule = id, %error, "a rule cannot be read"))
                .ok()
        })
        .collect())
}

/// The rules of a bot that are switched on, in their order.
///
/// # Errors
/// When the database is away.
pub async fn enabled(pool: &PgPool, bot: BotId) -> sqlx::Result<Vec<Rule>> {
    let mut rules = list(pool, bot).await?;
    rules.retain(|rule| rule.enabled);
    Ok(rules)
}

/// Which rules of a bot are switched on, in which version and place; nothing when none is. Two equal marks are equal rules.
pub(crate) async fn mark(pool: &PgPool, bot: BotId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT string_agg(r.rule_id || '.' || r.version || '.' || r.position, ' ' ORDER BY r.rule_id)
         FROM bot_rules r WHERE r.bot_id = $1 AND r.enabled",
        bot.0
    )
    .fetch_one(pool)
    .await
}

/// Keeps a rule. With `rule.id` 0 it is a new one; otherwise `rule.version` is the version that was looked at, and the rule
/// gets the next one. What it said before stays in the history. Takes effect with the next update.
///
/// # Errors
/// [`RuleStoreError`].
pub async fn save(pool: &PgPool, bot: BotId, rule: &Rule) -> Result<Rule, RuleStoreError> {
    save_for(pool, bot, rule, None).await
}

/// As [`save`]; the version remembers the operation that wrote it, so that [`written_by`] finds it.
///
/// # Errors
/// [`RuleStoreError`].
pub async fn save_for(
    pool: &PgPool,
    bot: BotId,
    rule: &Rule,
    operation: Option<&str>,
) -> Result<Rule, RuleStoreError> {
    check(rule)?;
    let odd = |error: serde_json::Error| RuleStoreError::Refused(error.to_string());
    let matches = serde_json::to_value(&rule.matches).map_err(odd)?;
    let actions = serde_json::to_value(&rule.actions).map_err(odd)?;
    let saved = sqlx::query_as!(
        Row,
        r#"WITH new AS (
             INSERT INTO bot_rules (bot_id, position, title, enabled, stops, matches, actions)
             SELECT $1, $4, $5, $6, $7, $8, $9 WHERE $2::bigint = 0 RETURNING *
         ), changed AS (
             UPDATE bot_rules SET position = $4, title = $5, enabled = $6, stops = $7, matches = $8, actions = $9,
                 version = version + 1, changed_at = now()
             WHERE bot_id = $1 AND rule_id = $2 AND version = $3 RETURNING *
         ), saved AS (SELECT * FROM new UNION ALL SELECT * FROM changed
         ), kept AS (
             INSERT INTO bot_rule_versions (rule_id, version, bot_id, title, enabled, stops, matches, actions, operation)
             SELECT rule_id, version, bot_id, title, enabled, stops, matches, actions, $10 FROM saved
         )
         SELECT rule_id AS "rule_id!", version AS "version!", position AS "position!", title AS "title!", enabled AS "enabled!",
                stops AS "stops!", matches AS "matches!", actions AS "actions!" FROM saved"#,
        bot.0,
        rule.id,
        rule.version,
        rule.position,
        rule.title,
        rule.enabled,
        rule.stops,
        matches,
        actions,
        operation
    )
    .fetch_optional(pool)
    .await?
    .ok_or(RuleStoreError::Changed)?;
    Ok(saved.read()?)
}

/// Takes a rule away. What it did stays, with its history.
///
/// # Errors
/// [`RuleStoreError::Changed`] when it is not there in this version.
pub async fn remove(pool: &PgPool, bot: BotId, rule: i64, version: i32) -> Result<(), RuleStoreError> {
    let done = sqlx::query!(
        "DELETE FROM bot_rules WHERE bot_id = $1 AND rule_id = $2 AND version = $3",
        bot.0,
        rule,
        version
    )
    .execute(pool)
    .await?;
    if done.rows_affected() == 0 {
        return Err(RuleStoreError::Changed);
    }
    Ok(())
}

/// Which rule an operation wrote, and in which version; nothing when it has written none.
///
/// # Errors
/// When the database is away.
pub async fn written_by(pool: &PgPool, bot: BotId, operation: &str) -> sqlx::Result<Option<(i64, i32)>> {
    let row = sqlx::query!(
        "SELECT rule_id, version FROM bot_rule_versions WHERE bot_id = $1 AND operation = $2",
        bot.0,
        operation
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.rule_id, row.version)))
}

/// Gives a bot's rules another order: `rules` are all of their numbers.
///
/// # Errors
/// [`RuleStoreError::Changed`] when the bot has other rules by now.
pub async fn order(pool: &PgPool, bot: BotId, rules: &[i64]) -> Result<(), RuleStoreError> {
    let mut transaction = pool.begin().await?;
    let mut there = sqlx::query_scalar!(
        "SELECT rule_id FROM bot_rules WHERE bot_id = $1 ORDER BY rule_id FOR UPDATE",
        bot.0
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut wanted = rules.to_vec();
    wanted.sort_unstable();
    there.sort_unstable();
    if wanted != there {
        return Err(RuleStoreError::Changed);
    }
    sqlx::query!(
        "UPDATE bot_rules r SET position = o.place::int - 1
         FROM unnest($2::bigint[]) WITH ORDINALITY AS o (rule, place) WHERE r.bot_id = $1 AND r.rule_id = o.rule",
        bot.0,
        rules
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// A version of a rule.
#[derive(Clone, Debug)]
pub struct Past {
    /// What it said. Its place in the order is not kept.
    pub rule: Rule,
    /// Since when.
    pub at: OffsetDateTime,
}

/// What a rule said, newest first; of all rules of a bot in their present versions, in their order, when `rule` is nothing.
///
/// # Errors
/// When the database is away.
pub async fn versions(pool: &PgPool, bot: BotId, rule: Option<i64>) -> sqlx::Result<Vec<Past>> {
    let rows = sqlx::query!(
        r#"SELECT v.rule_id, v.version, r.position AS "position?", v.title, v.enabled, v.stops, v.matches, v.actions, v.changed_at
           FROM bot_rule_versions v LEFT JOIN bot_rules r ON r.rule_id = v.rule_id AND r.version = v.version
           WHERE v.bot_id = $1 AND (v.rule_id = $2 OR $2 IS NULL AND r.rule_id IS NOT NULL)
           ORDER BY CASE WHEN $2 IS NULL THEN r.position END, v.version DESC"#,
        bot.0,
        rule
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let id = row.rule_id;
            let read = Row {
                rule_id: id,
                version: row.version,
                position: row.position.unwrap_or_default(),
                title: row.title,
                enabled: row.enabled,
                stops: row.stops,
                matches: row.matches,
                actions: row.actions,
            };
            let rule = read.read();
            let rule = rule.inspect_err(
                |error| tracing::error!(bot = bot.0, rule = id, %error, "a rule cannot be read"),
            );
            Some(Past {
                rule: rule.ok()?,
                at: row.changed_at,
            })
        })
        .collect())
}

/// A group goes on under another number: rules that name it follow.
pub(crate) async fn migrate_chat(
    pool: &PgPool,
    bot: BotId,
    from: i64,
    to: i64,
) -> Result<(), RuleStoreError> {
    for mut rule in list(pool, bot).await? {
        let before = rule.clone();
        for chat in &mut rule.matches.chats {
            if *chat == from {
                *chat = to;
            }
        }
        for action in &mut rule.actions {
            if let Action::Forward { to: chat } = action
                && *chat == from
            {
                *chat = to;
            }
        }
        if rule == before {
            continue;
        }
        match save(pool, bot, &rule).await {
            // Somebody changes it at this moment; the alias sends to the new number all the same.
            Ok(_) | Err(RuleStoreError::Changed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
