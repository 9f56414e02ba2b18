//! Which groups the webhook was told of, and when: bounded, in memory, of this console alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use time::OffsetDateTime;

/// So many groups are remembered; the longest unheard are forgotten first.
const MOST: usize = 10_000;

#[derive(Default)]
struct Kept {
    at: HashMap<String, OffsetDateTime>,
    /// Keys in the order in which they were first heard since they were last forgotten.
    order: VecDeque<String>,
}

/// When a notification of each group last came.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<Kept>);

impl Receipts {
    pub(crate) fn note(&self, group: String, now: OffsetDateTime) {
        if group.is_empty() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.at.insert(group.clone(), now).is_none() {
            kept.order.push_back(group);
        }
        while kept.order.len() > MOST {
            if let Some(oldest) = kept.order.pop_front() {
                kept.at.remove(&oldest);
            }
        }
    }

    pub(crate) fn last(&self, group: &str) -> Option<OffsetDateTime> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.at.get(group).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (receipts, start) = (Receipts::default(), OffsetDateTime::UNIX_EPOCH);
        for n in 0..=MOST {
            receipts.note(n.to_string(), start);
        }
        assert_eq!(receipts.last("0"), None);
        receipts.note("1".into(), start + time::Duration::HOUR);
        assert_eq!(receipts.last("1"), Some(start + time::Duration::HOUR));
    }
}
