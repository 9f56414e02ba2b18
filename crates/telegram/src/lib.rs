#![doc = include_str!("../README.md")]

mod base;
mod client;
pub mod envelope;
mod error;
pub mod header;
mod http;
pub mod json;
mod token;

pub use base::{ApiBase, BaseError};
pub use client::{Client, Download, FileInfo, GetUpdates, Limits, Me};
pub use envelope::RawUpdate;
pub use error::{Class, Refusal, TelegramError};
pub use header::{Header, Kind};
pub use http::Transport;
pub use token::{Token, TokenError};
