//! Faults that a test plans.

use serde::{Deserialize, Serialize};

/// A planned fault.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The method that it hits, or `*` for each; a `*` at the end stands for any end, as in `send*`.
    pub method: String,
    /// What happens.
    pub action: Action,
    /// How many calls pass before.
    #[serde(default)]
    pub after: u64,
    /// How many calls it hits; nothing means all, until it is taken back.
    #[serde(default)]
    pub times: Option<u64>,
}

/// What a fault does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub enum Action {
    /// Nothing is done, and Telegram answers with this error.
    Refuse {
        /// Such as 500.
        code: u16,
        /// Telegram's words.
        #[serde(default)]
        description: String,
        /// For 429.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// It is done, and the answer is this error all the same.
    RefuseAfter {
        /// Such as 500.
        code: u16,
    },
    /// A proxy before Telegram answers 502 with a page. Nothing is done.
    Gateway,
    /// The connection ends. Nothing was done.
    CutBefore,
    /// It is done, and the connection ends without an answer.
    CutAfter,
    /// It is done, and the answer comes so much later.
    Delay {
        /// Milliseconds of real time.
        millis: u64,
    },
    /// It is done so much later, and answered then.
    DelayBefore {
        /// Milliseconds of real time.
        millis: u64,
    },
}

impl Fault {
    fn hits(&self, method: &str) -> bool {
        let planned = self.method.to_ascii_lowercase();
        let method = method.to_ascii_lowercase();
        match planned.strip_suffix('*') {
            Some(start) => method.starts_with(start),
            None => method == planned,
        }
    }
}

/// Counts a call, and says which fault hits it. Faults that are used up go.
pub(crate) fn take(faults: &mut Vec<Fault>, method: &str) -> Option<Action> {
    let mut hit = None;
    for fault in faults.iter_mut().filter(|fault| fault.hits(method)) {
        if fault.after > 0 {
            fault.after -= 1;
        } else if hit.is_none() {
            if let Some(times) = &mut fault.times {
                *times = times.saturating_sub(1);
            }
            hit = Some(fault.action.clone());
        }
    }
    faults.retain(|fault| fault.times != Some(0));
    hit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_after_and_as_often_as_planned() {
        let fault = |method: &str, action, after, times| Fault {
            method: method.to_owned(),
            action,
            after,
            times,
        };
        let mut faults = vec![
            fault("send*", Action::CutAfter, 1, Some(1)),
            fault("getupdates", Action::CutBefore, 0, None),
        ];
        assert!(take(&mut faults, "sendMessage").is_none());
        assert!(matches!(take(&mut faults, "sendPhoto"), Some(Action::CutAfter)));
        assert!(take(&mut faults, "sendMessage").is_none());
        assert_eq!(faults.len(), 1);
        for _ in 0..3 {
            assert!(matches!(take(&mut faults, "getUpdates"), Some(Action::CutBefore)));
        }
        assert!(take(&mut faults, "getMe").is_none());
    }
}
