//! One file for each page. A page is a function that answers its view; the URL holds its state.

pub mod access;
pub mod alert;
pub mod alerts;
pub mod approvals;
pub mod audit;
pub mod bot;
pub mod bots;
pub mod charts;
pub mod compare;
pub mod component;
pub mod localization;
pub mod not_found;
pub mod operation;
pub mod operations;
pub mod overview;
pub mod plan;
pub mod platform;
pub mod preferences;
pub mod region;
pub mod regions;
pub mod schedules;
pub mod search;
pub mod sign_in;
pub mod silences;
pub mod tokens;
pub mod welcome;

use crate::memo::memo;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

/// A part of the address's path.
fn param(name: &'static str) -> Memo<String> {
    let params = use_params_map();
    text(Box::new(move || params.with(|p| p.get(name)).unwrap_or_default()))
}

/// A value of the address's query; empty when absent.
fn query(name: &'static str) -> Memo<String> {
    let query = use_query_map();
    text(Box::new(move || query.with(|q| q.get(name)).unwrap_or_default()))
}

fn text(read: Box<dyn Fn() -> String + Send + Sync>) -> Memo<String> {
    memo(read)
}

/// `None` for an empty text.
fn some(text: String) -> Option<String> {
    Some(text).filter(|t| !t.trim().is_empty())
}
