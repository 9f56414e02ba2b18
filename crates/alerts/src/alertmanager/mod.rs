//! Alertmanager: its API (version 2) and the notifications that it posts (webhook version 4).

mod client;
mod wire;

pub use client::{Alertmanager, AlertmanagerError, Status};
pub use wire::{Notification, Told};
