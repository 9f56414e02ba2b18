//! The queue of one bot: what was not confirmed yet, by the rules of the Bot API server's own queue.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::clock::Millis;

/// How many updates a queue holds; one more is lost.
pub const MOST_UPDATES: usize = 100_000;
/// How many bytes a queue holds.
pub const MOST_BYTES: usize = 128 << 20;
/// The largest update.
pub const LARGEST_UPDATE: usize = 512 << 10;
/// Where an answer of getUpdates is cut.
const LARGEST_BATCH: usize = 4 << 20;
/// How far beyond the newest update an offset is believed.
const BELIEVED_AHEAD: i64 = 10;

/// An update in the queue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `update_id`.
    pub id: i64,
    /// Its place in the log.
    pub seq: usize,
    /// Updates with the same key are delivered to a webhook one after the other.
    pub order: i64,
    /// When it is forgotten.
    pub expires: Millis,
    /// The whole update. Empty when it is gone already.
    pub json: Bytes,
}

/// Why an update did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are 100,000.
    Count,
    /// There are 128 MiB.
    Bytes,
    /// It is larger than 512 KiB.
    TooLarge,
}

/// Unconfirmed updates, oldest first.
#[derive(Debug)]
pub struct Queue {
    entries: VecDeque<Entry>,
    live: usize,
    bytes: usize,
    /// The id that the next update gets.
    tail: i64,
    /// No entry expires before this.
    next_expiry: Millis,
}

impl Queue {
    /// An empty queue; the first update gets the id `first`.
    #[must_use]
    pub fn new(first: i64) -> Self {
        Self {
            entries: VecDeque::new(),
            live: 0,
            bytes: 0,
            tail: first,
            next_expiry: Millis::MAX,
        }
    }

    /// How many updates wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The id that the next update gets.
    #[must_use]
    pub fn next_id(&self) -> i64 {
        self.tail
    }

    /// Gives the next update another id, as Telegram may after a week of silence; also a lower one. Only an empty queue
    /// takes it.
    pub fn restart_at(&mut self, id: i64) -> bool {
        if !self.is_empty() {
            return false;
        }
        self.entries.clear();
        self.tail = id;
        true
    }

    /// Adds an update, whose bytes are given the id by `write`.
    ///
    /// # Errors
    /// When the queue is full; the update is lost.
    pub fn push(
        &mut self,
        seq: usize,
        order: i64,
        expires: Millis,
        write: impl FnOnce(i64) -> Bytes,
    ) -> Result<i64, Full> {
        if self.live >= MOST_UPDATES {
            return Err(Full::Count);
        }
        let id = self.tail;
        let json = write(id);
        if json.len() > LARGEST_UPDATE {
            return Err(Full::TooLarge);
        }
        if self.bytes + json.len() > MOST_BYTES {
            return Err(Full::Bytes);
        }
        self.tail += 1;
        self.live += 1;
        self.bytes += json.len();
        self.next_expiry = self.next_expiry.min(expires);
        self.entries.push_back(Entry {
            id,
            seq,
            order,
            expires,
            json,
        });
        Ok(id)
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Millis, mut gone: impl FnMut(&Entry)) {
        if now <= self.next_expiry {
            return;
        }
        let mut next = Millis::MAX;
        for entry in &mut self.entries {
            if entry.json.is_empty() {
                continue;
            }
            if entry.expires < now {
                gone(entry);
                self.live -= 1;
                self.bytes -= entry.json.len();
                entry.json = Bytes::new();
            } else {
                next = next.min(entry.expires);
            }
        }
        self.next_expiry = next;
        self.trim();
    }

    /// What an offset of getUpdates means: everything below the returned id is confirmed.
    ///
    /// A negative one counts from the end. One that is too far beyond the newest update means the oldest: it confirms
    /// nothing, so that a client whose ids were reset goes on.
    #[must_use]
    pub fn resolve(&self, offset: i64) -> i64 {
        let head = self.entries.front().map_or(self.tail, |entry| entry.id);
        let offset = if offset < 0 { offset + self.tail } else { offset };
        if offset > self.tail + BELIEVED_AHEAD {
            return head;
        }
        offset.max(head)
    }

    /// Forgets everything below `id`.
    pub fn confirm(&mut self, id: i64, mut gone: impl FnMut(&Entry)) {
        while let Some(entry) = self.entries.front()
            && entry.id < id
        {
            if !entry.json.is_empty() {
                gone(entry);
                self.live -= 1;
                self.bytes -= entry.json.len();
            }
            self.entries.pop_front();
        }
    }

    /// Forgets one update, wherever it stands; a webhook confirms so.
    pub fn remove(&mut self, id: i64) -> Option<Entry> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        let entry = self.entries.get_mut(at).filter(|entry| !entry.json.is_empty())?;
        let removed = entry.clone();
        entry.json = Bytes::new();
        self.live -= 1;
        self.bytes -= removed.json.len();
        self.trim();
        Some(removed)
    }

    /// Forgets everything.
    pub fn clear(&mut self, mut gone: impl FnMut(&Entry)) {
        for entry in self.entries.drain(..).filter(|entry| !entry.json.is_empty()) {
            gone(&entry);
        }
        self.live = 0;
        self.bytes = 0;
        self.next_expiry = Millis::MAX;
    }

    /// The oldest updates: `limit` at most, and not more than an answer may hold.
    pub fn batch(&self, limit: usize) -> impl Iterator<Item = &Entry> {
        let mut left = LARGEST_BATCH as i64;
        self.entries
            .iter()
            .filter(|entry| !entry.json.is_empty())
            .take(limit)
            .take_while(move |entry| {
                left -= 50 + entry.json.len() as i64;
                left > 0
            })
    }

    /// Updates from `id` on, for a webhook.
    pub fn from(&self, id: i64) -> impl Iterator<Item = &Entry> {
        let at = self.entries.partition_point(|entry| entry.id < id);
        self.entries.range(at..).filter(|entry| !entry.json.is_empty())
    }

    fn trim(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.json.is_empty()) {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize) -> Queue {
        let mut queue = Queue::new(1000);
        for seq in 0..count {
            let pushed = queue.push(seq, 1, 1_000_000, |id| {
                Bytes::from(format!("{{\"update_id\":{id}}}"))
            });
            assert_eq!(pushed, Ok(1000 + seq as i64));
        }
        queue
    }

    fn ids(queue: &Queue, limit: usize) -> Vec<i64> {
        queue.batch(limit).map(|entry| entry.id).collect()
    }

    #[test]
    fn an_offset_confirms_what_is_below_it_only() {
        let mut queue = filled(5);
        let mut gone = Vec::new();
        for (offset, left) in [
            (0, vec![1000, 1001, 1002, 1003, 1004]),
            (1000, vec![1000, 1001, 1002, 1003, 1004]),
            (1002, vec![1002, 1003, 1004]),
            (1001, vec![1002, 1003, 1004]),
            // Too far ahead: back to the oldest.
            (1016, vec![1002, 1003, 1004]),
            (i64::from(i32::MAX), vec![1002, 1003, 1004]),
            (-1, vec![1004]),
            (1015, vec![]),
        ] {
            let from = queue.resolve(offset);
            queue.confirm(from, |entry| gone.push(entry.id));
            assert_eq!(ids(&queue, 100), left, "offset {offset}");
        }
        assert_eq!(gone, [1000, 1001, 1002, 1003, 1004]);
        assert!(queue.is_empty());
        assert_eq!(queue.next_id(), 1005);
    }

    #[test]
    fn ids_go_down_after_a_reset_and_the_old_offset_confirms_nothing() {
        let mut queue = filled(2);
        assert!(!queue.restart_at(5));
        queue.clear(|_| ());
        assert!(queue.restart_at(5));
        assert_eq!(queue.push(9, 1, 1_000_000, |_| Bytes::from_static(b"{}")), Ok(5));
        let from = queue.resolve(1002);
        queue.confirm(from, |_| panic!("nothing is confirmed"));
        assert_eq!(ids(&queue, 100), [5]);
    }

    #[test]
    fn a_batch_ends_at_4_mib() {
        let mut queue = Queue::new(1);
        for seq in 0..20 {
            queue
                .push(seq, 1, 1_000_000, |_| Bytes::from(vec![b' '; 400 << 10]))
                .expect("there is room");
        }
        assert_eq!(ids(&queue, 100).len(), 10);
        assert_eq!(ids(&queue, 3), [1, 2, 3]);
    }

    #[test]
    fn a_full_queue_takes_nothing() {
        let mut queue = filled(MOST_UPDATES);
        let one = |_| Bytes::from_static(b"{}");
        assert_eq!(queue.push(0, 1, 1, one), Err(Full::Count));
        queue.confirm(1001, |_| ());
        assert!(queue.push(0, 1, 1, one).is_ok());
        let mut queue = Queue::new(1);
        let large = Bytes::from(vec![b' '; LARGEST_UPDATE]);
        while queue.push(0, 1, 1, |_| large.clone()).is_ok() {}
        assert_eq!(queue.len(), 256);
        assert_eq!(queue.push(0, 1, 1, |_| large.clone()), Err(Full::Bytes));
        assert_eq!(
            queue.push(0, 1, 1, |_| Bytes::from(vec![b' '; LARGEST_UPDATE + 1])),
            Err(Full::TooLarge)
        );
    }

    #[test]
    fn each_update_has_its_own_end() {
        let mut queue = Queue::new(1);
        for expires in [150, 30, 1000] {
            queue
                .push(0, 1, expires, |_| Bytes::from_static(b"{}"))
                .expect("there is room");
        }
        let mut gone = Vec::new();
        queue.expire(30, |entry| gone.push(entry.id));
        assert!(gone.is_empty());
        queue.expire(31, |entry| gone.push(entry.id));
        assert_eq!(gone, [2]);
        assert_eq!(ids(&queue, 100), [1, 3]);
        queue.expire(151, |entry| gone.push(entry.id));
        assert_eq!((gone, ids(&queue, 9)), (vec![2, 1], vec![3]));
    }

    #[test]
    fn a_webhook_confirms_in_any_order() {
        let mut queue = filled(3);
        assert_eq!(queue.remove(1001).map(|entry| entry.id), Some(1001));
        assert!(queue.remove(1001).is_none());
        assert_eq!(ids(&queue, 9), [1000, 1002]);
        assert_eq!(queue.from(1001).map(|entry| entry.id).collect::<Vec<_>>(), [1002]);
        assert!(queue.remove(1000).is_some());
        assert_eq!(queue.len(), 1);
    }
}
