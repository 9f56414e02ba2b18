//! The types that browser and server share: identifiers, permissions, queries, operations, views, failures, texts.
//!
//! This crate compiles for `wasm32-unknown-unknown`; it knows no runtime, no database and no screen.

pub mod access;
pub mod alerts;
pub mod bots;
pub mod compare;
pub mod failure;
pub mod localization;
pub mod notices;
pub mod operation;
pub mod platform;
pub mod preferences;
pub mod region;
pub mod regions;
pub mod schema;
pub mod settings;
pub mod silences;
pub mod supervisor;
pub mod text;
pub mod tokens;
pub mod verbs;
pub mod zone;
