#![doc = include_str!("../README.md")]

mod answer;
mod api;
mod bot;
mod clock;
mod control;
pub mod faults;
mod files;
mod limits;
pub mod load;
pub mod log;
mod manage;
mod params;
mod poll;
mod queue;
mod send;
mod server;
mod sim;
mod update;
mod webhook;

pub use bot::{Bot, NewBot};
pub use clock::{Millis, SimClock};
pub use faults::{Action, Fault};
pub use files::LARGEST_DOWNLOAD;
pub use limits::SendLimits;
pub use load::{Load, Shape, Share};
pub use log::{End, Log, Totals};
pub use queue::{LARGEST_UPDATE, MOST_BYTES, MOST_UPDATES};
pub use sim::{Config, Sim};
pub use update::Draft;
