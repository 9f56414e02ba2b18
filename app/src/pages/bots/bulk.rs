//! Bots that are chosen in the fleet, and what can be done with all of them: a form with GET whose ticks stand in the rows, and
//! `/bots/selection`, the operation that comes of it, looked at before it is confirmed.

use crate::asked::asked_by;
use crate::i18n::Ui;
use crate::live::Live;
use crate::pages::plan;
use crate::ui::node::Node;
use crate::ui::submit::Underway;
use crate::ui::ticks::Ticks;
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::BotView;
use bagua_model::bots::bulk::{AT_ONCE, AT_ONCE_MOST, BulkAction, ChangeBots};
use bagua_model::operation::PlanView;
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use bagua_model::verbs::Operation as _;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use leptos_router::params::ParamsMap;

/// Whether the reader may change bots anywhere.
pub fn may() -> bool {
    crate::info().with_value(|info| {
        info.me
            .as_ref()
            .is_some_and(|me| me.may_anywhere(Permission::BotsManage))
    })
}

/// The ticks of the fleet's rows; their form is [`bar`].
pub fn ticks() -> Ticks {
    Ticks::new("bot", "chosen-bots")
}

/// A row's tick. The region goes along: whoever may change bots of one region only says which.
pub fn tick(ui: Ui, ticks: Ticks, bot: &BotView) -> Node {
    let label = ui.tx(keys::UI_BOTS_CHOOSE, &[("name", &bot.username)]);
    ticks.tick(format!("{}@{}", bot.bot, bot.region), label)
}

/// What can be done with the ticked rows.
pub fn bar(ui: Ui, ticks: Ticks) -> Node {
    let choice = |action: BulkAction, words: &'static str| html! { <option value=action.as_str()>{ui.t(words)}</option> };
    html! {
        <form id=ticks.form method="get" action="/bots/selection" class="bulk" aria-label=ui.t(keys::UI_BOTS_BULK)>
            {ticks.all(ui, keys::UI_BOTS_CHOOSE_ALL, (keys::UI_BOTS_CHOSEN_ONE, keys::UI_BOTS_CHOSEN_MANY))}
            <label class="chip"><span>{ui.t(keys::UI_BOTS_BULK_ACTION)}</span>
                <select name="action">
                    {choice(BulkAction::Restart, keys::UI_BOTS_RESTART)}
                    {choice(BulkAction::Stop, keys::UI_BOTS_STOP)}
                    {choice(BulkAction::Start, keys::UI_BOTS_START)}
                </select>
            </label>
            <label class="chip"><span>{ui.t(keys::UI_BOTS_AT_ONCE)}</span><input type="number" name="at_once" min="1" max=AT_ONCE_MOST.to_string() value=AT_ONCE.to_string()/></label>
            <label class="chip"><span>{ui.t(keys::UI_BOTS_MAY_FAIL)}</span><input type="number" name="may_fail" min="0" max="500" value="0"/></label>
            <button class="button small">{ui.t(keys::UI_BOTS_BULK_SEE)}</button>
        </form>
    }
}

/// The operation that an address of `/bots/selection` asks for. What cannot be read becomes what its room refuses with words.
fn wanted(params: &ParamsMap) -> ChangeBots {
    let get = |name: &str| params.get(name).unwrap_or_default();
    let chosen: Vec<(i64, Option<String>)> = params
        .get_all("bot")
        .unwrap_or_default()
        .iter()
        .map(|one| match one.split_once('@') {
            Some((bot, region)) => (bot.parse().unwrap_or(0), Some(region.to_owned())),
            None => (one.parse().unwrap_or(0), None),
        })
        .collect();
    let first = chosen.first().and_then(|(_, region)| region.clone());
    let is_one = chosen.iter().all(|(_, region)| *region == first);
    ChangeBots {
        action: get("action").parse().unwrap_or(BulkAction::Restart),
        bots: chosen.iter().map(|(bot, _)| *bot).collect(),
        region: first.filter(|_| is_one).map(RegionId::new),
        at_once: get("at_once").parse().unwrap_or(0),
        may_fail: get("may_fail").parse().unwrap_or(0),
    }
}

/// `/bots/selection?bot=…@…&bot=…@…&action=…&at_once=…&may_fail=…`.
pub fn selection() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let params = use_location().query;
    // When the reader goes on to another page, the address changes before this page has gone.
    let wish = Memo::new(move |before: Option<&String>| {
        let leaving = params.with(|q| q.get("bot").is_none() && q.get("action").is_none());
        match before.filter(|_| leaving) {
            Some(before) => before.clone(),
            None => {
                let wanted = params.with(wanted);
                format!(
                    "{} {}",
                    ChangeBots::KIND,
                    serde_json::to_string(&wanted).unwrap_or_default()
                )
            }
        }
    });
    let underway = Underway::default();
    let revision = underway.hold(move || live.operations.get());
    let plan = asked_by::<PlanView>(
        move || (wish.get(), revision.get()),
        |_, wish| Box::pin(plan::planned(wish)),
    );
    plan.page(ui, move |view| {
        plan::whole(ui, view, plan::token(), "/bots".to_owned(), underway.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&'static str, &str)]) -> ChangeBots {
        let mut params = ParamsMap::new();
        for (name, value) in query {
            params.insert(*name, (*value).to_owned());
        }
        wanted(&params)
    }

    #[test]
    fn the_region_is_said_when_all_chosen_bots_live_there() {
        let one = read(&[
            ("bot", "7@eu-west-1"),
            ("bot", "8@eu-west-1"),
            ("action", "stop"),
            ("at_once", "2"),
        ]);
        assert_eq!(
            (one.bots, one.action, one.at_once, one.may_fail),
            (vec![7, 8], BulkAction::Stop, 2, 0)
        );
        assert_eq!(one.region.as_ref().map(RegionId::as_str), Some("eu-west-1"));
        let two = read(&[
            ("bot", "7@eu-west-1"),
            ("bot", "8@ap-east-1"),
            ("at_once", "x"),
            ("may_fail", "3"),
        ]);
        assert_eq!((two.region, two.at_once, two.may_fail), (None, 0, 3));
        assert!(read(&[]).bots.is_empty());
    }
}
