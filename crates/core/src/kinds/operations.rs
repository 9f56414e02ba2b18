//! `operations.list`, `operations.get`, `operations.inbox`.

use super::{Core, cursor, limit};
use crate::actor::Actor;
use crate::db;
use crate::registry::Registry;
use crate::store::views::{self, Filter, Full};
use crate::verbs::{Answers, AskContext};
use async_trait::async_trait;
use bagua_model::access::Permission;
use bagua_model::failure::Failure;
use bagua_model::operation::{
    ApprovalInbox, GetOperation, ListOperations, OperationState, OperationSummary, OperationView, Page,
};
use bagua_model::region::RegionId;
use uuid::Uuid;

#[async_trait]
impl Answers<ListOperations> for Core {
    async fn answer(
        &self,
        cx: &AskContext,
        query: ListOperations,
    ) -> Result<Page<OperationSummary>, Failure> {
        let limit = limit(query.limit, 50);
        if let Some(rows) = self.remembered(cx, &query, limit) {
            return Ok(Page::cut(rows, limit, |row| row.operation.to_string()));
        }
        let regions = cx.granted.regions(cx.environment);
        let states: Vec<String> = query
            .states
            .iter()
            .map(|state| state.as_str().to_owned())
            .collect();
        let text = query.text.as_deref().map(|text| text.trim().to_lowercase());
        let filter = Filter {
            environment: cx.environment,
            regions: regions.as_deref(),
            own: cx.actor.own(),
            states: &states,
            kind: query.kind.as_deref(),
            region: query.region.as_ref().map(RegionId::as_str),
            target: query
                .target
                .as_deref()
                .map(|target| target.split_once(':').unwrap_or((target, ""))),
            text: text.as_deref().filter(|text| !text.is_empty()),
            after: cursor::<Uuid>(query.after.as_deref())?,
            limit: i64::from(limit) + 1,
        };
        let rows = views::list(&self.db, &filter).await.map_err(db::failure)?;
        let rows = rows.into_iter().map(|row| row.summary).collect();
        Ok(Page::cut(rows, limit, |row: &OperationSummary| {
            row.operation.to_string()
        }))
    }
}

impl Core {
    /// Operations that have not ended are kept in memory: every page shows them.
    fn remembered(
        &self,
        cx: &AskContext,
        query: &ListOperations,
        limit: u16,
    ) -> Option<Vec<OperationSummary>> {
        let narrowed =
            query.kind.is_some() || query.region.is_some() || query.target.is_some() || query.text.is_some();
        let active = !query.states.is_empty() && query.states.iter().all(|state| !state.is_final());
        if narrowed || !active || query.after.is_some() {
            return None;
        }
        let memory = self.live.active().filter(|memory| memory.complete)?;
        let own = cx.actor.own();
        let everywhere = cx.granted.everywhere(cx.environment);
        let rows = memory.rows.iter().filter(|row| {
            query.states.contains(&row.summary.state)
                && (everywhere
                    || (own.is_some() && row.person == own)
                    || row.summary.target.scope.region.is_some()
                        && cx.granted.covers(&row.summary.target.scope))
        });
        Some(
            rows.take(usize::from(limit) + 1)
                .map(|row| row.summary.clone())
                .collect(),
        )
    }
}

#[async_trait]
impl Answers<GetOperation> for Core {
    async fn answer(&self, cx: &AskContext, query: GetOperation) -> Result<OperationView, Failure> {
        let console = self.handle.get()?;
        let full = views::full(&self.db, query.operation)
            .await
            .map_err(db::failure)?;
        full.filter(|full| may_see(cx, full))
            .map(|full| may(console.registry(), &cx.actor, full))
            .ok_or_else(|| Failure::not_found(query.operation))
    }
}

fn may_see(cx: &AskContext, full: &Full) -> bool {
    let own = cx.actor.own().is_some_and(|person| full.person == Some(person));
    own || cx.granted.covers(&full.view.summary.target.scope)
}

/// Fills in what the reader may do, so that screens disable with a reason instead of failing.
fn may(registry: &Registry, actor: &Actor, full: Full) -> OperationView {
    let Full {
        mut view,
        person,
        prepared_by,
        needs,
    } = full;
    let scope = &view.summary.target.scope;
    let me = actor.person();
    let own = actor.own().is_some_and(|own| person == Some(own));
    let stops = own || actor.granted(Permission::OperationsCancel).covers(scope);
    view.may_cancel = stops
        && match view.summary.state {
            OperationState::AwaitingApproval | OperationState::Queued | OperationState::Running => {
                !view.cancel_requested
            }
            OperationState::NeedsOperator => needs.as_deref() != Some("undo"),
            _ => false,
        };
    view.may_approve = view.summary.state == OperationState::AwaitingApproval
        && me.is_some_and(|me| person != Some(me) && !prepared_by.contains(&me))
        && actor.granted(Permission::OperationsApprove).covers(scope);
    let goes_on = registry
        .info(&view.summary.kind)
        .is_some_and(|info| actor.granted(info.permission).covers(scope));
    view.may_retry = view.summary.state == OperationState::NeedsOperator && (goes_on || stops);
    view
}

#[async_trait]
impl Answers<ApprovalInbox> for Core {
    async fn answer(&self, cx: &AskContext, _: ApprovalInbox) -> Result<Vec<OperationView>, Failure> {
        let console = self.handle.get()?;
        let regions = cx.granted.regions(cx.environment);
        let states = [OperationState::AwaitingApproval.as_str().to_owned()];
        let filter = Filter {
            environment: cx.environment,
            regions: regions.as_deref(),
            own: None,
            states: &states,
            kind: None,
            region: None,
            target: None,
            text: None,
            after: None,
            limit: 200,
        };
        let waiting = views::list(&self.db, &filter).await.map_err(db::failure)?;
        let mut inbox = Vec::new();
        for row in waiting {
            if let Some(full) = views::full(&self.db, row.summary.operation)
                .await
                .map_err(db::failure)?
            {
                inbox.push(may(console.registry(), &cx.actor, full));
            }
        }
        inbox.retain(|view| view.may_approve);
        Ok(inbox)
    }
}
