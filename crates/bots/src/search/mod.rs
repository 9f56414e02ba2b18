//! Chats by their names and messages by their words, without either being readable in the database.
//!
//! A keyed blind index: each word is kept as a number that only the holder of the bot's index key can compute ([`bagua_keys::TermKey`]). What
//! the index gives away to a reader of the database is which messages of a bot share a word, a chat or a sender (the latter two stand in the
//! open beside it anyway), and how often; that is why the key is the bot's own.

mod find;
mod index;
mod list;
mod words;

pub use find::{Hit, Place, Search, find};
pub use index::{Behind, Indexer, behind, index};
pub use list::{ChatRow, Line, Peer, chat, chats, chats_named, members, messages, names};
pub use words::{of_query, of_text};

use bagua_keys::TermKey;
use std::collections::BTreeSet;

/// What a term is of.
const WORD: u8 = b'w';
const CHAT: u8 = b'c';
const SENDER: u8 = b's';
/// A whole name, for seeing whether it has changed.
const NAME: u8 = b'n';

fn words(key: &TermKey, words: &BTreeSet<String>) -> Vec<i64> {
    words.iter().map(|word| key.term(WORD, word.as_bytes())).collect()
}

fn number(key: &TermKey, kind: u8, number: i64) -> i64 {
    key.term(kind, &number.to_be_bytes())
}
