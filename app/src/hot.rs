//! What every page shows of the present: the worst alerts and the console's own notices, asked once for the page.

use crate::asked::{Asked, asked};
use crate::live::Live;
use bagua_model::alerts::{AlertFeed, ListAlerts};
use bagua_model::notices::{ListNotices, Notice};
use bagua_model::region::RegionId;
use leptos::prelude::*;

/// How many alerts the first screen shows before it says how many more there are.
pub const WORST: u16 = 12;

/// Shared by rail, notices and overview.
#[derive(Clone, Copy)]
pub struct Hot {
    /// The worst alerts in the scope of the address, and how many fire.
    pub feed: Asked<AlertFeed>,
    /// Sources that are away.
    pub notices: Asked<Vec<Notice>>,
    /// How many critical alerts fire, for the tab.
    pub critical: RwSignal<u32>,
}

impl Hot {
    /// Begins to ask. `scope` is the region in the address.
    pub fn new(live: Live, scope: Memo<Option<RegionId>>) -> Hot {
        let feed = asked(move || {
            (
                ListAlerts {
                    region: scope.get(),
                    limit: WORST,
                    ..ListAlerts::default()
                },
                live.alerts.get(),
            )
        });
        let notices = asked(move || (ListNotices {}, live.notices.get()));
        Hot {
            feed,
            notices,
            critical: RwSignal::new(0),
        }
    }

    /// From the page's context; `None` where nobody is signed in.
    pub fn get() -> Option<Hot> {
        use_context::<Hot>()
    }
}
