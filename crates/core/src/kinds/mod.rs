//! The console's own queries and operations.

mod decide;
mod operations;
mod reading;
mod schedules;

use crate::console::{ConsoleHandle, ConsoleParts};
use crate::live::LiveHub;
use crate::sources::Sources;
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::Text;
use sqlx::PgPool;
use std::sync::Arc;

/// What the console's own kinds work with.
pub(crate) struct Core {
    db: PgPool,
    live: LiveHub,
    sources: Sources,
    handle: ConsoleHandle,
}

pub(crate) fn register(parts: &mut ConsoleParts) {
    let core = Arc::new(Core {
        db: parts.db.clone(),
        live: parts.live.clone(),
        sources: parts.sources.clone(),
        handle: parts.handle.clone(),
    });
    use bagua_model::notices::ListNotices;
    use bagua_model::operation as o;
    parts
        .registry
        .query::<o::ListOperations>(core.clone())
        .query::<o::GetOperation>(core.clone())
        .query::<o::ApprovalInbox>(core.clone())
        .query::<o::RecentEvents>(core.clone())
        .query::<o::ListAudit>(core.clone())
        .query::<o::ListSchedules>(core.clone())
        .query::<ListNotices>(core.clone())
        .immediate::<o::CancelOperation>(core.clone())
        .immediate::<o::ApproveOperation>(core.clone())
        .immediate::<o::RejectOperation>(core.clone())
        .immediate::<o::RetryOperation>(core.clone())
        .immediate::<o::CreateSchedule>(core.clone())
        .immediate::<o::PauseSchedule>(core.clone())
        .immediate::<o::DeleteSchedule>(core);
}

/// The plan of something that is only rows.
fn simple_plan(summary: Text) -> Plan {
    Plan {
        changes: vec![summary.clone()],
        summary,
        facts: std::collections::BTreeMap::new(),
        estimates: Vec::new(),
        warnings: Vec::new(),
        steps: Vec::new(),
        approval: None,
    }
}

/// How many rows to list: 1 to 200, `usual` when the reader does not say.
fn limit(wanted: u16, usual: u16) -> u16 {
    if wanted == 0 { usual } else { wanted.min(200) }
}

/// A cursor that somebody has cut short or made up is a field error, not a fault of ours.
fn cursor<T: std::str::FromStr>(after: Option<&str>) -> Result<Option<T>, Failure> {
    after
        .map(|text| {
            text.parse()
                .map_err(|_| Failure::field("after", Text::new(bagua_model::text::keys::CORE_BAD_CURSOR)))
        })
        .transpose()
}
