//! Running rules behind the commit: updates that were stored with work to do are read back, and what comes of them is
//! written in the transaction that takes the work away. Who is killed in the middle leaves the work to its successor.

use super::bot::{Bot, End};
use crate::ingest;
use crate::outbox::{self, store as calls};
use crate::rules::{self, Effect, Facts, Rule, RuleSet, What};
use bagua_keys::KeyError;
use bagua_telegram::Header;
use metrics::counter;
use std::collections::HashSet;
use time::OffsetDateTime;

/// How many updates share one transaction.
const AT_ONCE: i64 = 100;

/// Why a batch of work was not done.
enum Failed {
    /// Somebody else owns the bot.
    Lost,
    /// The database or the key store is away.
    Away(String),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Failed::Away(error.to_string())
    }
}

struct Work {
    update_id: i64,
    received_at: OffsetDateTime,
    raw: Option<Vec<u8>>,
    /// Which rules are on, in which version.
    rules: Option<String>,
    /// Whether the bot is blocked anywhere.
    blocks: bool,
}

/// The rules of a bot, as far as they can be used.
#[derive(Default)]
struct Ready {
    /// Which rules are on, in which version; nothing before the first look.
    mark: Option<String>,
    set: RuleSet,
}

/// Effects as columns.
#[derive(Default)]
struct Outcome {
    done: Vec<i64>,
    marks: Marks,
    calls: Calls,
    /// Chats from which the bot heard: it is not blocked there.
    heard: HashSet<i64>,
    blocked: Vec<(i64, String)>,
    moved: Vec<(i64, i64)>,
}

#[derive(Default)]
struct Marks {
    update: Vec<i64>,
    rule: Vec<i64>,
    step: Vec<i16>,
    version: Vec<i32>,
    mark: Vec<String>,
    tag: Vec<Option<String>>,
}

#[derive(Default)]
struct Calls {
    update: Vec<i64>,
    rule: Vec<i64>,
    step: Vec<i16>,
    version: Vec<i32>,
    effect: Vec<String>,
    chat: Vec<i64>,
    method: Vec<String>,
    payload: Vec<Vec<u8>>,
    lane: Vec<i16>,
}

impl Bot {
    pub(super) async fn work(&self) -> End {
        let mut pause = self.config.pause;
        let mut ready = Ready::default();
        loop {
            if self.stop.is_cancelled() {
                return End::Stopped;
            }
            let more = match self.work_once(&mut ready).await {
                Ok(more) => {
                    pause = self.config.pause;
                    more
                }
                Err(Failed::Lost) => return End::Lost,
                Err(Failed::Away(why)) => {
                    counter!("tg_runner_database_errors_total", "what" => "work").increment(1);
                    tracing::warn!(bot = self.id.0, why, "rules did not run; trying again");
                    if self.rest(pause).await {
                        return End::Stopped;
                    }
                    pause = (pause * 2).min(super::poll::LONGEST_PAUSE);
                    continue;
                }
            };
            if more {
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => return End::Stopped,
                () = self.wake.work.notified() => {}
            }
        }
    }

    /// Whether there may be more.
    async fn work_once(&self, ready: &mut Ready) -> Result<bool, Failed> {
        let work = sqlx::query_as!(
            Work,
            r#"SELECT w.update_id, w.received_at, u.raw AS "raw?",
                 (SELECT string_agg(r.rule_id || '.' || r.version || '.' || r.position, ' ' ORDER BY r.rule_id)
                  FROM bot_rules r WHERE r.bot_id = $1 AND r.enabled) AS rules,
                 EXISTS (SELECT FROM chat_blocks WHERE bot_id = $1) AS "blocks!"
               FROM update_work w
               LEFT JOIN updates u ON u.bot_id = w.bot_id AND u.update_id = w.update_id AND u.received_at = w.received_at
               WHERE w.bot_id = $1 ORDER BY w.lane, w.received_at, w.update_id LIMIT $2"#,
            self.id.0,
            AT_ONCE
        )
        .fetch_all(&self.parts.pool)
        .await?;
        let Some(first) = work.first() else {
            return Ok(false);
        };
        let blocks = first.blocks;
        if ready.mark.is_none() || ready.mark != first.rules {
            // Read behind the mark: a change in between is read now and once more with the next work.
            let mark = first.rules.clone();
            let rules = rules::enabled(&self.parts.pool, self.id).await?;
            *ready = Ready {
                mark,
                set: usable(self.id, &rules),
            };
        }
        let more = work.len() == usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        let mut outcome = Outcome::default();
        for one in work {
            self.run_rules(&ready.set, one, &mut outcome).await?;
        }
        if !blocks && outcome.blocked.is_empty() {
            // There is nothing to be taken back, so nothing needs to be written.
            outcome.heard.clear();
        }
        self.finish(outcome).await?;
        Ok(more)
    }

    async fn run_rules(&self, rules: &RuleSet, work: Work, outcome: &mut Outcome) -> Result<(), Failed> {
        let id = work.update_id;
        outcome.done.push(id);
        let context = ingest::context(b'u', self.id, id);
        let opened = match &work.raw {
            Some(raw) => self.parts.keys.open(&context, raw).await,
            None => Err(KeyError::Destroyed),
        };
        let raw = match opened {
            Ok(raw) => raw,
            Err(KeyError::Store(error)) => return Err(error.into()),
            // It cannot be read now and never will; that is said, and the updates behind it go on.
            Err(error) => {
                tracing::warn!(
                    bot = self.id.0,
                    update = id,
                    received_at = %work.received_at,
                    error = &error as &dyn std::error::Error,
                    "an update cannot be read; its rules do not run"
                );
                outcome.marks.push(id, 0, 0, 0, "unreadable", None);
                return Ok(());
            }
        };
        let facts = Facts::read(&raw);
        outcome.learn(&raw, &facts);
        for effect in rules.run(&facts) {
            self.note_effect(&facts, id, effect, outcome).await?;
        }
        Ok(())
    }

    async fn note_effect(
        &self,
        facts: &Facts<'_>,
        id: i64,
        effect: Effect,
        outcome: &mut Outcome,
    ) -> Result<(), Failed> {
        let Effect {
            rule,
            version,
            step,
            what,
        } = effect;
        match what {
            What::Drop => outcome.marks.push(id, rule, step, version, "drop", None),
            What::Tag(tag) => outcome.marks.push(id, rule, step, version, "tag", Some(tag)),
            What::Call {
                method,
                chat,
                parameters,
            } => {
                let name = format!("{id}/{rule}/{step}");
                let subject = outbox::subject(self.id, facts.chat, facts.sender);
                let away = |error: KeyError| Failed::Away(error.to_string());
                let key = self.parts.keys.current_one(subject).await.map_err(away)?;
                let payload =
                    outbox::seal(&self.parts.keys, &key, self.id, &name, &parameters).map_err(away)?;
                let urgent = facts.kind == "callback_query";
                let calls = &mut outcome.calls;
                calls.update.push(id);
                calls.rule.push(rule);
                calls.step.push(step);
                calls.version.push(version);
                calls.effect.push(name);
                calls.chat.push(chat);
                calls.method.push(method.to_owned());
                calls.payload.push(payload);
                calls.lane.push(i16::from(!urgent));
            }
        }
        Ok(())
    }

    async fn finish(&self, outcome: Outcome) -> Result<(), Failed> {
        let pool = &self.parts.pool;
        for (from, to) in &outcome.moved {
            calls::alias(pool, self.id, *from, *to).await?;
            rules::migrate_chat(pool, self.id, *from, *to)
                .await
                .map_err(|error| Failed::Away(error.to_string()))?;
        }
        for (chat, why) in &outcome.blocked {
            calls::block(pool, self.id, *chat, why).await?;
        }
        if !outcome.heard.is_empty() {
            let heard: Vec<i64> = outcome.heard.into_iter().collect();
            calls::unblock(pool, self.id, &heard).await?;
        }
        let fence = self.lease.borrow().fence;
        let Outcome {
            done, marks, calls, ..
        } = outcome;
        let row = sqlx::query!(
            r#"WITH held AS MATERIALIZED (SELECT bot_id FROM bot_leases WHERE bot_id = $1 AND fence = $2 FOR SHARE
             ), done AS (
                 DELETE FROM update_work w USING held WHERE w.bot_id = held.bot_id AND w.update_id = ANY($3) RETURNING w.update_id
             ), marks AS (
                 INSERT INTO update_marks (bot_id, update_id, rule_id, step, rule_version, mark, tag)
                 SELECT $1, m.u, m.r, m.s, m.v, m.mark, m.tag
                 FROM unnest($4::bigint[], $5::bigint[], $6::smallint[], $7::int[], $8::text[], $9::text[]) AS m (u, r, s, v, mark, tag)
                 JOIN done ON done.update_id = m.u ON CONFLICT DO NOTHING
             ), calls AS (
                 INSERT INTO outbox (bot_id, update_id, rule_id, step, rule_version, effect, chat_id, method, payload, lane)
                 SELECT $1, c.u, c.r, c.s, c.v, c.effect, c.chat, c.method, c.payload, c.lane
                 FROM unnest($10::bigint[], $11::bigint[], $12::smallint[], $13::int[], $14::text[], $15::bigint[], $16::text[],
                             $17::bytea[], $18::smallint[]) WITH ORDINALITY AS c (u, r, s, v, effect, chat, method, payload, lane, n)
                 JOIN done ON done.update_id = c.u ORDER BY c.n ON CONFLICT DO NOTHING RETURNING outbox_id
             )
             SELECT EXISTS (SELECT FROM held) AS "held!", (SELECT count(*) FROM calls) AS "calls!""#,
            self.id.0,
            fence.0,
            &done,
            &marks.update,
            &marks.rule,
            &marks.step,
            &marks.version,
            &marks.mark,
            &marks.tag as &[Option<String>],
            &calls.update,
            &calls.rule,
            &calls.step,
            &calls.version,
            &calls.effect,
            &calls.chat,
            &calls.method,
            &calls.payload,
            &calls.lane
        )
        .fetch_one(pool)
        .await?;
        if !row.held {
            return Err(Failed::Lost);
        }
        counter!("tg_rules_updates_total").increment(done.len() as u64);
        if row.calls > 0 {
            self.wake.send.notify_one();
        }
        Ok(())
    }
}

impl Marks {
    fn push(&mut self, update: i64, rule: i64, step: i16, version: i32, mark: &str, tag: Option<String>) {
        self.update.push(update);
        self.rule.push(rule);
        self.step.push(step);
        self.version.push(version);
        self.mark.push(mark.to_owned());
        self.tag.push(tag);
    }
}

impl Outcome {
    /// What an update says of the chat itself: that the group goes on elsewhere, that the bot may speak there or may not.
    fn learn(&mut self, raw: &[u8], facts: &Facts<'_>) {
        let header = Header::read(raw);
        let Some(chat) = facts.chat else { return };
        if let Some(to) = header.migrate_to_chat_id {
            self.moved.push((chat, to));
        }
        if let Some(from) = header.migrate_from_chat_id {
            self.moved.push((from, chat));
        }
        match &*facts.kind {
            "my_chat_member" => match rules::membership(raw).as_deref() {
                Some(status @ ("kicked" | "left")) => {
                    self.heard.remove(&chat);
                    self.blocked.push((chat, status.to_owned()));
                }
                Some(_) => {
                    self.blocked.retain(|(blocked, _)| *blocked != chat);
                    self.heard.insert(chat);
                }
                None => {}
            },
            // Whoever writes to the bot in a private chat has not blocked it.
            "message" if chat > 0 => {
                self.heard.insert(chat);
            }
            _ => {}
        }
    }
}

/// Rules were checked when they were kept. One that an older or newer version kept and this one cannot use is left out.
fn usable(bot: crate::BotId, rules: &[Rule]) -> RuleSet {
    let mut rules = rules.to_vec();
    loop {
        match RuleSet::new(rules.clone()) {
            Ok(set) => return set,
            Err((id, error)) => {
                tracing::error!(bot = bot.0, rule = id, %error, "a rule cannot be used");
                rules.retain(|rule| rule.id != id);
            }
        }
    }
}
