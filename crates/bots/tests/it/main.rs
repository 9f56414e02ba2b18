//! Ingest and leases on real databases.

mod ground;
mod ingest;
mod lease;
mod unsteady;
