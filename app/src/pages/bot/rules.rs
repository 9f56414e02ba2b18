//! `/bots/{bot}/rules`: what is done with what a bot receives: in order, in words, tried before it goes live.
//!
//! One form with two ways out: trying it asks by the address, so that a trial is a link; putting it live goes to the plan.

use super::tabs::tabs;
use crate::asked::asked;
use crate::context::Flash;
use crate::i18n::Ui;
use crate::live::Live;
use crate::pages::{param, query};
use crate::ui::form::{action, flash_of, plan_href, refused};
use crate::ui::node::Node;
use crate::ui::table::table;
use crate::ui::{age, empty, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::rules::{
    ListRuleVersions, ListRules, OrderRules, RemoveRule, RuleForm, RuleInput, RuleView, RulesView,
    TRIAL_MOST, Trial, TryRule, WriteRule,
};
use bagua_model::text::{Text, keys};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

mod editor;

/// `/bots/:bot/rules`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let id = param("bot");
    let bot = move || id.get().parse::<i64>().unwrap_or(0);
    let (chosen, trying) = (query("rule"), query("try"));
    let address = use_query_map();
    let form = format!("bots/{}/rules", id.get_untracked());
    let flash = crate::info().with_value(|info| flash_of(info, &form));
    let list = asked(move || (ListRules { bot: bot() }, live.bots.get()));
    let typed = move || address.with(|map| RuleForm::read(|name| map.get(name).unwrap_or_default()));
    let trial = Node::follows(move || {
        if trying.get() != "1" {
            return ().into();
        }
        let rule = match typed().rule() {
            Ok(rule) => rule,
            Err(failure) => return crate::ui::failed(ui, &crate::rpc::AppError(failure)),
        };
        let bot = bot();
        // Asked once: each trial is one line of the audit log.
        let found = asked(move || {
            let rule = rule.clone();
            let most = TRIAL_MOST;
            (TryRule { bot, rule, most }, 0)
        });
        html! {
            <section class="card" id="trial">
                <h2>{ui.t(keys::UI_RULES_TRIAL)}</h2>
                {found.show(ui, move |trial| tried(ui, trial))}
                <p class="field-help">{ui.t(keys::UI_RULES_TRIAL_AUDITED)}</p>
            </section>
        }
    });
    let versions = Node::follows(move || {
        let Ok(rule) = chosen.get().parse::<i64>() else {
            return ().into();
        };
        let bot = bot();
        let past = asked(move || (ListRuleVersions { bot, rule }, live.bots.get()));
        past.show(ui, move |past| history(ui, past))
    });
    html! {
        {Node::follows(move || tabs(ui, &id.get(), "/rules"))}
        {list.page(ui, move |view| {
            let changed = chosen.get().parse::<i64>().ok();
            let typed = (trying.get() == "1").then(typed);
            whole(ui, bot(), view, changed, typed, flash.as_ref())
        })}
        {trial}
        {versions}
    }
}

fn whole(
    ui: Ui,
    bot: i64,
    view: &RulesView,
    chosen: Option<i64>,
    typed: Option<RuleForm>,
    flash: Option<&Flash>,
) -> Node {
    let reason =
        crate::info().with_value(|info| refused(ui, info, Permission::BotsManage, Some(&view.region)));
    let may = reason.is_none();
    let rows = view
        .rules
        .iter()
        .enumerate()
        .map(|(place, rule)| row(ui, bot, view, place, rule, reason.as_ref()))
        .collect::<Node>();
    let changed = view.rules.iter().find(|rule| Some(rule.rule) == chosen);
    let form = may.then(|| editor::editor(ui, bot, view, changed, typed, flash));
    let next = if may { ui.t(keys::UI_RULES_NONE_HELP) } else { "" };
    html! {
        {title(format!("@{} · {}", view.username, ui.t(keys::UI_BOTS_TAB_RULES)))}
        <div class="page-head">
            <div>
                <h1>{format!("@{} · {}", view.username, ui.t(keys::UI_BOTS_TAB_RULES))}</h1>
                <p class="page-state">{ui.t(keys::UI_RULES_ABOUT)}</p>
            </div>
        </div>
        <section class="card">
            {if view.rules.is_empty() {
                empty(ui.t(keys::UI_RULES_NONE), next)
            } else {
                html! { <ol class="rows rules">{rows}</ol> }
            }}
        </section>
        {form}
    }
}

/// What a rule says, a line each.
fn lines(ui: Ui, all: &[Text]) -> Node {
    all.iter()
        .map(|line| html! { <span class="row-sub wrap">{ui.text(line)}</span> })
        .collect::<Node>()
}

fn row(ui: Ui, bot: i64, view: &RulesView, place: usize, rule: &RuleView, reason: Option<&String>) -> Node {
    let back = format!("/bots/{bot}/rules");
    let (class, words, switch) = if rule.says.enabled {
        ("healthy", keys::UI_RULES_IS_ON, keys::UI_RULES_OFF)
    } else {
        ("stopped", keys::UI_RULES_IS_OFF, keys::UI_RULES_ON)
    };
    let region = view.region.clone();
    let to = |href: String, words: &'static str| action(ui.t(words), href, "small", reason.cloned());
    let switched = WriteRule {
        bot,
        region: region.clone(),
        rule: rule.rule,
        version: rule.version,
        says: RuleInput {
            enabled: !rule.says.enabled,
            ..rule.says.clone()
        },
    };
    let removed = RemoveRule {
        bot,
        region: region.clone(),
        rule: rule.rule,
        version: rule.version,
    };
    let moved = |from: usize, to: usize| {
        let mut rules: Vec<i64> = view.rules.iter().map(|rule| rule.rule).collect();
        rules.swap(from, to);
        let region = region.clone();
        plan_href(&OrderRules { bot, region, rules }, &back)
    };
    html! {
        <li class="row">
            <span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.t(words)}</span>
            <span class="row-main">
                <a href=format!("{back}?rule={}", rule.rule)>{rule.says.title.clone()}</a>
                <span class="row-sub">{ui.tx(keys::UI_RULES_VERSION, &[("n", &rule.version)])} " · " {age(ui, rule.changed_at)}</span>
                {lines(ui, &rule.says.lines())}
            </span>
            <span class="actions" role="group" aria-label=rule.says.title.clone()>
                {(place > 0).then(|| to(moved(place, place - 1), keys::UI_RULES_UP))}
                {(place + 1 < view.rules.len()).then(|| to(moved(place, place + 1), keys::UI_RULES_DOWN))}
                {to(plan_href(&switched, &back), switch)}
                {to(plan_href(&removed, &back), keys::UI_RULES_REMOVE)}
            </span>
        </li>
    }
}

fn tried(ui: Ui, trial: &Trial) -> Node {
    if trial.looked == 0 && trial.unreadable == 0 {
        return empty(ui.t(keys::UI_RULES_TRIAL_NONE), "");
    }
    let found = ui.tx(
        keys::UI_RULES_TRIAL_FOUND,
        &[("matched", &trial.matched), ("looked", &trial.looked)],
    );
    let rows = trial
        .samples
        .iter()
        .map(|sample| {
            html! {
                <tr>
                    <td class="num">{sample.update}</td>
                    <td><code>{sample.kind.clone()}</code></td>
                    <td>{sample.effects.join(", ")}</td>
                    <td class="num">{age(ui, sample.received_at)}</td>
                </tr>
            }
        })
        .collect::<Node>();
    let table = (!trial.samples.is_empty()).then(|| {
        table(
            ui,
            ui.t(keys::UI_RULES_TRIAL),
            &[
                (keys::UI_BOTS_COLUMN_NUMBER, true),
                (keys::UI_BOTS_COLUMN_KIND, false),
                (keys::UI_RULES_EFFECTS, false),
                (keys::UI_BOTS_COLUMN_RECEIVED, true),
            ],
            rows,
        )
    });
    let unreadable = (trial.unreadable > 0)
        .then(|| html! { <p>{ui.tx(keys::UI_RULES_TRIAL_UNREADABLE, &[("n", &trial.unreadable)])}</p> });
    html! { <p role="status"><strong>{found}</strong></p> {unreadable} {table} }
}

fn history(ui: Ui, past: &[RuleView]) -> Node {
    let name = past
        .first()
        .map(|rule| rule.says.title.clone())
        .unwrap_or_default();
    let rows = past
        .iter()
        .map(|rule| {
            html! {
                <li class="row">
                    <span class="row-main">
                        {ui.tx(keys::UI_RULES_VERSION, &[("n", &rule.version)])}
                        {lines(ui, &rule.says.lines())}
                    </span>
                    <span class="row-age num">{age(ui, rule.changed_at)}</span>
                </li>
            }
        })
        .collect::<Node>();
    html! {
        <section class="card" id="versions">
            <h2>{ui.tx(keys::UI_RULES_VERSIONS, &[("title", &name)])}</h2>
            <ul class="rows">{rows}</ul>
        </section>
    }
}
