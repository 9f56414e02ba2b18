//! The whole console, wired as the binary wires it, on a real PostgreSQL and with real processes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod audit_rows;
mod bots;
mod bots_bulk;
mod bots_calls;
mod bots_chats;
mod bots_places;
mod bots_rules;
mod bots_settings;
mod command;
mod coverage;
mod cross_site;
mod doors;
mod forms;
mod handover;
mod inputs;
mod live_stream;
mod openapi;
mod pages;
mod reference;
mod remote;
mod support;
mod tokens;
