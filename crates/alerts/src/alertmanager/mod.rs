//! Alertmanager: its API (version 2) and the notifications that it posts (webhook version 4).

mod client;
mod silences;
mod wire;

pub use client::{Alertmanager, AlertmanagerError, Status};
pub use silences::{ApiMatcher, ApiSilence, NewSilence};
pub use wire::{ListedAlert, Notification, Told};
