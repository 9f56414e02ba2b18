//! Values that follow others, worked out at once.
//!
//! Leptos works a memo out when it is first read. On the server the parts of a page are drawn on several threads, and two that are
//! the first to read the same memo at the same moment meet it half done, which is a panic. One that has a value from the start has none
//! of this: on the server nothing that it follows changes any more.

use leptos::prelude::*;

/// A memo of `value`.
pub fn memo<T: PartialEq + Send + Sync + 'static>(value: impl Fn() -> T + Send + Sync + 'static) -> Memo<T> {
    let memo = Memo::new(move |_| value());
    memo.with_untracked(|_| ());
    memo
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_memo_has_its_value_before_anybody_reads_it() {
        let owner = Owner::new();
        owner.set();
        let worked_out = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&worked_out);
        let seven = memo(move || counted.fetch_add(1, Ordering::Relaxed) + 7);
        assert_eq!(worked_out.load(Ordering::Relaxed), 1);
        assert_eq!((seven.get_untracked(), seven.get_untracked()), (7, 7));
    }
}
