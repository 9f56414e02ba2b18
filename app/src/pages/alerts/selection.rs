//! `/alerts/selection`: what was chosen on a list, as one operation that is looked at before it is confirmed.

use super::filters::narrowed;
use crate::asked::{Payload, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::pages::plan;
use crate::pages::some;
use crate::rpc::{Answered, ask_payload};
use crate::ui::node::Node;
use crate::ui::submit::Underway;
use bagua_model::alerts::AcknowledgeAlerts;
use bagua_model::operation::PlanView;
use bagua_model::silences::{ExpireSilences, ListSilences, SilenceView, region_of};
use bagua_model::verbs::Operation as _;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use leptos_router::params::ParamsMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `/alerts/selection?alert=…&alert=…`, `?all=yes&seen=…` with the feed's filters, or `?silence=…&silence=…`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let params = use_location().query;
    // When the reader goes on to another page, the address changes before this page has gone.
    let wish = Memo::new(move |before: Option<&String>| {
        let leaving = params.with(|q| {
            ["alert", "silence", "all", "minutes"]
                .iter()
                .all(|name| q.get(name).is_none())
        });
        match before.filter(|_| leaving) {
            Some(before) => before.clone(),
            None => params.with(wish),
        }
    });
    let underway = Underway::default();
    let revision = underway.hold(move || live.operations.get());
    let plan = asked_by::<PlanView>(
        move || (wish.get(), revision.get()),
        |_, wish| Box::pin(planned(wish)),
    );
    let back = move || {
        let silences = params.with_untracked(|q| q.get("silence").is_some());
        if silences { "/alerts/silences" } else { "/alerts" }
    };
    plan.page(ui, move |view| {
        plan::whole(ui, view, plan::token(), back().to_owned(), underway.clone())
    })
}

/// Kind and input of the operation, joined for the question's key.
fn wish(params: &ParamsMap) -> String {
    let get = |name: &str| params.get(name).unwrap_or_default();
    if let Some(silences) = params.get_all("silence") {
        let expire = ExpireSilences {
            silences,
            region: None,
        };
        return joined(ExpireSilences::KIND, &expire);
    }
    let all = get("all") == "yes";
    let alerts = params.get_all("alert").unwrap_or_default();
    let acknowledge = AcknowledgeAlerts {
        alerts: match all {
            true => Vec::new(),
            false => alerts.iter().filter_map(|id| id.parse().ok()).collect(),
        },
        matching: all.then(|| narrowed(&get)),
        received_before: OffsetDateTime::parse(&get("seen"), &Rfc3339).ok().filter(|_| all),
        region: None,
        note: get("note"),
        minutes: some(get("minutes")).and_then(|m| m.parse().ok()),
    };
    joined(AcknowledgeAlerts::KIND, &acknowledge)
}

fn joined(kind: &str, input: &impl serde::Serialize) -> String {
    format!("{kind} {}", serde_json::to_string(input).unwrap_or_default())
}

async fn planned(wish: String) -> Answered<Payload> {
    let (kind, input) = wish.split_once(' ').unwrap_or((&wish, ""));
    // On the server the context is read at the first poll: both questions are put together before either waits.
    if let (ExpireSilences::KIND, Ok(expire)) = (kind, serde_json::from_str::<ExpireSilences>(input)) {
        let (all, whole) = futures::join!(ask_payload(ListSilences::default()), plan::planned(wish.clone()));
        // Who may end them everywhere needs no region. Others end those of one region, and say which.
        let region = all.and_then(|all| all.read(|all: &Vec<SilenceView>| common(all, &expire.silences)))?;
        return match (whole, region) {
            (Err(refused), Some(region))
                if refused.0.kind == bagua_model::failure::FailureKind::Forbidden =>
            {
                let limited = ExpireSilences {
                    region: Some(region),
                    ..expire
                };
                plan::planned(joined(ExpireSilences::KIND, &limited)).await
            }
            (whole, _) => whole,
        };
    }
    plan::planned(wish).await
}

/// The region that all of these silences are limited to.
fn common(all: &[SilenceView], chosen: &[String]) -> Option<bagua_model::region::RegionId> {
    let mut regions = all
        .iter()
        .filter(|s| chosen.contains(&s.silence))
        .map(|s| region_of(&s.matchers));
    let first = regions.next()??;
    regions.all(|r| r.as_ref() == Some(&first)).then_some(first)
}
