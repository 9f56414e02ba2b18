//! The forms about bots. Those that a token is typed into have handlers of their own, because it is sealed before anything
//! else is done with it: it stands in no address, no session and no operation. A rule's has one because its fields are not the operation's.

use super::AppState;
use super::identity::Identity;
use super::pages::page_again;
use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use bagua_app::context::Flash;
use bagua_model::bots::rules::{RuleForm, WriteRule};
use bagua_model::bots::tuning::{MoveBot, TuneBots, Tuning};
use bagua_model::bots::{AddBot, BotMode, ConfigureBot, ReplaceToken, TokenInput};
use bagua_model::failure::Failure;
use bagua_model::operation::PlanView;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Operation;

/// `POST /bots`: to the plan of adding the bot, or back with what was wrong.
pub async fn add(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let operation = AddBot {
        region: place(&fields),
        server: said(&fields, "server"),
        token: TokenInput::new(said(&fields, "token").trim()),
        home: chosen(&fields, "home").next(),
        standby: chosen(&fields, "standby").collect(),
    };
    let back = Back::without_token("/bots", fields);
    plan(state, identity, back, Ok(operation)).await
}

/// `POST /bots/{bot}`: to the plan of replacing its token.
pub async fn replace(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(bot): Path<i64>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let operation = ReplaceToken {
        bot,
        region: place(&fields),
        token: TokenInput::new(said(&fields, "token").trim()),
    };
    let path = format!("/bots/{bot}");
    let back = Back::without_token(&path, fields);
    plan(state, identity, back, Ok(operation)).await
}

/// `POST /bots/{bot}/rules`: to the plan of writing a rule.
pub async fn write_rule(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(bot): Path<i64>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let said = |name: &str| said(&fields, name);
    // 0 is a new rule.
    let rule: i64 = said("rule").parse().unwrap_or_default();
    let form = format!("/bots/{bot}/rules");
    // A rule that is looked at stays in the address of a form that comes back.
    let path = match rule {
        0 => form.clone(),
        rule => format!("{form}?rule={rule}"),
    };
    let operation = RuleForm::read(said).rule().map(|says| WriteRule {
        bot,
        region: RegionId::new(said("place")),
        rule,
        version: said("version").parse().unwrap_or_default(),
        says,
    });
    let back = Back {
        path: &path,
        form: &form[1..],
        values: fields,
    };
    plan(state, identity, back, operation).await
}

/// `POST /bots/{bot}/settings`: to the plan of setting how updates come and which, or where it runs. Both forms of the page come to its own
/// address, so that one that cannot be used comes back on it.
pub async fn set(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(bot): Path<i64>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let path = format!("/bots/{bot}/settings");
    if said(&fields, "form") == "place" {
        let operation = placed(bot, &fields);
        let back = Back {
            path: &path,
            form: &format!("bots/{bot}/place"),
            values: fields,
        };
        return plan(state, identity, back, Ok(operation)).await;
    }
    let operation = settings(bot, &fields);
    let back = Back {
        path: &path,
        form: &path[1..],
        values: fields,
    };
    plan(state, identity, back, operation).await
}

fn placed(bot: i64, fields: &[(String, String)]) -> MoveBot {
    let region = place(fields);
    MoveBot {
        bot,
        home: chosen(fields, "home").next().unwrap_or_else(|| region.clone()),
        standby: chosen(fields, "standby").collect(),
        region,
    }
}

fn settings(bot: i64, fields: &[(String, String)]) -> Result<ConfigureBot, Failure> {
    let mode: BotMode = said(fields, "mode")
        .parse()
        .map_err(|_| Failure::field("mode", Text::new(keys::BOT_MODE_NONE)))?;
    let kinds = fields.iter().filter(|(field, _)| field == "kind");
    let update_kinds: Vec<String> = kinds.map(|(_, kind)| kind.clone()).collect();
    let chosen = said(fields, "which") == "chosen";
    // An operation without kinds asks for the usual ones, which is not what was ticked.
    if chosen && update_kinds.is_empty() {
        return Err(Failure::field("update_kinds", Text::new(keys::BOT_KINDS_NONE)));
    }
    Ok(ConfigureBot {
        bot,
        region: place(fields),
        mode,
        update_kinds: if chosen { update_kinds } else { Vec::new() },
    })
}

/// `POST /bots/tuning`: to the plan of setting how the processes of a region work.
pub async fn tune(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let region = place(&fields);
    let operation = tuning(&fields).map(|tuning| TuneBots {
        region: region.clone(),
        tuning,
    });
    let back = Back {
        path: "/bots/tuning",
        form: &format!("bots/tuning/{region}"),
        values: fields,
    };
    plan(state, identity, back, operation).await
}

/// A field that is not there is as usual; one that is no number is refused where it stands.
fn tuning(fields: &[(String, String)]) -> Result<Tuning, Failure> {
    let mut tuning = Tuning::default();
    for knob in Tuning::KNOBS {
        let Some((_, typed)) = fields.iter().find(|(field, _)| field == knob.name) else {
            continue;
        };
        let value = typed.trim().parse().map_err(|_| {
            let text = Text::new(keys::BOTS_KNOB_RANGE)
                .with("least", knob.least)
                .with("most", knob.most);
            Failure::field(knob.name, text)
        })?;
        tuning.set(knob.name, value);
    }
    Ok(tuning)
}

/// The region of the data. Its field is not called `region`: in an address that is the scope of the whole console.
fn place(fields: &[(String, String)]) -> RegionId {
    RegionId::new(said(fields, "place"))
}

/// The regions that were chosen in the fields of a name; an empty one is none.
fn chosen(fields: &[(String, String)], name: &'static str) -> impl Iterator<Item = RegionId> {
    let fields = fields
        .iter()
        .filter(move |(field, value)| field == name && !value.is_empty());
    fields.map(|(_, value)| RegionId::new(value.as_str()))
}

/// What stands in a field; nothing where there is none.
fn said(fields: &[(String, String)], name: &str) -> String {
    let field = fields.iter().find(|(field, _)| field == name);
    field.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// Where a form that cannot be used comes back, and with what.
struct Back<'a> {
    path: &'a str,
    form: &'a str,
    values: Vec<(String, String)>,
}

impl<'a> Back<'a> {
    /// A form with a token comes back without it: whoever typed it wrong types it again.
    fn without_token(path: &'a str, mut values: Vec<(String, String)>) -> Back<'a> {
        values.retain(|(name, _)| name != "token");
        Back {
            path,
            form: &path[1..],
            values,
        }
    }
}

async fn plan<O: Operation>(
    state: AppState,
    identity: Identity,
    back: Back<'_>,
    operation: Result<O, Failure>,
) -> Response {
    let path = back.path;
    let Some(actor) = identity.actor() else {
        return Redirect::to(&format!("/sign-in?next={path}")).into_response();
    };
    let input =
        operation.and_then(|operation| serde_json::to_value(operation).map_err(|_| Failure::internal()));
    let planned = match (identity.read_only(), input) {
        (Some(failure), _) | (None, Err(failure)) => Err(failure),
        (None, Ok(input)) => state.console.plan_json(&actor, O::KIND, input).await,
    };
    match planned {
        Ok(PlanView { input, .. }) => {
            // Sealed by now.
            let input = input.to_string();
            let query = [("kind", O::KIND), ("input", &input), ("back", path)];
            let query = serde_urlencoded::to_string(query).unwrap_or_default();
            Redirect::to(&format!("/operations/new?{query}")).into_response()
        }
        Err(failure) => {
            let flash = Flash {
                form: back.form.to_owned(),
                values: back.values,
                failure: Some(failure),
            };
            page_again(state, identity, path, flash).await
        }
    }
}
