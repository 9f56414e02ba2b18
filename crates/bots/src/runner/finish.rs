//! What rules made of updates, written down for several bots in one transaction, in which the work goes.

use crate::outbox::store::Due;
use crate::{BotId, Fence};
use sqlx::PgPool;
use std::collections::HashMap;

/// What came of a group of one bot's updates.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) bot: BotId,
    pub(super) fence: Fence,
    /// The rules that ran, as `rules::mark` says them: when others are on by now, nothing is written.
    pub(super) mark: Option<String>,
    pub(super) done: Vec<i64>,
    /// Chats from which the bot heard: it is not blocked there.
    pub(super) heard: Vec<i64>,
    pub(super) marks: Vec<Mark>,
    pub(super) calls: Vec<Call>,
}

/// What stays in this database.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) update: i64,
    pub(super) rule: i64,
    pub(super) step: i16,
    pub(super) version: i32,
    pub(super) mark: &'static str,
    pub(super) tag: Option<String>,
}

/// A call to be made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) update: i64,
    pub(super) rule: i64,
    pub(super) step: i16,
    pub(super) version: i32,
    pub(super) effect: String,
    pub(super) chat: i64,
    pub(super) method: &'static str,
    pub(super) payload: Vec<u8>,
    pub(super) urgent: bool,
    /// The bot that makes it, when that is another one: its owner finds it in the outbox.
    pub(super) by: Option<i64>,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Finished {
    /// Written. These calls are new, in the order of the outbox.
    Written(Vec<Due>),
    /// Other rules are on: run those.
    OtherRules,
    /// Somebody else owns the bot.
    Lost,
}

#[derive(Default)]
struct Columns {
    of: Vec<i32>,
    update: Vec<i64>,
    rule: Vec<i64>,
    step: Vec<i16>,
    version: Vec<i32>,
}

impl Columns {
    fn push(&mut self, of: i32, update: i64, rule: i64, step: i16, version: i32) {
        self.of.push(of);
        self.update.push(update);
        self.rule.push(rule);
        self.step.push(step);
        self.version.push(version);
    }
}

/// Writes them, each for itself: one that lost its lease or ran other rules keeps no other from being written.
pub(super) async fn finish(pool: &PgPool, all: &[Finish]) -> sqlx::Result<Vec<Finished>> {
    let number = |i: usize| i32::try_from(i).unwrap_or(i32::MAX);
    let bots: Vec<i64> = all.iter().map(|one| one.bot.0).collect();
    let fences: Vec<i64> = all.iter().map(|one| one.fence.0).collect();
    let rules: Vec<Option<String>> = all.iter().map(|one| one.mark.clone()).collect();
    let (mut done_of, mut done, mut heard_of, mut heard) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut m, mut mark, mut tag) = (Columns::default(), Vec::new(), Vec::new());
    let mut c = Columns::default();
    let (mut effect, mut chat, mut method, mut payload, mut lane, mut by) = (
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
    );
    for (i, one) in all.iter().enumerate() {
        done_of.extend(one.done.iter().map(|_| number(i)));
        done.extend(&one.done);
        heard_of.extend(one.heard.iter().map(|_| number(i)));
        heard.extend(&one.heard);
        for each in &one.marks {
            m.push(number(i), each.update, each.rule, each.step, each.version);
            mark.push(each.mark.to_owned());
            tag.push(each.tag.clone());
        }
        for each in &one.calls {
            c.push(number(i), each.update, each.rule, each.step, each.version);
            effect.push(each.effect.clone());
            chat.push(each.chat);
            method.push(each.method.to_owned());
            payload.push(each.payload.clone());
            lane.push(i16::from(!each.urgent));
            by.push(each.by);
        }
    }
    let rows = sqlx::query!(
        r#"WITH held AS MATERIALIZED (
             SELECT (mine.i - 1)::int AS i, l.bot_id, mine.rules FROM bot_leases l
             JOIN unnest($1::bigint[], $2::bigint[], $3::text[]) WITH ORDINALITY AS mine (bot, fence, rules, i)
               ON l.bot_id = mine.bot AND l.fence = mine.fence
             ORDER BY l.bot_id FOR SHARE OF l
         ), ruled AS MATERIALIZED (
             SELECT i, bot_id FROM held WHERE rules IS NOT DISTINCT FROM (
               SELECT string_agg(r.rule_id || '.' || r.version || '.' || r.position, ' ' ORDER BY r.rule_id)
               FROM bot_rules r WHERE r.bot_id = held.bot_id AND r.enabled)
         ), done AS (
             DELETE FROM update_work w USING ruled, unnest($4::int[], $5::bigint[]) AS d (i, u)
             WHERE d.i = ruled.i AND w.bot_id = ruled.bot_id AND w.update_id = d.u RETURNING ruled.i, w.bot_id, w.update_id
         ), heard AS (
             DELETE FROM chat_blocks b USING ruled, unnest($6::int[], $7::bigint[]) AS h (i, chat)
             WHERE h.i = ruled.i AND b.bot_id = ruled.bot_id AND b.chat_id = h.chat
         ), marks AS (
             INSERT INTO update_marks (bot_id, update_id, rule_id, step, rule_version, mark, tag)
             SELECT done.bot_id, m.u, m.r, m.s, m.v, m.mark, m.tag
             FROM unnest($8::int[], $9::bigint[], $10::bigint[], $11::smallint[], $12::int[], $13::text[], $14::text[])
               AS m (i, u, r, s, v, mark, tag)
             JOIN done ON done.i = m.i AND done.update_id = m.u ON CONFLICT DO NOTHING
         ), calls AS (
             INSERT INTO outbox (bot_id, update_id, rule_id, step, rule_version, effect, chat_id, method, payload, lane)
             SELECT coalesce(c.by, done.bot_id), CASE WHEN c.by IS NULL THEN c.u END, c.r, c.s, c.v, c.effect, c.chat, c.method, c.payload, c.lane
             FROM unnest($15::int[], $16::bigint[], $17::bigint[], $18::smallint[], $19::int[], $20::text[], $21::bigint[], $22::text[],
                         $23::bytea[], $24::smallint[], $25::bigint[])
               WITH ORDINALITY AS c (i, u, r, s, v, effect, chat, method, payload, lane, by, n)
             JOIN done ON done.i = c.i AND done.update_id = c.u ORDER BY c.n ON CONFLICT DO NOTHING
             RETURNING bot_id, outbox_id, effect, chat_id, method
         )
         SELECT i AS "i!", i IN (SELECT i FROM ruled) AS "ruled!", NULL::bigint AS call, NULL::text AS effect, NULL::bigint AS chat,
                false AS "blocked!"
         FROM held
         UNION ALL
         SELECT ruled.i, true, c.outbox_id, c.effect, coalesce(a.now_id, c.chat_id), b.chat_id IS NOT NULL AND c.method <> 'webhook'
         FROM calls c JOIN ruled ON ruled.bot_id = c.bot_id
         LEFT JOIN chat_aliases a ON a.bot_id = c.bot_id AND a.chat_id = c.chat_id
         LEFT JOIN chat_blocks b ON b.bot_id = c.bot_id AND b.chat_id = coalesce(a.now_id, c.chat_id)"#,
        &bots,
        &fences,
        &rules as &[Option<String>],
        &done_of,
        &done,
        &heard_of,
        &heard,
        &m.of,
        &m.update,
        &m.rule,
        &m.step,
        &m.version,
        &mark,
        &tag as &[Option<String>],
        &c.of,
        &c.update,
        &c.rule,
        &c.step,
        &c.version,
        &effect,
        &chat,
        &method,
        &payload,
        &lane,
        &by as &[Option<i64>]
    )
    .fetch_all(pool)
    .await?;
    let mut held: HashMap<i32, bool> = HashMap::new();
    let mut new: HashMap<i32, HashMap<String, (i64, i64, bool)>> = HashMap::new();
    for row in rows {
        match (row.call, row.effect, row.chat) {
            (Some(call), Some(effect), Some(chat)) => {
                new.entry(row.i)
                    .or_default()
                    .insert(effect, (call, chat, row.blocked));
            }
            _ => drop(held.insert(row.i, row.ruled)),
        }
    }
    let finished = |(i, one): (usize, &Finish)| match held.get(&number(i)) {
        None => Finished::Lost,
        Some(false) => Finished::OtherRules,
        Some(true) => Finished::Written(due(one, new.remove(&number(i)).unwrap_or_default())),
    };
    Ok(all.iter().enumerate().map(finished).collect())
}

/// Calls as the sender reads them.
fn due(one: &Finish, mut new: HashMap<String, (i64, i64, bool)>) -> Vec<Due> {
    let mut due = Vec::with_capacity(new.len());
    for call in &one.calls {
        // What was in the outbox before has been read from there.
        let Some((id, chat, blocked)) = new.remove(&call.effect) else {
            continue;
        };
        due.push(Due {
            id,
            effect: call.effect.clone(),
            chat,
            method: call.method.to_owned(),
            payload: call.payload.clone(),
            attempts: 0,
            // What took the block away is in the same transaction, and did not see itself.
            blocked: blocked && !one.heard.contains(&chat),
            migrated: false,
            urgent: call.urgent,
        });
    }
    due.sort_by_key(|due| due.id);
    due
}
