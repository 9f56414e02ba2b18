//! How the processes that own a region's bots work, and what they measure of themselves.

use super::BotOutcome;
use crate::access::Permission;
use crate::region::{Environment, RegionId, Scope};
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What can be set, its usual value, and between which values it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    /// As in [`Tuning`]; words under `bots.knob.<name>`.
    pub name: &'static str,
    /// Least value.
    pub least: u32,
    /// Largest value.
    pub most: u32,
}

macro_rules! knobs {
    ($($(#[$meta:meta])* $name:ident = $usual:literal in $least:literal ..= $most:literal,)*) => {
        /// How the processes that own a region's bots work. Each of them takes a change within seconds: it finishes what it has, and begins anew.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields, default)]
        pub struct Tuning {
            $($(#[$meta])* pub $name: u32,)*
        }

        impl Default for Tuning {
            fn default() -> Self {
                Tuning { $($name: $usual,)* }
            }
        }

        impl Tuning {
            /// Everything that can be set.
            pub const KNOBS: &'static [Knob] = &[
                $(Knob { name: stringify!($name), least: $least, most: $most },)*
            ];

            /// A value by its name.
            pub fn get(&self, name: &str) -> Option<u32> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }

            /// Sets a value by its name; `false` where there is none of that name.
            pub fn set(&mut self, name: &str, value: u32) -> bool {
                match name {
                    $(stringify!($name) => self.$name = value,)*
                    _ => return false,
                }
                true
            }
        }
    };
}

knobs! {
    /// Bots that one process owns at most.
    bots = 2_000 in 1 ..= 20_000,
    /// Bots that one process takes at once, every two seconds: Telegram throttles a start of very many.
    take = 20 in 1 ..= 500,
    /// Calls of one bot that are under way at once.
    calls = 16 in 1 ..= 100,
    /// Connections of one process to the region's data database, for its bots.
    connections = 10 in 6 ..= 64,
    /// Transactions of one process in which updates are stored at once.
    writers = 4 in 1 ..= 16,
    /// Updates that share one transaction at most.
    group = 1_000 in 1 ..= 10_000,
    /// MiB of updates that may wait in one process to be stored; beyond that, Telegram keeps them.
    waiting = 32 in 1 ..= 1_024,
    /// Data keys that one process remembers, about 1 KiB each, for each way of looking them up.
    keys = 50_000 in 100 ..= 1_000_000,
    /// Seconds for which Redis keeps what a runner of this region has read from the data database.
    redis = 10 in 1 ..= 3_600,
}

/// Look-ups in a cache since a process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CacheFigures {
    /// Found.
    pub hits: u64,
    /// Not found.
    pub misses: u64,
    /// Without an answer in time.
    pub errors: u64,
    /// What it holds now; nothing where nobody counts.
    pub entries: Option<u64>,
}

impl CacheFigures {
    /// Which part of the look-ups found something; nothing before the first.
    pub fn ratio(&self) -> Option<f64> {
        let all = self.hits + self.misses + self.errors;
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

/// What a process measures of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RunnerFigures {
    /// Bots of the region that it owns.
    pub bots: u32,
    /// With which version of the tuning it works; 0 for the usual values.
    pub tuning: i64,
    /// Connections to the data database that are in use.
    pub busy: u32,
    /// Connections that are open.
    pub open: u32,
    /// Bytes of updates that wait to be stored.
    pub waiting: u64,
    /// Updates of one transaction, the mean since it last said so; nothing without a transaction.
    pub group: Option<f64>,
    /// Transactions since it began.
    pub commits: u64,
    /// Data keys.
    pub keys: CacheFigures,
    /// Redis; nothing where the process does not use it for this region.
    pub redis: Option<CacheFigures>,
}

/// A process that owns bots of a region, or stands ready to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunnerView {
    /// As bots name their owner.
    pub owner: String,
    /// Where it runs.
    pub region: RegionId,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub since: OffsetDateTime,
    /// When it last said so.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub seen_at: OffsetDateTime,
    /// What it measured then.
    pub figures: RunnerFigures,
}

/// A region's tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegionTuning {
    /// Whose data database.
    pub region: RegionId,
    /// Whether it did not answer; what follows is not known then.
    pub away: bool,
    /// What is set.
    pub tuning: Tuning,
    /// Grows with every change; 0 before the first.
    pub version: i64,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub changed_at: Option<OffsetDateTime>,
    /// The processes that were there within the last minute.
    pub runners: Vec<RunnerView>,
}

/// `bots.tuning`: how the processes that own bots work, by region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GetTuning {
    /// Only this region's.
    pub region: Option<RegionId>,
}

impl Query for GetTuning {
    const KIND: &'static str = "bots.tuning";
    const PERMISSION: Permission = Permission::BotsView;
    type Answer = Vec<RegionTuning>;
}

/// `bots.tune`: sets how the processes that own a region's bots work, all values at once. The operation ends when each of them works so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TuneBots {
    /// The region.
    pub region: RegionId,
    /// What shall be set; what is not named is as usual.
    pub tuning: Tuning,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TuneOutcome {
    /// The version that was written.
    pub version: i64,
    /// Processes that work with it.
    pub runners: usize,
}

impl Operation for TuneBots {
    const KIND: &'static str = "bots.tune";
    const EXAMPLE: &'static str = r#"{"region":"eu-west-1","tuning":{"connections":16,"writers":6}}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = TuneOutcome;

    fn target(&self) -> Target {
        Target {
            noun: "tuning".into(),
            id: self.region.to_string(),
            scope: Scope {
                environment: None::<Environment>,
                region: Some(self.region.clone()),
            },
        }
    }
}

/// `bot.move`: where a bot runs. Its data stays where it is; whoever owns it finishes what it has and gives it to its new home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MoveBot {
    /// The bot's number.
    pub bot: i64,
    /// The region whose data database it lives in.
    pub region: RegionId,
    /// Where it shall run.
    pub home: RegionId,
    /// Which regions take it over, in this order, while its home does not run it.
    #[serde(default)]
    pub standby: Vec<RegionId>,
}

impl Operation for MoveBot {
    const KIND: &'static str = "bot.move";
    const EXAMPLE: &'static str =
        r#"{"bot":700000001,"region":"eu-west-1","home":"us-east-1","standby":["eu-west-1"]}"#;
    const PERMISSION: Permission = Permission::BotsManage;
    const RISK: Risk = Risk::Moderate;
    type Outcome = BotOutcome;

    fn target(&self) -> Target {
        super::placed_target(self.bot, &self.region, Some(&self.home), &self.standby)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_usual_value_is_within_its_limits_and_is_reached_by_its_name() {
        let mut tuning = Tuning::default();
        assert_eq!(serde_json::from_str::<Tuning>("{}").expect("usual"), tuning);
        for knob in Tuning::KNOBS {
            let usual = tuning.get(knob.name).expect("a name");
            assert!((knob.least..=knob.most).contains(&usual), "{}", knob.name);
            assert!(tuning.set(knob.name, knob.most));
            assert_eq!(tuning.get(knob.name), Some(knob.most));
        }
        assert_eq!((tuning.get("luck"), tuning.set("luck", 1)), (None, false));
        assert!(serde_json::from_str::<Tuning>(r#"{"luck":1}"#).is_err());
    }

    #[test]
    fn a_cache_that_was_never_asked_has_no_ratio() {
        assert_eq!(CacheFigures::default().ratio(), None);
        let asked = CacheFigures {
            hits: 3,
            misses: 1,
            ..CacheFigures::default()
        };
        assert_eq!(asked.ratio(), Some(0.75));
    }
}
