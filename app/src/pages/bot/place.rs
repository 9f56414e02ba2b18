//! Where a bot runs: its home, and the regions that stand by.

use crate::context::Flash;
use crate::i18n::Ui;
use crate::ui::empty;
use crate::ui::form::{refusal, refused};
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::BotView;
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use leptos::prelude::*;

/// So many fields for regions that stand by are offered; more when more are set.
const OFFERED: usize = 3;

/// Home and standbys to choose from; `chosen` holds the home first. `with_data` offers where the data is as a home, whichever region that is.
pub fn fields(ui: Ui, regions: &[RegionId], chosen: &[String], with_data: bool) -> Node {
    let select = |name: &'static str, words: String, chosen: &str, none: Option<&'static str>| {
        let nobody =
            none.map(|words| html! { <option value="" selected=chosen.is_empty()>{ui.t(words)}</option> });
        let choices = regions
            .iter()
            .map(|region| {
                let code = region.as_str();
                html! { <option value=code.to_owned() selected=code == chosen>{ui.region(code)}</option> }
            })
            .collect::<Node>();
        html! { <label class="field"><span>{words}</span><select name=name>{nobody}{choices}</select></label> }
    };
    let of = |place: usize| chosen.get(place).map(String::as_str).unwrap_or_default();
    let offered = OFFERED
        .max(chosen.len().saturating_sub(1))
        .min(regions.len().saturating_sub(1));
    let standby = (1..=offered)
        .map(|n| {
            let words = ui.tx(keys::UI_BOTS_PLACE_STANDBY, &[("n", &n)]);
            select("standby", words, of(n), Some(keys::UI_BOTS_PLACE_NOBODY))
        })
        .collect::<Node>();
    html! {
        {select("home", ui.t(keys::UI_BOTS_PLACE_HOME).to_owned(), of(0), with_data.then_some(keys::UI_BOTS_PLACE_WITH_DATA))}
        {standby}
    }
}

/// What was typed into the fields, home first.
pub fn typed(flash: &Flash) -> Vec<String> {
    let of = |name: &'static str| {
        let fields = flash.values.iter().filter(move |(field, _)| field == name);
        fields.map(|(_, value)| value.clone())
    };
    of("home").chain(of("standby")).collect()
}

/// Where it runs, and the form that changes that.
pub fn form(ui: Ui, bot: &BotView, flash: Option<&Flash>) -> Node {
    let set = || bot.regions.iter().map(ToString::to_string).collect();
    let chosen = flash.map_or_else(set, typed);
    let (reason, regions) = crate::info().with_value(|info| {
        (
            refused(ui, info, Permission::BotsManage, Some(&bot.region)),
            info.regions.clone(),
        )
    });
    let now = bot.runs_in.as_ref().map(|place| {
        let region = ui.region(place.as_str());
        html! { <p>{ui.tx(keys::UI_BOTS_PLACE_NOW, &[("region", &region)])}</p> }
    });
    let data = ui.tx(
        keys::UI_BOTS_PLACE_DATA,
        &[("region", &ui.region(bot.region.as_str()))],
    );
    let change = match reason {
        Some(reason) => empty(ui.t(keys::UI_BOTS_SET_CHANGE), reason),
        None => html! {
            {refusal(ui, flash)}
            <form method="post" action=format!("/bots/{}/settings", bot.bot) class="token-form">
                <input type="hidden" name="form" value="place"/>
                <input type="hidden" name="place" value=bot.region.as_str().to_owned()/>
                {fields(ui, &regions, &chosen, false)}
                <button class="button primary">{ui.t(keys::UI_BOTS_SET_PREVIEW)}</button>
            </form>
        },
    };
    html! {
        <section class="card" id="place">
            <h2>{ui.t(keys::UI_BOTS_PLACE)}</h2>
            {now}
            <p class="field-help">{data}</p>
            {change}
        </section>
    }
}
