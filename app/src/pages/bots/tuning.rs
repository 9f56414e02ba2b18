//! `/bots/tuning`: how the processes that own bots work, by region, beside what they measure.

use crate::asked::asked;
use crate::context::Flash;
use crate::i18n::Ui;
use crate::live::Live;
use crate::pages::query;
use crate::ui::figures::bytes;
use crate::ui::form::{flash_of, refusal, refused};
use crate::ui::node::Node;
use crate::ui::table::table;
use crate::ui::{age, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::tuning::{CacheFigures, GetTuning, Knob, RegionTuning, RunnerView, Tuning};
use bagua_model::region::RegionId;
use bagua_model::text::{grouped, keys};
use leptos::prelude::*;

/// `/bots/tuning`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let region = query("region");
    let list = asked(move || {
        let region = Some(region.get()).filter(|r| !r.is_empty()).map(RegionId::new);
        (GetTuning { region }, live.bots.get())
    });
    html! {
        {title(ui.t(keys::UI_BOTS_TUNING))}
        <div class="page-head">
            <div>
                <h1>{ui.t(keys::UI_BOTS_TUNING)}</h1>
                <p class="page-state">{ui.t(keys::UI_BOTS_TUNING_UNDER)}</p>
            </div>
        </div>
        {list.show(ui, move |regions| regions.iter().map(|region| one(ui, region)).collect::<Node>())}
    }
}

fn one(ui: Ui, region: &RegionTuning) -> Node {
    let flash = crate::info().with_value(|info| flash_of(info, &format!("bots/tuning/{}", region.region)));
    let body = if region.away {
        html! {
            <p class="notice warning"><i class="mark unknown" aria-hidden="true"></i>{ui.t(keys::UI_BOTS_TUNING_AWAY)}</p>
        }
    } else {
        html! {
            {runners(ui, region)}
            {form(ui, region, flash.as_ref())}
        }
    };
    let version = match region.changed_at {
        None => ui.t(keys::UI_BOTS_TUNING_USUAL).to_owned(),
        Some(at) => {
            let words = ui.tx(
                keys::UI_BOTS_TUNING_VERSION,
                &[("n", &region.version), ("at", &ui.local(at))],
            );
            let knobs = Tuning::KNOBS.iter();
            let set: Vec<String> = knobs.filter_map(|knob| unusual(ui, region, knob)).collect();
            match set.is_empty() {
                true => format!("{words}: {}", ui.t(keys::UI_BOTS_TUNING_USUAL)),
                false => format!("{words}: {}", set.join(", ")),
            }
        }
    };
    html! {
        <section class="card" id=format!("tuning-{}", region.region)>
            <h2>{ui.region(region.region.as_str())}</h2>
            {(!region.away).then(|| html! { <p class="field-help">{version}</p> })}
            {body}
        </section>
    }
}

/// A value that is not the usual one, with its name.
fn unusual(ui: Ui, region: &RegionTuning, knob: &Knob) -> Option<String> {
    let set = region.tuning.get(knob.name)?;
    let name = ui.key(&format!("bots.knob.{}", knob.name));
    (Tuning::default().get(knob.name) != Some(set)).then(|| format!("{name} {set}"))
}

/// Which part of the look-ups found something, and how much is held.
fn ratio(ui: Ui, cache: &CacheFigures) -> Node {
    let found = match cache.ratio() {
        Some(ratio) => format!("{:.1} %", ratio * 100.0),
        None => "–".to_owned(),
    };
    let held = cache.entries.map(|n| {
        let n = grouped(&n.to_string()).into_owned();
        html! { <div class="muted">{ui.tx(keys::UI_BOTS_TUNING_ENTRIES, &[("n", &n)])}</div> }
    });
    html! { {found}{held} }
}

fn runners(ui: Ui, region: &RegionTuning) -> Node {
    let mut nobody = None;
    if !region.runners.iter().any(|runner| runner.region == region.region) {
        nobody = Some(html! {
            <p class="notice warning"><i class="mark warning" aria-hidden="true"></i>{ui.t(keys::UI_BOTS_TUNING_NOBODY)}</p>
        });
    }
    if region.runners.is_empty() {
        return nobody.unwrap_or_else(|| ().into());
    }
    // Others stand ready; they have nothing to measure before they are needed.
    let works = |runner: &&RunnerView| runner.figures.open > 0 || runner.region == region.region;
    let ready: Vec<String> = region
        .runners
        .iter()
        .filter(|runner| !works(runner))
        .map(|runner| ui.region(runner.region.as_str()))
        .collect();
    let ready = (!ready.is_empty()).then(|| {
        let words = ui.tx(keys::UI_BOTS_TUNING_READY, &[("regions", &ready.join(", "))]);
        html! { <p class="field-help">{words}</p> }
    });
    let rows = region
        .runners
        .iter()
        .filter(works)
        .map(|runner| runner_row(ui, region, runner))
        .collect::<Node>();
    let columns = [
        (keys::UI_BOTS_TUNING_PROCESS, false),
        (keys::UI_BOTS_TUNING_OWNS, true),
        (keys::UI_BOTS_TUNING_POOL, true),
        (keys::UI_BOTS_TUNING_GROUP, true),
        (keys::UI_BOTS_TUNING_WAITING, true),
        (keys::UI_BOTS_TUNING_KEYS, true),
        (keys::UI_BOTS_TUNING_REDIS, true),
    ];
    let label = format!(
        "{} · {}",
        ui.t(keys::UI_BOTS_TUNING_PROCESS),
        ui.region(region.region.as_str())
    );
    html! {
        {nobody}
        {table(ui, label, &columns, rows)}
        {ready}
    }
}

fn runner_row(ui: Ui, region: &RegionTuning, runner: &RunnerView) -> Node {
    let figures = &runner.figures;
    let name = runner
        .owner
        .rsplit('/')
        .next()
        .unwrap_or(&runner.owner)
        .to_owned();
    let elsewhere = runner.region != region.region;
    let under = elsewhere.then(|| html! { <div class="muted">{ui.region(runner.region.as_str())}</div> });
    let behind = (figures.open > 0 && figures.tuning != region.version).then(|| {
        let words = ui.tx(keys::UI_BOTS_TUNING_BEHIND, &[("n", &figures.tuning)]);
        html! { <div class="state warning"><i class="mark warning" aria-hidden="true"></i>{words}</div> }
    });
    let group = figures
        .group
        .map_or_else(|| "–".to_owned(), |mean| format!("{mean:.1}"));
    let redis = figures.redis.as_ref().map(|cache| ratio(ui, cache));
    html! {
        <tr>
            <th scope="row"><code title=runner.owner.clone()>{name}</code>{under}{behind}<div class="muted">{age(ui, runner.seen_at)}</div></th>
            <td class="num">{figures.bots.to_string()}</td>
            <td class="num">{format!("{} / {}", figures.busy, figures.open)}</td>
            <td class="num">{group}</td>
            <td class="num">{bytes(figures.waiting as f64)}</td>
            <td class="num">{ratio(ui, &figures.keys)}</td>
            <td class="num">{redis.unwrap_or_else(|| "–".into())}</td>
        </tr>
    }
}

fn form(ui: Ui, region: &RegionTuning, flash: Option<&Flash>) -> Node {
    let reason =
        crate::info().with_value(|info| refused(ui, info, Permission::BotsManage, Some(&region.region)));
    let field = |knob: &Knob| {
        let set = region.tuning.get(knob.name).unwrap_or_default();
        let value = flash
            .and_then(|flash| flash.value(knob.name))
            .map_or_else(|| set.to_string(), str::to_owned);
        let help = ui.key(&format!("bots.knob-help.{}", knob.name));
        let limits = ui.tx(
            keys::UI_BOTS_TUNING_LIMITS,
            &[("least", &knob.least), ("most", &knob.most)],
        );
        html! {
            <label class="field">
                <span>{ui.key(&format!("bots.knob.{}", knob.name))}</span>
                <input type="number" inputmode="numeric" name=knob.name value=value min=knob.least.to_string() max=knob.most.to_string() title=help disabled=reason.is_some()/>
                <span class="muted">{limits}</span>
            </label>
        }
    };
    let fields = Tuning::KNOBS.iter().map(field).collect::<Node>();
    let act: Node = match &reason {
        Some(reason) => html! { <p class="muted">{reason.clone()}</p> },
        None => html! { <button class="button primary">{ui.t(keys::UI_BOTS_TUNING_PREVIEW)}</button> },
    };
    html! {
        <details open=flash.is_some()>
            <summary>{ui.t(keys::UI_BOTS_SET_CHANGE)}</summary>
            {refusal(ui, flash)}
            <form method="post" action="/bots/tuning" class="token-form">
                <input type="hidden" name="place" value=region.region.as_str().to_owned()/>
                {fields}
                {act}
            </form>
        </details>
    }
}
