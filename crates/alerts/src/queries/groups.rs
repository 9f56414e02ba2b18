//! `alerts.groups`: a storm counted, instead of thousands of rows.

use crate::Alerts;
use crate::filter::Filter;
use crate::snapshot::{Sight, Snapshot};
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::alerts::{AlertGroup, AlertGroups, AlertView, GroupAlerts, GroupBy};
use bagua_model::failure::Failure;
use bagua_model::region::RegionId;
use std::cmp::Reverse;
use std::collections::HashMap;

/// More groups than anybody reads.
const MOST: usize = 200;

#[async_trait]
impl Answers<GroupAlerts> for Alerts {
    async fn answer(&self, cx: &AskContext, query: GroupAlerts) -> Result<AlertGroups, Failure> {
        let sight = Sight::of(&cx.granted, cx.environment);
        Ok(groups(&*self.firing()?, &query, &sight))
    }
}

fn groups(snapshot: &Snapshot, query: &GroupAlerts, sight: &Sight) -> AlertGroups {
    let filter = Filter::new(&query.filter);
    let mut groups: HashMap<Option<&str>, AlertGroup> = HashMap::new();
    let mut matching = 0;
    for view in snapshot.visible(sight).filter(|v| filter.lets_through(v)) {
        matching += 1;
        let key = key(query.by, view);
        let group = groups.entry(key).or_insert_with(|| AlertGroup {
            key: key.map(str::to_owned),
            firing: [0; 3],
            acknowledged: 0,
            suppressed: 0,
            newest: view.started_at,
        });
        group.firing[view.severity as usize] += 1;
        group.acknowledged += u32::from(view.acknowledged.is_some());
        group.suppressed += u32::from(view.suppressed);
        group.newest = group.newest.max(view.started_at);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| {
        Reverse(a.firing)
            .cmp(&Reverse(b.firing))
            .then_with(|| a.key.cmp(&b.key))
    });
    let left_out = groups.len().saturating_sub(MOST);
    groups.truncate(MOST);
    AlertGroups {
        groups,
        left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
        matching,
    }
}

fn key(by: GroupBy, view: &AlertView) -> Option<&str> {
    match by {
        GroupBy::Rule => Some(&view.name),
        GroupBy::Region => view.region.as_ref().map(RegionId::as_str),
        GroupBy::Severity => Some(view.severity.as_str()),
    }
}
