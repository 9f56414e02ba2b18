//! What was just committed is handed to whoever runs its rules in this process, so that it need not be read back from the database.
//!
//! This is a short cut and nothing rests on it: what has rules to run stands in `update_work`, too, in the transaction that stores it. A process that
//! does not own the bot hands nothing over, what finds no room is said to the owner, and the owner finds it there.

use super::Update;
use crate::BotId;
use bytes::Bytes;
use flume::{Receiver, Sender, TrySendError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Groups of one bot that may wait to be taken. Beyond it they are read from the database.
const GROUPS: usize = 8;
/// Bytes of all bots together that may wait.
const BYTES: usize = 16 << 20;

/// An update as it was committed.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) update_id: i64,
    pub(crate) raw: Bytes,
}

/// Updates that were committed together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) updates: Vec<Fresh>,
    // Given back when their rules have run.
    _room: OwnedSemaphorePermit,
}

/// That the database holds what is not on its way.
///
/// Once something was missed nothing more is handed over before the database is read: what came later would overtake it, and updates of a chat
/// stay in order.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    some: AtomicBool,
    told: Notify,
}

impl Missed {
    /// Something was missed.
    fn set(&self) {
        self.some.store(true, Ordering::SeqCst);
        self.told.notify_one();
    }

    /// Have a look: perhaps others put something there.
    pub(crate) fn look(&self) {
        self.told.notify_one();
    }

    /// From now on things are handed over again. Before the database is read, so that nothing falls between.
    pub(crate) fn clear(&self) {
        self.some.store(false, Ordering::SeqCst);
    }

    /// Until somebody says so.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }
}

struct Listener {
    way: Sender<Group>,
    missed: Arc<Missed>,
}

/// Who listens for which bot.
#[derive(Clone)]
pub(super) struct Listeners {
    of: Arc<Mutex<HashMap<BotId, Listener>>>,
    room: Arc<Semaphore>,
}

impl Default for Listeners {
    fn default() -> Listeners {
        Listeners {
            of: Arc::default(),
            room: Arc::new(Semaphore::new(BYTES)),
        }
    }
}

impl Listeners {
    /// From now on `bot`'s updates come here. flume's queue, because tokio's sets room for 32 groups aside for each of thousands of bots. Who listened before hears no more.
    pub(super) fn listen(&self, bot: BotId, missed: Arc<Missed>) -> Receiver<Group> {
        let (way, fresh) = flume::bounded(GROUPS);
        self.all().insert(bot, Listener { way, missed });
        fresh
    }

    /// A copy of what is about to be stored, when somebody listens. The bytes are shared, not copied.
    pub(super) fn copy(&self, bot: BotId, updates: &[Update]) -> Option<Vec<Fresh>> {
        let is_heard = self
            .all()
            .get(&bot)
            .is_some_and(|listener| !listener.way.is_disconnected());
        let fresh = |update: &Update| Fresh {
            update_id: update.update_id,
            raw: update.raw.clone(),
        };
        is_heard.then(|| updates.iter().map(fresh).collect())
    }

    /// Hands over what was committed.
    pub(super) fn tell(&self, bot: BotId, updates: Vec<Fresh>) {
        let bytes: usize = updates.iter().map(|update| update.raw.len()).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let mut all = self.all();
        let Some(listener) = all.get(&bot) else { return };
        let missed = &listener.missed;
        let Some(_room) = room.ok().filter(|_| !missed.some.load(Ordering::SeqCst)) else {
            return missed.set();
        };
        match listener.way.try_send(Group { updates, _room }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => missed.set(),
            Err(TrySendError::Disconnected(_)) => drop(all.remove(&bot)),
        }
    }

    /// Something was committed that is not handed over.
    pub(super) fn missed(&self, bot: BotId) {
        if let Some(listener) = self.all().get(&bot) {
            listener.missed.set();
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<BotId, Listener>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(updates: usize, bytes: usize) -> Vec<Fresh> {
        let fresh = |update_id| Fresh {
            update_id,
            raw: Bytes::from(vec![0; bytes]),
        };
        (1..).map(fresh).take(updates).collect()
    }

    /// Whether somebody was told that something is in the database only.
    fn missed(missed: &Missed) -> bool {
        use futures::FutureExt as _;
        missed.told().now_or_never().is_some()
    }

    #[test]
    fn what_finds_no_room_is_said_and_nothing_overtakes_it() {
        let (listeners, told) = (Listeners::default(), Arc::new(Missed::default()));
        let fresh = listeners.listen(BotId(7), Arc::clone(&told));
        for _ in 0..GROUPS {
            listeners.tell(BotId(7), group(1, 10));
        }
        assert!(!missed(&told));
        listeners.tell(BotId(7), group(1, 10));
        assert!(missed(&told), "more than waits at once is not handed over");
        while fresh.try_recv().is_ok() {}
        listeners.tell(BotId(7), group(1, 10));
        assert!(
            missed(&told) && fresh.try_recv().is_err(),
            "what came later would overtake it"
        );
        told.clear();

        listeners.tell(BotId(7), group(1, BYTES));
        listeners.tell(BotId(7), group(1, 1));
        assert!(missed(&told), "nor what is more than the memory for it");
        assert!(fresh.try_recv().is_ok_and(|group| group.updates.len() == 1));
        told.clear();
        listeners.tell(BotId(7), group(2, 1));
        assert!(!missed(&told) && fresh.try_recv().is_ok_and(|group| group.updates.len() == 2));
    }

    #[test]
    fn nobody_is_told_of_a_bot_that_nobody_runs_here() {
        let (listeners, told) = (Listeners::default(), Arc::new(Missed::default()));
        assert!(listeners.copy(BotId(7), &[]).is_none());
        let fresh = listeners.listen(BotId(7), Arc::clone(&told));
        assert!(listeners.copy(BotId(7), &[]).is_some() && listeners.copy(BotId(8), &[]).is_none());
        drop(fresh);
        assert!(listeners.copy(BotId(7), &[]).is_none());
        listeners.tell(BotId(7), group(1, 1));
        assert!(!missed(&told));
    }
}
