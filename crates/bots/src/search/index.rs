//! Building the index, behind the ingest.

use super::{CHAT, NAME, SENDER, number, of_text, words};
use crate::BotId;
use crate::ingest::{Update, context};
use crate::runner::{Read, plain, read};
use bagua_keys::{KeyError, KeyStore, Subject, SubjectKind, TermKey};
use bagua_telegram::RawUpdate;
use bagua_telegram::header::{Named, Names};
use metrics::{counter, histogram};
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Updates of one transaction. It holds no lock that ingest waits for, so it may be larger than one of ingest's.
const AT_ONCE: i64 = 1_000;
/// How often it looks for new ones when it has caught up.
const LOOK: Duration = Duration::from_millis(500);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long one transaction may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// No more lines of work are counted.
const COUNTED: i64 = 10_000;

/// What has been stored and cannot be found yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Updates of all bots of the cell; 10,000 stands for that many and more.
    pub updates: i64,
    /// When the first of them was stored, of those that were counted.
    pub since: Option<OffsetDateTime>,
}

/// How far a cell's index is behind.
///
/// # Errors
/// When the database is away.
pub async fn behind(pool: &PgPool) -> sqlx::Result<Behind> {
    sqlx::query_as!(
        Behind,
        r#"SELECT count(*) AS "updates!", min(received_at) AS since FROM (SELECT received_at FROM search_work LIMIT $1) AS first"#,
        COUNTED
    )
    .fetch_one(pool)
    .await
}

/// Indexes what ingest leaves, until it is told to stop. Several processes may at once: each takes other lines.
pub struct Indexer {
    /// The cell's database.
    pub pool: PgPool,
    /// Opens updates, and computes terms.
    pub keys: Arc<KeyStore>,
}

impl Indexer {
    /// Runs until `stop`; what is under way then is left to whoever comes next.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = LOOK;
        loop {
            let started = Instant::now();
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = timeout(PATIENCE, index(&self.pool, &self.keys, AT_ONCE)) => done,
            };
            pause = match done {
                Ok(Ok(done)) => {
                    counter!("search_indexed_total").increment(done);
                    if done > 0 {
                        histogram!("search_index_seconds").record(started.elapsed());
                    }
                    // While much is to be done it rests for as long as it worked: storing goes first.
                    if done < AT_ONCE.unsigned_abs() {
                        LOOK
                    } else {
                        started.elapsed().min(LOOK)
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "messages were not indexed; trying again"
                    );
                    (pause * 2).min(LONGEST_PAUSE)
                }
                Err(_) => {
                    tracing::warn!("messages were not indexed in time; trying again");
                    (pause * 2).min(LONGEST_PAUSE)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }
}

/// Messages and when the last came.
#[derive(Clone, Copy)]
struct Seen {
    messages: i64,
    last: OffsetDateTime,
}

impl Seen {
    fn add<K: Ord>(all: &mut BTreeMap<K, Seen>, key: K, messages: i64, at: OffsetDateTime) {
        let seen = all.entry(key).or_insert(Seen {
            messages: 0,
            last: at,
        });
        seen.messages += messages;
        seen.last = seen.last.max(at);
    }
}

/// A message's line of the index.
#[derive(Default)]
struct Lines {
    bot: Vec<i64>,
    chat: Vec<i64>,
    message: Vec<i64>,
    date: Vec<OffsetDateTime>,
    edit_date: Vec<i64>,
    // As PostgreSQL writes an array: arrays of different lengths cannot be sent together otherwise.
    terms: Vec<String>,
}

fn array(terms: &[i64]) -> String {
    let mut text = String::with_capacity(terms.len() * 21 + 2);
    text.push('{');
    for (i, term) in terms.iter().enumerate() {
        let _ = write!(text, "{}{term}", if i == 0 { "" } else { "," });
    }
    text.push('}');
    text
}

/// What a group of updates says, sorted by keys: two processes that write about the same chat wait for each other, and not in a circle.
#[derive(Default)]
struct Found {
    lines: Lines,
    chats: BTreeMap<(i64, i64), Seen>,
    members: BTreeMap<(i64, i64, i64), Seen>,
    peers: BTreeMap<(i64, i64), Named>,
}

impl Found {
    fn add(&mut self, key: &TermKey, bot: i64, at: OffsetDateTime, raw: Vec<u8>) {
        let names = Names::read(&raw);
        let Read::Update(update) = read(RawUpdate::new(raw.into())) else {
            return;
        };
        let Update {
            chat: Some(chat),
            sender,
            message,
            ..
        } = *update
        else {
            return;
        };
        let new = i64::from(message.as_ref().is_some_and(|message| message.edit_date == 0));
        Seen::add(&mut self.chats, (bot, chat), new, at);
        if let (Some(person), Some(_)) = (names.person.as_ref(), message.as_ref()) {
            Seen::add(&mut self.members, (bot, chat, person.id), new, at);
        }
        for peer in [names.person, names.chat].into_iter().flatten() {
            self.peers.insert((bot, peer.id), peer);
        }
        let Some(message) = message else { return };
        let mut terms = words(key, &message.text.as_deref().map(of_text).unwrap_or_default());
        terms.push(number(key, CHAT, chat));
        terms.extend(sender.map(|sender| number(key, SENDER, sender)));
        self.lines.bot.push(bot);
        self.lines.chat.push(chat);
        self.lines.message.push(message.id);
        self.lines.date.push(message.date);
        self.lines.edit_date.push(message.edit_date);
        self.lines.terms.push(array(&terms));
    }
}

/// Indexes at most `most` updates in one transaction, in which their lines of work go. Returns how many.
///
/// An update whose key was destroyed, or whose bytes cannot be opened, is left out of the index: it would hold up the others for ever.
///
/// # Errors
/// When the database or the key store is away: nothing was done then.
pub async fn index(pool: &PgPool, keys: &KeyStore, most: i64) -> Result<u64, KeyError> {
    let mut transaction = pool.begin().await?;
    let taken = sqlx::query!(
        r#"WITH taken AS (
             DELETE FROM search_work WHERE ctid = ANY (ARRAY(SELECT ctid FROM search_work LIMIT $1 FOR UPDATE SKIP LOCKED))
             RETURNING bot_id, update_id, received_at
           )
           SELECT bot_id AS "bot_id!", update_id AS "update_id!", received_at AS "received_at!", u.raw AS "raw?"
           FROM taken t LEFT JOIN LATERAL (
             SELECT raw FROM updates WHERE bot_id = t.bot_id AND received_at = t.received_at AND update_id = t.update_id LIMIT 1
           ) u ON true
           ORDER BY received_at, update_id"#,
        most
    )
    .fetch_all(&mut *transaction)
    .await?;
    let done = taken.len() as u64;
    if done == 0 {
        return Ok(0);
    }
    let mut found = Found::default();
    let mut bots: HashMap<i64, TermKey> = HashMap::new();
    for row in taken {
        // It went meanwhile.
        let Some(raw) = row.raw else { continue };
        let opened = match keys
            .open(&context(b'u', BotId(row.bot_id), row.update_id), &raw)
            .await
        {
            Ok(opened) => opened,
            Err(error @ (KeyError::Store(_) | KeyError::OtherMaster(_))) => return Err(error),
            Err(KeyError::Destroyed) => continue,
            Err(error) => {
                let (bot, update) = (row.bot_id, row.update_id);
                tracing::warn!(
                    bot,
                    update,
                    error = &error as &dyn std::error::Error,
                    "an update cannot be opened and is not indexed"
                );
                continue;
            }
        };
        let key = match bots.get(&row.bot_id) {
            Some(key) => key.clone(),
            None => {
                let key = keys.terms(row.bot_id).await?;
                bots.insert(row.bot_id, key.clone());
                key
            }
        };
        found.add(&key, row.bot_id, row.received_at, opened.to_vec());
    }
    write(&mut transaction, keys, &bots, found).await?;
    transaction.commit().await?;
    Ok(done)
}

/// Whose key seals a peer's name.
fn subject(peer: i64) -> Subject {
    let kind = if peer > 0 {
        SubjectKind::Person
    } else {
        SubjectKind::Chat
    };
    Subject { kind, id: peer }
}

async fn write(
    connection: &mut PgConnection,
    keys: &KeyStore,
    bots: &HashMap<i64, TermKey>,
    found: Found,
) -> Result<(), KeyError> {
    let lines = &found.lines;
    sqlx::query!(
        "INSERT INTO message_terms (bot_id, chat_id, message_id, date, edit_date, terms)
         SELECT bot, chat, message, date, edit_date, terms::bigint[]
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::text[])
           AS t (bot, chat, message, date, edit_date, terms)",
        &lines.bot,
        &lines.chat,
        &lines.message,
        &lines.date,
        &lines.edit_date,
        &lines.terms
    )
    .execute(&mut *connection)
    .await?;
    let (mut bot, mut chat, mut messages, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((of, id), seen) in &found.chats {
        bot.push(*of);
        chat.push(*id);
        messages.push(seen.messages);
        last.push(seen.last);
    }
    sqlx::query!(
        "INSERT INTO chats AS c (bot_id, chat_id, messages, last_at)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[])
         ON CONFLICT (bot_id, chat_id) DO UPDATE SET messages = c.messages + excluded.messages, last_at = greatest(c.last_at, excluded.last_at)",
        &bot,
        &chat,
        &messages,
        &last
    )
    .execute(&mut *connection)
    .await?;
    let (mut bot, mut chat, mut user, mut messages, mut last) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((of, id, person), seen) in &found.members {
        bot.push(*of);
        chat.push(*id);
        user.push(*person);
        messages.push(seen.messages);
        last.push(seen.last);
    }
    sqlx::query!(
        "INSERT INTO chat_members AS m (bot_id, chat_id, user_id, messages, last_at)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[])
         ON CONFLICT (bot_id, chat_id, user_id) DO UPDATE SET messages = m.messages + excluded.messages,
             last_at = greatest(m.last_at, excluded.last_at)",
        &bot,
        &chat,
        &user,
        &messages,
        &last
    )
    .execute(&mut *connection)
    .await?;
    write_peers(connection, keys, bots, found.peers).await
}

async fn write_peers(
    connection: &mut PgConnection,
    keys: &KeyStore,
    bots: &HashMap<i64, TermKey>,
    peers: BTreeMap<(i64, i64), Named>,
) -> Result<(), KeyError> {
    let subjects: HashSet<Subject> = peers.keys().map(|(_, peer)| subject(*peer)).collect();
    let sealing = keys.current(&subjects).await?;
    let mut random = keys.random();
    let (mut bot, mut id, mut kind) = (Vec::new(), Vec::new(), Vec::new());
    let (mut name, mut mac, mut terms) = (Vec::new(), Vec::new(), Vec::new());
    for ((of, peer), named) in peers {
        // Both were asked for above, and of every bot that has a peer.
        let (Some(seal), Some(key)) = (sealing.get(&subject(peer)), bots.get(&of)) else {
            continue;
        };
        name.push(seal.seal(
            &mut random,
            &context(b'p', BotId(of), peer),
            named.name.as_bytes(),
        )?);
        mac.push(key.term(NAME, named.name.as_bytes()));
        terms.push(array(&words(key, &of_text(&named.name))));
        kind.push(
            named
                .kind
                .map_or_else(|| "private".to_owned(), |kind| plain(kind.name())),
        );
        bot.push(of);
        id.push(peer);
    }
    sqlx::query!(
        "INSERT INTO peers AS p (bot_id, peer_id, kind, name, mac, terms)
         SELECT bot, peer, kind, name, mac, terms::bigint[]
         FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[], $6::text[]) AS t (bot, peer, kind, name, mac, terms)
         ON CONFLICT (bot_id, peer_id) DO UPDATE SET kind = excluded.kind, name = excluded.name, mac = excluded.mac, terms = excluded.terms
         WHERE p.mac <> excluded.mac OR p.kind <> excluded.kind",
        &bot,
        &id,
        &kind,
        &name,
        &mac,
        &terms
    )
    .execute(connection)
    .await?;
    Ok(())
}
