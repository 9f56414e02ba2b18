//! Finding messages.

use super::{CHAT, Line, SENDER, number, words};
use crate::BotId;
use bagua_keys::TermKey;
use sqlx::PgPool;
use std::collections::BTreeSet;
use time::{Duration, OffsetDateTime};

/// What is looked for: messages that have all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// As [`super::of_query`] makes them of what somebody typed.
    pub words: BTreeSet<String>,
    /// In this chat.
    pub chat: Option<i64>,
    /// Of this person, or of this chat that speaks for itself.
    pub sender: Option<i64>,
}

impl Search {
    fn terms(&self, key: &TermKey) -> Vec<i64> {
        let mut terms = words(key, &self.words);
        terms.extend(self.chat.map(|chat| number(key, CHAT, chat)));
        terms.extend(self.sender.map(|sender| number(key, SENDER, sender)));
        terms
    }
}

/// A place in the order in which messages are found: newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When the message was written.
    pub date: OffsetDateTime,
    /// Its chat.
    pub chat: i64,
    /// Its number there.
    pub message: i64,
    /// Which version of it.
    pub edit_date: i64,
}

impl Place {
    /// Before all that there is.
    const FIRST: Place = Place {
        date: time::macros::datetime!(9999-12-31 00:00 UTC),
        chat: i64::MAX,
        message: i64::MAX,
        edit_date: i64::MAX,
    };
}

/// A message that has what was looked for.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Its chat.
    pub chat: i64,
    /// The message.
    pub line: Line,
}

impl Hit {
    /// Where it stands: what comes behind it is found by this.
    pub fn place(&self) -> Place {
        Place {
            date: self.line.date,
            chat: self.chat,
            message: self.line.message,
            edit_date: self.line.edit_date,
        }
    }
}

/// How far back the first look goes, in days; each further look goes four times as far, so a year takes six. Days are partitions: a frequent
/// word is found without looking at more than the newest, and a rare one after a few looks into an index.
const FIRST_DAYS: i64 = 1;
const LAST_DAYS: i64 = 1_024;

/// The newest `most` messages of `bot` that have all of `search` and stand behind `after`. A term may stand for two words, so whoever shows a hit
/// reads it again.
///
/// # Errors
/// When the database is away, or takes longer than its statement time-out.
pub async fn find(
    pool: &PgPool,
    key: &TermKey,
    bot: BotId,
    search: &Search,
    after: Option<Place>,
    now: OffsetDateTime,
    most: usize,
) -> sqlx::Result<Vec<Hit>> {
    let terms = search.terms(key);
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let mut place = after.unwrap_or(Place::FIRST);
    let mut until = place.date;
    let newest = place.date.min(now);
    let (mut days, mut hits) = (FIRST_DAYS, Vec::new());
    loop {
        let is_last = days > LAST_DAYS;
        let from = if is_last {
            OffsetDateTime::UNIX_EPOCH
        } else {
            newest
                .checked_sub(Duration::days(days))
                .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        };
        let more = within(pool, bot, &terms, (from, until), place, most - hits.len()).await?;
        hits.extend(more);
        if is_last || hits.len() >= most {
            return Ok(hits);
        }
        if let Some(last) = hits.last() {
            place = Hit::place(last);
        }
        // What is exactly that old was looked at.
        until = from - Duration::microseconds(1);
        days *= 4;
    }
}

/// Of the time between both, ends included.
async fn within(
    pool: &PgPool,
    bot: BotId,
    terms: &[i64],
    (from, until): (OffsetDateTime, OffsetDateTime),
    after: Place,
    most: usize,
) -> sqlx::Result<Vec<Hit>> {
    let rows = sqlx::query!(
        r#"SELECT m.chat_id AS "chat_id!", m.message_id AS "message_id!", m.date AS "date!", m.edit_date AS "edit_date!",
                  m.update_id AS "update_id!", m.received_at, m.sender_id, m.media, m.text
           FROM (
             SELECT chat_id, message_id, date, edit_date FROM message_terms
             WHERE bot_id = $1 AND terms @> $2 AND date >= $3 AND date <= $4
               AND (date, chat_id, message_id, edit_date) < ($5, $6, $7, $8)
             ORDER BY date DESC, chat_id DESC, message_id DESC, edit_date DESC LIMIT $9
           ) t CROSS JOIN LATERAL (
             SELECT * FROM messages WHERE bot_id = $1 AND chat_id = t.chat_id AND message_id = t.message_id
               AND date = t.date AND edit_date = t.edit_date LIMIT 1
           ) m
           ORDER BY m.date DESC, m.chat_id DESC, m.message_id DESC, m.edit_date DESC"#,
        bot.0,
        terms,
        from,
        until,
        after.date,
        after.chat,
        after.message,
        after.edit_date,
        i64::try_from(most).unwrap_or(i64::MAX)
    )
    .fetch_all(pool)
    .await?;
    let hits = rows.into_iter().map(|row| Hit {
        chat: row.chat_id,
        line: Line {
            message: row.message_id,
            date: row.date,
            edit_date: row.edit_date,
            update_id: row.update_id,
            received_at: row.received_at,
            sender: row.sender_id,
            media: row.media,
            text: row.text,
        },
    });
    Ok(hits.collect())
}
