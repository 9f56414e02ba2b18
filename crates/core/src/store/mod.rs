//! All SQL of the spine, checked against the migrations when it compiles.

pub(crate) mod audit;
pub(crate) mod decisions;
pub(crate) mod events;
pub(crate) mod operations;
pub(crate) mod schedules;
pub(crate) mod steps;
pub(crate) mod views;
pub(crate) mod work;
