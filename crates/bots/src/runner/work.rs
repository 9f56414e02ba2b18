//! Running rules behind the commit: over what was just committed in this process, and over what others stored with work to do, which is read back. What
//! comes of it is written in the transaction that takes the work away, so that it comes once, whichever way it went. Who is killed in the middle
//! leaves the work to its successor.

use super::bot::{Bot, End};
use super::clerk::ClerkError;
use super::finish::{Call, Finish, Finished, Mark};
use crate::BotId;
use crate::deliver;
use crate::ingest::{self, Fresh, Group};
use crate::outbox::{self, store as calls};
use crate::rules::{self, Effect, Facts, Rule, RuleSet, What};
use bagua_keys::KeyError;
use bagua_telegram::{Header, Kind};
use metrics::counter;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
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

impl From<ClerkError> for Failed {
    fn from(error: ClerkError) -> Self {
        Failed::Away(error.to_string())
    }
}

struct Work {
    update_id: i64,
    received_at: OffsetDateTime,
    raw: Option<Vec<u8>>,
    /// Which rules are on, in which version.
    rules: Option<String>,
}

/// The rules of a bot, as far as they can be used.
#[derive(Default)]
struct Ready {
    /// Which rules are on, in which version.
    mark: Option<String>,
    set: RuleSet,
    /// Whether the database may hold work that has not come by itself: before the first look, when others stored it, and when
    /// something went wrong.
    stale: bool,
}

/// What came of updates.
#[derive(Default)]
struct Outcome {
    done: Vec<i64>,
    marks: Vec<Mark>,
    calls: Vec<Call>,
    /// Chats from which the bot heard: it is not blocked there.
    heard: HashSet<i64>,
    blocked: Vec<(i64, String)>,
    moved: Vec<(i64, i64)>,
}

impl Bot {
    pub(super) async fn work(&self) -> End {
        let mut pause = self.config.pause;
        let fresh = self.parts.ingest.listen(self.id, Arc::clone(&self.wake.work));
        let mut ready = Ready {
            stale: true,
            ..Ready::default()
        };
        loop {
            if self.stop.is_cancelled() {
                return End::Stopped;
            }
            // Boxed: a bot to which nobody writes waits here, and what it would do lies nowhere meanwhile.
            let outcome = if ready.stale {
                Box::pin(self.work_stored(&mut ready)).await
            } else {
                tokio::select! {
                    () = self.stop.cancelled() => return End::Stopped,
                    () = self.wake.work.told() => {
                        ready.stale = true;
                        continue;
                    }
                    Ok(group) = fresh.recv_async() => Box::pin(self.work_fresh(&mut ready, group, &fresh)).await,
                }
            };
            match outcome {
                Ok(()) => pause = self.config.pause,
                Err(Failed::Lost) => return End::Lost,
                Err(Failed::Away(why)) => {
                    counter!("tg_runner_database_errors_total", "what" => "work").increment(1);
                    tracing::warn!(bot = self.id.0, why, "rules did not run; trying again");
                    ready.stale = true;
                    if self.rest(pause).await {
                        return End::Stopped;
                    }
                    pause = (pause * 2).min(super::poll::LONGEST_PAUSE);
                }
            }
        }
    }

    /// Runs rules over what waits in the database.
    async fn work_stored(&self, ready: &mut Ready) -> Result<(), Failed> {
        self.wake.work.clear();
        let work = sqlx::query_as!(
            Work,
            r#"SELECT w.update_id, w.received_at, u.raw AS "raw?",
                 (SELECT string_agg(r.rule_id || '.' || r.version || '.' || r.position, ' ' ORDER BY r.rule_id)
                  FROM bot_rules r WHERE r.bot_id = $1 AND r.enabled) AS rules
               FROM update_work w
               LEFT JOIN updates u ON u.bot_id = w.bot_id AND u.update_id = w.update_id AND u.received_at = w.received_at
               WHERE w.bot_id = $1 ORDER BY w.lane, w.received_at, w.update_id LIMIT $2"#,
            self.id.0,
            AT_ONCE
        )
        .fetch_all(&self.parts.pool)
        .await?;
        let mark = match work.first() {
            Some(first) => first.rules.clone(),
            // Whatever comes next is run by these.
            None => rules::mark(&self.parts.pool, self.id).await?,
        };
        if ready.mark != mark {
            // Read behind the mark: a change in between is seen when what came of them is written.
            let rules = rules::enabled(&self.parts.pool, self.id).await?;
            *ready = Ready {
                mark,
                set: usable(self.id, &rules),
                stale: true,
            };
        }
        if work.is_empty() {
            ready.stale = false;
            return Ok(());
        }
        ready.set.speak(Arc::clone(&self.texts.borrow()));
        let may_be_all = work.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        let mut outcome = Outcome::default();
        for one in work {
            self.open_and_run(&ready.set, one, &mut outcome).await?;
        }
        let as_they_are = self.finish(ready, outcome).await?;
        ready.stale = !(as_they_are && may_be_all);
        Ok(())
    }

    /// Runs rules over what was just committed here, those for which somebody waits first.
    async fn work_fresh(
        &self,
        ready: &mut Ready,
        first: Group,
        more: &flume::Receiver<Group>,
    ) -> Result<(), Failed> {
        let mut updates = first.updates.len();
        let mut groups = vec![first];
        while updates < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
            let Ok(next) = more.try_recv() else { break };
            updates += next.updates.len();
            groups.push(next);
        }
        if ready.mark.is_none() {
            // Without rules nothing was put aside for them, unless one was made just now; then it stands in the database, where the runner
            // sees it.
            return Ok(());
        }
        ready.set.speak(Arc::clone(&self.texts.borrow()));
        let all = groups.iter().flat_map(|group| &group.updates);
        let mut facts: Vec<(&Fresh, Facts<'_>)> = all.map(|one| (one, Facts::read(&one.raw))).collect();
        facts.sort_by_key(|(_, facts)| !Kind::from_name(&facts.kind).is_urgent());
        let mut outcome = Outcome::default();
        for (one, facts) in facts {
            outcome.done.push(one.update_id);
            self.run_rules(&ready.set, one.update_id, &one.raw, &facts, &mut outcome)
                .await?;
        }
        if !self.finish(ready, outcome).await? {
            ready.stale = true;
        }
        Ok(())
    }

    async fn open_and_run(&self, rules: &RuleSet, work: Work, outcome: &mut Outcome) -> Result<(), Failed> {
        let id = work.update_id;
        outcome.done.push(id);
        let context = ingest::context(b'u', self.id, id);
        let opened = match &work.raw {
            Some(raw) => self.parts.keys.open(&context, raw).await,
            None => Err(KeyError::Destroyed),
        };
        match opened {
            Ok(raw) => self.run_rules(rules, id, &raw, &Facts::read(&raw), outcome).await,
            Err(KeyError::Store(error)) => Err(error.into()),
            // It cannot be read now and never will; that is said, and the updates behind it go on.
            Err(error) => {
                tracing::warn!(
                    bot = self.id.0,
                    update = id,
                    received_at = %work.received_at,
                    error = &error as &dyn std::error::Error,
                    "an update cannot be read; its rules do not run"
                );
                outcome.mark(id, (0, 0, 0), "unreadable", None);
                Ok(())
            }
        }
    }

    async fn run_rules(
        &self,
        rules: &RuleSet,
        id: i64,
        raw: &[u8],
        facts: &Facts<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Failed> {
        outcome.learn(raw, facts);
        for effect in rules.run(facts) {
            self.note_effect(facts, (id, raw), effect, outcome).await?;
        }
        Ok(())
    }

    async fn note_effect(
        &self,
        facts: &Facts<'_>,
        (id, raw): (i64, &[u8]),
        effect: Effect,
        outcome: &mut Outcome,
    ) -> Result<(), Failed> {
        let Effect {
            rule,
            version,
            step,
            what,
            said,
        } = effect;
        if let Some((language, result)) = said {
            counter!("localization_requests_total", "language" => language, "result" => result).increment(1);
        }
        let by = (rule, step, version);
        match what {
            What::Drop => outcome.mark(id, by, "drop", None),
            What::Tag(tag) => outcome.mark(id, by, "tag", Some(tag)),
            What::Unsaid(key) => {
                tracing::warn!(
                    bot = self.id.0,
                    rule,
                    key,
                    "there is no text of this key; nothing was answered"
                );
                outcome.mark(id, by, "unsaid", None);
            }
            What::Deliver(to) => {
                let post = deliver::post(&to, self.id, rule, raw);
                // Of an update without a chat there is nothing to keep in order.
                let chat = facts.chat.or(facts.sender).unwrap_or_default();
                self.put(facts, (id, by), (deliver::METHOD, chat, None), &post, outcome)
                    .await?;
            }
            What::Call {
                method,
                chat,
                parameters,
                by: other,
            } => {
                self.put(facts, (id, by), (method, chat, other), &parameters, outcome)
                    .await?;
            }
        }
        Ok(())
    }

    /// A call for the outbox, of this bot's or of another one's, sealed under the key of whom the update is about.
    async fn put(
        &self,
        facts: &Facts<'_>,
        (id, (rule, step, version)): (i64, (i64, i16, i32)),
        (method, chat, other): (&'static str, i64, Option<i64>),
        parameters: &Value,
        outcome: &mut Outcome,
    ) -> Result<(), Failed> {
        let (name, whose) = match other {
            None => (format!("{id}/{rule}/{step}"), self.id),
            // Two bots may have updates of the same number.
            Some(other) => (format!("{}/{id}/{rule}/{step}", self.id.0), BotId(other)),
        };
        let subject = outbox::subject(self.id, facts.chat, facts.sender);
        let away = |error: KeyError| Failed::Away(error.to_string());
        let key = self.parts.keys.current_one(subject).await.map_err(away)?;
        let payload = outbox::seal(&self.parts.keys, &key, whose, &name, parameters).map_err(away)?;
        outcome.calls.push(Call {
            update: id,
            rule,
            step,
            version,
            effect: name,
            chat,
            method,
            payload,
            urgent: is_urgent(facts) && other.is_none(),
            by: other,
        });
        Ok(())
    }

    /// Writes it down. `false` when other rules are on by now, and nothing was written.
    async fn finish(&self, ready: &Ready, outcome: Outcome) -> Result<bool, Failed> {
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
        let done = outcome.done.len() as u64;
        let finish = Finish {
            bot: self.id,
            fence: self.lease.borrow().fence,
            mark: ready.mark.clone(),
            done: outcome.done,
            heard: outcome.heard.into_iter().collect(),
            marks: outcome.marks,
            calls: outcome.calls,
        };
        match self.clerk.finish(finish).await? {
            Finished::Lost => Err(Failed::Lost),
            Finished::OtherRules => Ok(false),
            Finished::Written(due) => {
                counter!("tg_rules_updates_total").increment(done);
                if !due.is_empty() {
                    self.wake
                        .calls
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(due);
                    self.wake.send.notify_one();
                }
                Ok(true)
            }
        }
    }
}

/// Whether somebody waits at a spinning wheel.
fn is_urgent(facts: &Facts<'_>) -> bool {
    facts.kind == "callback_query"
}

impl Outcome {
    fn mark(
        &mut self,
        update: i64,
        (rule, step, version): (i64, i16, i32),
        mark: &'static str,
        tag: Option<String>,
    ) {
        self.marks.push(Mark {
            update,
            rule,
            step,
            version,
            mark,
            tag,
        });
    }

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
fn usable(bot: BotId, rules: &[Rule]) -> RuleSet {
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
