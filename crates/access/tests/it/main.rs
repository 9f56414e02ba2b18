//! The room on a real PostgreSQL and a real Redis.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod database;
mod links;
mod people;
mod preferences;
mod sessions;
mod sign_in;
mod support;
