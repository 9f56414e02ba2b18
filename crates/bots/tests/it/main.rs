//! Ingest and leases on real databases.

mod ground;
mod ingest;
mod kills;
mod lease;
mod process;
mod runner;
mod unsteady;
