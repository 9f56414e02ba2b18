//! The statement that stores batches of many bots at once.

use super::{Committed, Update, Way};
use crate::BotId;
use bagua_telegram::Kind;
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap, HashSet};
use time::OffsetDateTime;

/// A batch, ready to be stored.
pub(super) struct SealedBatch {
    pub(super) bot: BotId,
    pub(super) way: Way,
    pub(super) rows: Vec<Row>,
    /// Left out because the batch itself held them twice.
    pub(super) repeats: u64,
}

impl SealedBatch {
    /// When its newest message was written.
    pub(super) fn newest(&self) -> Option<OffsetDateTime> {
        let messages = self.rows.iter().filter_map(|row| row.update.message.as_ref());
        messages.map(|message| message.date).max()
    }
}

pub(super) struct Row {
    pub(super) update: Update,
    pub(super) raw: Vec<u8>,
    pub(super) text: Option<Vec<u8>>,
}

/// The rows as columns: PostgreSQL takes them as arrays in one statement.
#[derive(Default)]
struct Columns {
    bot: Vec<i64>,
    update: Vec<i64>,
    fenced: Vec<bool>,
    kind: Vec<String>,
    chat: Vec<Option<i64>>,
    sender: Vec<Option<i64>>,
    raw: Vec<Vec<u8>>,
    message: Vec<Option<i64>>,
    date: Vec<Option<OffsetDateTime>>,
    edit_date: Vec<i64>,
    media: Vec<Option<String>>,
    text: Vec<Option<Vec<u8>>>,
}

impl Columns {
    fn push(&mut self, bot: BotId, way: Way, row: Row) {
        let update = row.update;
        self.bot.push(bot.0);
        self.update.push(update.update_id);
        self.fenced.push(matches!(way, Way::Polled { .. }));
        self.kind.push(update.kind);
        self.chat.push(update.chat);
        self.sender.push(update.sender);
        self.raw.push(row.raw);
        self.text.push(row.text);
        let (id, date, edit_date, media) = match update.message {
            Some(message) => (
                Some(message.id),
                Some(message.date),
                message.edit_date,
                message.media,
            ),
            None => (None, None, 0, None),
        };
        self.message.push(id);
        self.date.push(date);
        self.edit_date.push(edit_date);
        self.media.push(media);
    }
}

/// How many updates of each bot were brought and are not in `flat`, because they were brought twice.
fn left_out(answers: &[(BotId, Way, u64, u64)], flat: &[(BotId, Way, Row)]) -> (Vec<i64>, Vec<i64>) {
    let mut more: BTreeMap<i64, i64> = BTreeMap::new();
    for (bot, _, rows, repeats) in answers {
        *more.entry(bot.0).or_default() += i64::try_from(rows + repeats).unwrap_or(i64::MAX);
    }
    for (bot, _, _) in flat {
        *more.entry(bot.0).or_default() -= 1;
    }
    more.into_iter().filter(|(_, more)| *more > 0).unzip()
}

/// Kinds for which somebody waits at a spinning wheel.
fn urgent() -> Vec<String> {
    let urgent = Kind::KNOWN.iter().filter(|kind| kind.is_urgent());
    urgent.map(|kind| kind.name().to_owned()).collect()
}

/// Stores all batches in one transaction, which is one statement: one round trip and one flush to disk. For each batch:
/// what was committed, or nothing when its fence is not the cursor's any more.
pub(super) async fn store(
    pool: &PgPool,
    received_at: OffsetDateTime,
    batches: Vec<SealedBatch>,
) -> sqlx::Result<Vec<Option<Committed>>> {
    let (mut cursor_bot, mut cursor_fence, mut cursor_next) = (Vec::new(), Vec::new(), Vec::new());
    let mut answers = Vec::with_capacity(batches.len());
    let mut flat = Vec::new();
    for batch in batches {
        if let Way::Polled { fence, next_offset } = batch.way {
            cursor_bot.push(batch.bot.0);
            cursor_fence.push(fence.0);
            cursor_next.push(next_offset);
        }
        answers.push((batch.bot, batch.way, batch.rows.len() as u64, batch.repeats));
        flat.extend(batch.rows.into_iter().map(|row| (batch.bot, batch.way, row)));
    }
    // In one order everywhere, so that two transactions with the same updates wait for each other and not in a circle.
    // What was pushed stands before the same update polled: it needs no fence, so it is stored also when the fence is lost.
    flat.sort_by_key(|(bot, way, row)| (*bot, row.update.update_id, matches!(way, Way::Polled { .. })));
    // One update twice in one group: the ledger takes one of them, and so must the rest.
    flat.dedup_by_key(|(bot, _, row)| (*bot, row.update.update_id));
    let (left_out_bot, left_out) = left_out(&answers, &flat);
    let mut rows = Columns::default();
    for (bot, way, row) in flat {
        rows.push(bot, way, row);
    }
    let done = sqlx::query!(
        r#"WITH u AS MATERIALIZED (
             SELECT * FROM unnest($4::bigint[], $5::bigint[], $6::bool[], $7::text[], $8::bigint[], $9::bigint[], $10::bytea[],
                                  $11::bigint[], $12::timestamptz[], $13::bigint[], $14::text[], $15::bytea[])
               AS u (bot, update_id, fenced, kind, chat, sender, raw, message, date, edit_date, media, text)
         ), held AS MATERIALIZED (
             SELECT c.bot_id, mine.next FROM bot_cursors c
             JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS mine (bot, fence, next)
               ON c.bot_id = mine.bot AND c.fence = mine.fence
             ORDER BY c.bot_id FOR UPDATE OF c
         ), moved AS (
             UPDATE bot_cursors c SET next_offset = held.next FROM held WHERE c.bot_id = held.bot_id RETURNING c.bot_id
         ), new AS (
             INSERT INTO update_ledger (bot_id, update_id)
             SELECT bot, update_id FROM u WHERE NOT fenced OR bot IN (SELECT bot_id FROM moved)
             ON CONFLICT DO NOTHING RETURNING bot_id, update_id
         ), raws AS (
             INSERT INTO updates (bot_id, update_id, received_at, kind, chat_id, sender_id, raw)
             SELECT bot, u.update_id, $16, kind, chat, sender, raw FROM u JOIN new ON bot = bot_id AND u.update_id = new.update_id
         ), texts AS (
             INSERT INTO messages (bot_id, chat_id, message_id, date, edit_date, update_id, kind, sender_id, media, text, received_at)
             SELECT bot, chat, message, date, edit_date, u.update_id, kind, sender, media, text, $16
             FROM u JOIN new ON bot = bot_id AND u.update_id = new.update_id
             WHERE message IS NOT NULL AND chat IS NOT NULL
             ON CONFLICT DO NOTHING
         ), unindexed AS (
             INSERT INTO search_work (bot_id, update_id, received_at)
             SELECT bot, u.update_id, $16 FROM u JOIN new ON bot = bot_id AND u.update_id = new.update_id WHERE chat IS NOT NULL
         ), counted AS (
             INSERT INTO ingest_counts AS c (bot_id, received, stored, last_at, last_date, dated_at)
             SELECT bot, count(*) + coalesce((SELECT more FROM unnest($17::bigint[], $18::bigint[]) AS x (b, more) WHERE b = bot), 0),
                    count(new.update_id), $16, max(date) FILTER (WHERE edit_date = 0),
                    CASE WHEN count(date) FILTER (WHERE edit_date = 0) > 0 THEN $16 END
             FROM u LEFT JOIN new ON bot = bot_id AND u.update_id = new.update_id
             WHERE NOT fenced OR bot IN (SELECT bot_id FROM moved)
             GROUP BY bot ORDER BY bot
             ON CONFLICT (bot_id) DO UPDATE SET received = c.received + excluded.received, stored = c.stored + excluded.stored,
                 last_at = excluded.last_at, last_date = coalesce(excluded.last_date, c.last_date),
                 dated_at = coalesce(excluded.dated_at, c.dated_at)
         ), work AS (
             INSERT INTO update_work (bot_id, update_id, received_at, lane)
             SELECT bot, u.update_id, $16, CASE WHEN kind = ANY($19) THEN 0 ELSE 1 END
             FROM u JOIN new ON bot = bot_id AND u.update_id = new.update_id
             WHERE bot IN (SELECT bot_id FROM bot_rules WHERE enabled)
             ON CONFLICT DO NOTHING
         )
         SELECT bot_id AS "bot!", NULL::bigint AS update_id FROM moved
         UNION ALL SELECT bot_id, update_id FROM new"#,
        &cursor_bot,
        &cursor_fence,
        &cursor_next,
        &rows.bot,
        &rows.update,
        &rows.fenced,
        &rows.kind,
        &rows.chat as &[Option<i64>],
        &rows.sender as &[Option<i64>],
        &rows.raw,
        &rows.message as &[Option<i64>],
        &rows.date as &[Option<OffsetDateTime>],
        &rows.edit_date,
        &rows.media as &[Option<String>],
        &rows.text as &[Option<Vec<u8>>],
        received_at,
        &left_out_bot,
        &left_out,
        &urgent(),
    )
    .fetch_all(pool)
    .await?;
    let mut moved = HashSet::new();
    let mut stored: HashMap<i64, u64> = HashMap::new();
    for row in done {
        match row.update_id {
            None => drop(moved.insert(row.bot)),
            Some(_) => *stored.entry(row.bot).or_default() += 1,
        }
    }
    Ok(answers
        .into_iter()
        .map(|(bot, way, rows, repeats)| {
            if matches!(way, Way::Polled { .. }) && !moved.contains(&bot.0) {
                return None;
            }
            // Several pushes of one bot in one group share the count: each takes its part, the last what is left.
            let left = stored.entry(bot.0).or_default();
            let new = (*left).min(rows);
            *left -= new;
            Some(Committed {
                stored: new,
                repeats: repeats + rows - new,
            })
        })
        .collect())
}
