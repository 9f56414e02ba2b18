//! Chats and messages of a bot, read from its cell and opened for who may.

use crate::{Room, away};
use async_trait::async_trait;
use bagua_bots::BotId;
use bagua_bots::outbox::{self, Said};
use bagua_bots::search::{self, ChatRow, Hit, Line, Place, Search};
use bagua_core::{Answers, AskContext};
use bagua_keys::{KeyError, KeyStore};
use bagua_model::bots::chats::{
    CHATS_AT_ONCE, ChatView, ChatsView, ConversationView, FoundMessage, FoundView, IndexView, ListChats,
    ListMessages, MemberView, MessageView, SearchMessages,
};
use bagua_model::failure::Failure;
use bagua_model::operation::Page;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use sqlx::PgPool;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use time::OffsetDateTime;

/// People shown beside a conversation.
const MEMBERS: i64 = 10;
/// One row more than a page has, so that it is seen whether there is a next.
const ROWS: i64 = CHATS_AT_ONCE as i64 + 1;
/// Longest text that is searched for, in characters.
const LONGEST: usize = 200;

/// The numbers of a cursor. One that somebody has cut short or made up is a field error, not a fault of ours.
fn numbers<const N: usize>(after: Option<&str>) -> Result<Option<[i64; N]>, Failure> {
    let Some(after) = after else { return Ok(None) };
    let parts: Result<Vec<i64>, _> = after.split('.').map(str::parse).collect();
    let parts: Option<[i64; N]> = parts.ok().and_then(|parts| parts.try_into().ok());
    parts.map(Some).ok_or_else(bad_cursor)
}

fn bad_cursor() -> Failure {
    Failure::field("after", Text::new(keys::CORE_BAD_CURSOR))
}

/// PostgreSQL keeps microseconds.
fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> Result<OffsetDateTime, Failure> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_| bad_cursor())
}

/// The key store does not answer, or not as it should.
fn sealed(error: &KeyError) -> Failure {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "messages cannot be opened"
    );
    Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE))
}

/// Where a bot's messages are, and what opens them.
struct Shelf<'a> {
    region: RegionId,
    username: String,
    pool: &'a PgPool,
    keys: &'a KeyStore,
    bot: BotId,
}

impl Room {
    async fn shelf(&self, cx: &AskContext, bot: i64) -> Result<Shelf<'_>, Failure> {
        let (region, row) = self.find(cx, bot).await?;
        Ok(Shelf {
            pool: self.cell(&region)?,
            keys: self.keys()?,
            username: row.username,
            bot: BotId(bot),
            region,
        })
    }
}

impl Shelf<'_> {
    fn away(&self, error: &sqlx::Error) -> Failure {
        away(&self.region, error)
    }

    /// Both the cell and the key store were asked.
    fn failed(&self, error: &KeyError) -> Failure {
        match error {
            KeyError::Store(error) => self.away(error),
            error => sealed(error),
        }
    }

    async fn index(&self, now: OffsetDateTime) -> Result<IndexView, Failure> {
        let behind = search::behind(self.pool)
            .await
            .map_err(|error| self.away(&error))?;
        let since = behind
            .since
            .map(|since| Duration::try_from(now - since).unwrap_or_default());
        Ok(IndexView {
            behind: behind.updates,
            behind_s: since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        })
    }

    async fn chat(&self, row: ChatRow) -> Result<ChatView, Failure> {
        let name = row
            .open(self.keys, self.bot)
            .await
            .map_err(|error| sealed(&error))?;
        Ok(ChatView {
            chat: row.chat,
            kind: row.kind,
            name,
            messages: row.messages,
            last_at: row.last_at,
            blocked: row.blocked,
        })
    }

    async fn names(&self, of: BTreeSet<i64>) -> Result<HashMap<i64, String>, Failure> {
        let of: Vec<i64> = of.into_iter().collect();
        let names = search::names(self.pool, self.keys, self.bot, &of).await;
        names.map_err(|error| self.failed(&error))
    }

    async fn message(&self, line: Line, names: &HashMap<i64, String>) -> Result<MessageView, Failure> {
        let text = line
            .open(self.keys, self.bot)
            .await
            .map_err(|error| sealed(&error))?;
        Ok(MessageView {
            message: line.message,
            written_at: line.date,
            edited_at: OffsetDateTime::from_unix_timestamp(line.edit_date)
                .ok()
                .filter(|_| line.edit_date > 0),
            sender: line.sender,
            sender_name: line.sender.and_then(|sender| names.get(&sender).cloned()),
            media: line.media,
            destroyed: line.text.is_some() && text.is_none(),
            text,
            by_bot: false,
            update: Some(line.update_id),
            received_at: line.received_at,
        })
    }
}

#[async_trait]
impl Answers<ListChats> for Room {
    async fn answer(&self, cx: &AskContext, query: ListChats) -> Result<ChatsView, Failure> {
        let shelf = self.shelf(cx, query.bot).await?;
        let after = match numbers::<2>(query.after.as_deref())? {
            Some([at, chat]) => Some((from_micros(at)?, chat)),
            None => None,
        };
        let name = query
            .name
            .as_deref()
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let rows = match name {
            Some(name) => {
                let key = shelf
                    .keys
                    .terms(query.bot)
                    .await
                    .map_err(|error| sealed(&error))?;
                let name: String = name.chars().take(LONGEST).collect();
                search::chats_named(shelf.pool, &key, shelf.bot, &name, ROWS - 1).await
            }
            None => search::chats(shelf.pool, shelf.bot, after, ROWS).await,
        };
        let mut chats = Vec::new();
        for row in rows.map_err(|error| shelf.away(&error))? {
            chats.push(shelf.chat(row).await?);
        }
        Ok(ChatsView {
            index: shelf.index(cx.now).await?,
            username: shelf.username,
            region: shelf.region,
            page: Page::cut(chats, CHATS_AT_ONCE, |chat| {
                format!("{}.{}", micros(chat.last_at), chat.chat)
            }),
        })
    }
}

#[async_trait]
impl Answers<ListMessages> for Room {
    async fn answer(&self, cx: &AskContext, query: ListMessages) -> Result<ConversationView, Failure> {
        let shelf = self.shelf(cx, query.bot).await?;
        let after = numbers::<1>(query.after.as_deref())?.map(|[message]| message);
        let (chat, lines) = tokio::try_join!(
            search::chat(shelf.pool, shelf.bot, query.chat),
            search::messages(shelf.pool, shelf.bot, query.chat, after, ROWS)
        )
        .map_err(|error| shelf.away(&error))?;
        if chat.is_none() && lines.is_empty() && after.is_none() {
            return Err(Failure::not_found(query.chat));
        }
        let members = match after {
            None => search::members(shelf.pool, shelf.keys, shelf.bot, query.chat, MEMBERS).await,
            Some(_) => Ok(Vec::new()),
        };
        let members = members.map_err(|error| shelf.failed(&error))?;
        let names = shelf
            .names(lines.iter().filter_map(|line| line.sender).collect())
            .await?;
        let mut messages = Vec::new();
        for line in lines {
            messages.push(shelf.message(line, &names).await?);
        }
        let mut page = Page::cut(messages, CHATS_AT_ONCE, |message| message.message.to_string());
        // Between the messages of this page, and above the newest; below the oldest when there is no older page.
        let below = after.unwrap_or(i64::MAX);
        let oldest = page.rows.last().map(|message| message.message);
        let above = oldest.filter(|_| page.next.is_some()).unwrap_or(0);
        let ours = outbox::said(
            shelf.pool,
            shelf.keys,
            (shelf.bot, query.chat),
            (above, below),
            ROWS - 1,
        )
        .await;
        let ours = ours.map_err(|error| shelf.failed(&error))?;
        page.rows.extend(ours.into_iter().map(ours_as_message));
        page.rows
            .sort_by_key(|message| std::cmp::Reverse(message.message));
        let chat = match chat {
            Some(row) => Some(shelf.chat(row).await?),
            None => None,
        };
        Ok(ConversationView {
            chat,
            members: members
                .into_iter()
                .map(|member| MemberView {
                    person: member.id,
                    name: member.name,
                    messages: member.messages,
                })
                .collect(),
            page,
            username: shelf.username,
        })
    }
}

/// What the bot wrote, as a line of its chat.
fn ours_as_message(said: Said) -> MessageView {
    MessageView {
        message: said.message,
        written_at: said.at,
        edited_at: None,
        sender: None,
        sender_name: None,
        media: (said.method != "sendMessage").then_some(said.method),
        text: said.text,
        destroyed: said.destroyed,
        by_bot: true,
        update: None,
        received_at: None,
    }
}

#[async_trait]
impl Answers<SearchMessages> for Room {
    async fn answer(&self, cx: &AskContext, query: SearchMessages) -> Result<FoundView, Failure> {
        if query.words.chars().count() > LONGEST {
            return Err(Failure::field(
                "words",
                Text::new(keys::FIELD_WORDS_LONG).with("most", LONGEST),
            ));
        }
        let words = search::of_query(&query.words);
        if words.is_empty() && (query.sender.is_none() || !query.words.trim().is_empty()) {
            return Err(Failure::field("words", Text::new(keys::FIELD_WORDS)));
        }
        let after = match numbers::<4>(query.after.as_deref())? {
            Some([date, chat, message, edit_date]) => Some(Place {
                date: from_micros(date)?,
                chat,
                message,
                edit_date,
            }),
            None => None,
        };
        let shelf = self.shelf(cx, query.bot).await?;
        let key = shelf
            .keys
            .terms(query.bot)
            .await
            .map_err(|error| sealed(&error))?;
        let search = Search {
            words,
            chat: query.chat,
            sender: query.sender,
        };
        let rows = usize::from(CHATS_AT_ONCE) + 1;
        let hits = search::find(shelf.pool, &key, shelf.bot, &search, after, cx.now, rows).await;
        let hits = hits.map_err(|error| shelf.away(&error))?;
        let index = shelf.index(cx.now).await?;
        let peers = hits
            .iter()
            .flat_map(|hit| [Some(hit.chat), hit.line.sender])
            .flatten();
        let names = shelf.names(peers.collect()).await?;
        let page = Page::cut(hits, CHATS_AT_ONCE, |hit| cursor(hit.place()));
        let mut found = Vec::new();
        for Hit { chat, line } in page.rows {
            let message = shelf.message(line, &names).await?;
            // Two words may share a term; what was asked for is in the text, or it was not found.
            let text = message.text.as_deref().map(search::of_text).unwrap_or_default();
            if message.destroyed || search.words.is_subset(&text) {
                let chat_name = names.get(&chat).cloned();
                found.push(FoundMessage {
                    chat,
                    chat_name,
                    message,
                });
            }
        }
        Ok(FoundView {
            username: shelf.username,
            index,
            page: Page {
                rows: found,
                next: page.next,
            },
        })
    }
}

fn cursor(place: Place) -> String {
    let Place {
        date,
        chat,
        message,
        edit_date,
    } = place;
    format!("{}.{chat}.{message}.{edit_date}", micros(date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_its_numbers_and_nothing_else() {
        assert_eq!(numbers::<2>(None), Ok(None));
        assert_eq!(numbers::<2>(Some("12.-5")), Ok(Some([12, -5])));
        for bad in ["", "12", "12.5.6", "12.x", "99999999999999999999.1", "1,2"] {
            assert_eq!(numbers::<2>(Some(bad)), Err(bad_cursor()), "{bad}");
        }
        assert!(from_micros(i64::MAX).is_err());
    }
}
