//! The one way in for updates, whether they were polled or pushed: sealed, then committed together with the cursor.

mod committer;
mod fresh;
mod store;

pub use committer::{Committer, CommitterConfig, Measured, Now};
pub(crate) use fresh::{Fresh, Group, Missed};

use crate::{BotId, Fence};
use bagua_keys::{DataKey, KeyError, KeyStore, Subject, SubjectKind};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use time::OffsetDateTime;

/// An update as it was received.
#[derive(Clone, Debug)]
pub struct Update {
    /// Telegram's number of it.
    pub update_id: i64,
    /// The name of the field that it carries, whatever Telegram invents.
    pub kind: String,
    /// The chat that it is about.
    pub chat: Option<i64>,
    /// The account that caused it.
    pub sender: Option<i64>,
    /// The message in it, when it is a new or edited one.
    pub message: Option<Message>,
    /// The JSON as it came, byte for byte.
    pub raw: Bytes,
}

/// What is kept of a message beside the raw update.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its number in its chat.
    pub id: i64,
    /// When it was written.
    pub date: OffsetDateTime,
    /// When this version was written, in seconds of the epoch; 0 for the message as it was first sent.
    pub edit_date: i64,
    /// Kind of media, as the field in the update is called.
    pub media: Option<String>,
    /// Text or caption.
    pub text: Option<String>,
}

impl Update {
    /// Under whose key it is sealed: the sender's, else the chat's, else the bot's.
    fn subject(&self, bot: BotId) -> Subject {
        Update::subject_of(bot, self.chat, self.sender)
    }

    pub(crate) fn subject_of(bot: BotId, chat: Option<i64>, sender: Option<i64>) -> Subject {
        let (kind, id) = match (sender, chat) {
            (Some(sender), _) => (SubjectKind::Person, sender),
            (None, Some(chat)) => (SubjectKind::Chat, chat),
            (None, None) => (SubjectKind::Bot, bot.0),
        };
        Subject { kind, id }
    }
}

/// What is to be stored of one bot.
#[derive(Debug)]
pub struct Batch {
    /// The bot.
    pub bot: BotId,
    /// How it came.
    pub way: Way,
    /// In the order in which they came.
    pub updates: Vec<Update>,
}

/// How updates came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Polled by the bot's owner; the cursor moves with them.
    Polled {
        /// Of the owner's lease.
        fence: Fence,
        /// The new cursor: the last number of the batch and one.
        next_offset: i64,
    },
    /// Pushed by Telegram to whichever process; the answer 2xx is what tells Telegram.
    Pushed,
}

/// What was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// How many were new.
    pub stored: u64,
    /// How many were there already.
    pub repeats: u64,
}

/// Why nothing of a batch was stored. Telegram still has it: do not acknowledge.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Somebody else owns the bot now. Stop, and never poll under this lease again.
    #[error("the lease was lost; another process owns the bot")]
    FenceLost,
    /// The keys for sealing are not to be had.
    #[error("the updates cannot be sealed")]
    Keys(#[from] KeyError),
    /// The data database is away or refused.
    #[error("the data database does not take the updates: {0}")]
    Database(Arc<sqlx::Error>),
    /// As many bytes wait as may wait. Telegram is the buffer: stop polling, answer 503.
    #[error("too much waits to be stored; try again in a moment")]
    Busy,
    /// The process is ending.
    #[error("the process is ending")]
    Ending,
}

/// Takes updates in.
#[derive(Clone)]
pub struct Ingest {
    keys: Arc<KeyStore>,
    committer: Committer,
    listeners: fresh::Listeners,
}

impl Ingest {
    /// What was committed, and what waits.
    pub fn measure(&self) -> Measured {
        self.committer.measure()
    }

    /// Seals with `keys`, stores through `committer`.
    pub fn new(keys: Arc<KeyStore>, committer: Committer) -> Ingest {
        Ingest {
            keys,
            committer,
            listeners: fresh::Listeners::default(),
        }
    }

    /// What is committed of `bot` through this (and its clones) comes here, too, as long as it is taken soon; `missed` is told otherwise.
    pub(crate) fn listen(&self, bot: BotId, missed: Arc<Missed>) -> flume::Receiver<Group> {
        self.listeners.listen(bot, missed)
    }

    /// Stores a batch. When it returns `Ok`, everything in it is committed: then, and only then, may Telegram be told.
    ///
    /// # Errors
    /// [`IngestError`]; nothing was stored then, or (when the connection broke at the wrong moment) it was stored and is
    /// recognised when it comes again.
    pub async fn ingest(&self, batch: Batch) -> Result<Committed, IngestError> {
        let room = self.committer.room(&batch)?;
        let subjects: HashSet<Subject> = batch.updates.iter().map(|u| u.subject(batch.bot)).collect();
        let keys = self.keys.current(&subjects).await?;
        let (bot, fresh) = (batch.bot, self.listeners.copy(batch.bot, &batch.updates));
        let sealed = self.seal(&keys, batch)?;
        let committed = self.committer.commit(sealed, room).await?;
        match fresh {
            // What came again has had its turn, and must not be learnt from once more: the database says which it is.
            Some(_) if committed.stored > 0 && committed.repeats > 0 => self.listeners.missed(bot),
            Some(fresh) if committed.stored > 0 => self.listeners.tell(bot, fresh),
            _ => {}
        }
        Ok(committed)
    }

    fn seal(
        &self,
        keys: &HashMap<Subject, DataKey>,
        batch: Batch,
    ) -> Result<store::SealedBatch, IngestError> {
        let mut random = self.keys.random();
        let mut seen = HashSet::with_capacity(batch.updates.len());
        let mut rows = Vec::with_capacity(batch.updates.len());
        let mut repeats = 0;
        for update in batch.updates {
            if !seen.insert(update.update_id) {
                repeats += 1;
                continue;
            }
            let subject = update.subject(batch.bot);
            // `current` answers for every subject or fails.
            let key = keys.get(&subject).ok_or(IngestError::Ending)?;
            let raw = key
                .seal(
                    &mut random,
                    &context(b'u', batch.bot, update.update_id),
                    &update.raw,
                )
                .map_err(KeyError::from)?;
            let text = match update.message.as_ref().and_then(|message| message.text.as_ref()) {
                Some(text) => Some(
                    key.seal(
                        &mut random,
                        &context(b'm', batch.bot, update.update_id),
                        text.as_bytes(),
                    )
                    .map_err(KeyError::from)?,
                ),
                None => None,
            };
            rows.push(store::Row { update, raw, text });
        }
        Ok(store::SealedBatch {
            bot: batch.bot,
            way: batch.way,
            rows,
            repeats,
        })
    }
}

/// Where a sealed value belongs: `u` raw update, `m` text of a message; bot and update.
pub fn context(what: u8, bot: BotId, update_id: i64) -> [u8; 17] {
    let mut context = [what; 17];
    context[1..9].copy_from_slice(&bot.0.to_be_bytes());
    context[9..].copy_from_slice(&update_id.to_be_bytes());
    context
}
