//! The bot runtime on real databases, against the simulator of Telegram.

mod counts;
mod fleet;
mod ground;
mod ingest;
mod kills;
mod lease;
mod outlook;
mod places;
mod process;
mod quarantine;
mod replies;
mod routes;
mod runner;
mod search;
mod sends;
mod unsteady;
mod webhook;
