//! What was just committed is handed to whoever runs its rules in this process, so that it need not be read back from the database.
//!
//! This is a short cut and nothing rests on it: what has rules to run stands in `update_work`, too, in the transaction that stores it. A process that
//! does not own the bot hands nothing over, a full way is said to the owner, and the owner finds the rest there.

use super::Update;
use crate::BotId;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};

/// Groups of updates that may wait to be taken. Beyond it they are read from the database.
const GROUPS: usize = 8;

/// An update as it was committed.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) update_id: i64,
    pub(crate) raw: Bytes,
}

struct Listener {
    way: mpsc::Sender<Vec<Fresh>>,
    /// Told when something is in the database and not on its way.
    missed: Arc<Notify>,
}

/// Who listens for which bot.
#[derive(Clone, Default)]
pub(super) struct Listeners(Arc<Mutex<HashMap<BotId, Listener>>>);

impl Listeners {
    /// From now on `bot`'s updates come here. Who listened before hears no more.
    pub(super) fn listen(&self, bot: BotId, missed: Arc<Notify>) -> mpsc::Receiver<Vec<Fresh>> {
        let (way, fresh) = mpsc::channel(GROUPS);
        self.all().insert(bot, Listener { way, missed });
        fresh
    }

    /// A copy of what is about to be stored, when somebody listens. The bytes are shared, not copied.
    pub(super) fn copy(&self, bot: BotId, updates: &[Update]) -> Option<Vec<Fresh>> {
        let is_heard = self
            .all()
            .get(&bot)
            .is_some_and(|listener| !listener.way.is_closed());
        let fresh = |update: &Update| Fresh {
            update_id: update.update_id,
            raw: update.raw.clone(),
        };
        is_heard.then(|| updates.iter().map(fresh).collect())
    }

    /// Hands over what was committed.
    pub(super) fn tell(&self, bot: BotId, fresh: Vec<Fresh>) {
        let mut all = self.all();
        let Some(listener) = all.get(&bot) else { return };
        match listener.way.try_send(fresh) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => listener.missed.notify_one(),
            Err(mpsc::error::TrySendError::Closed(_)) => drop(all.remove(&bot)),
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<BotId, Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
