//! API tokens: what programs carry that act for a person. A new one is looked at before it is made, and shown once.
//!
//! Both forms are plain ones, with script and without: the secret is made on the server and comes with the page that
//! answers, so there is one way for it, and it is never in an address.

use super::plan::plan_lines;
use super::query;
use crate::asked::{Payload, asked, asked_by};
use crate::context::Flash;
use crate::i18n::Ui;
use crate::live::Live;
use crate::rpc::{Answered, AppError};
use crate::ui::form::{flash_of, plan_href, refusal};
use crate::ui::node::Node;
use crate::ui::{age, empty, failed, title};
use bagua_markup::html;
use bagua_model::access::{Permission, Role, scope_argument};
use bagua_model::operation::PlanView;
use bagua_model::region::{RegionId, Scope};
use bagua_model::text::{Text, keys};
use bagua_model::tokens::{
    CreateToken, ListTokens, RevokeToken, TOKEN_DAYS, TokenAccess, TokenLimit, TokenState, TokenView,
};
use bagua_model::verbs::Operation as _;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

const PATH: &str = "/access/tokens";
/// The lives that the form offers, in days.
const DAYS: [u32; 5] = [7, 30, TOKEN_DAYS, 180, 365];

/// What stands in the form, as text.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Typed {
    name: String,
    access: String,
    permissions: Vec<String>,
    role: String,
    region: String,
    days: String,
}

impl Typed {
    fn of_flash(flash: &Flash) -> Typed {
        let value = |name| flash.value(name).unwrap_or_default().to_owned();
        Typed {
            name: value("name"),
            access: value("access"),
            permissions: value("permissions").split(',').map(str::to_owned).collect(),
            role: value("role"),
            region: value("region"),
            days: value("days"),
        }
    }

    /// What is ticked counts with the access that it belongs to only.
    fn listed(&self) -> Vec<Permission> {
        let listed = self.access.parse() == Ok(TokenAccess::Listed);
        let chosen = self.permissions.iter().filter(|_| listed);
        chosen.filter_map(|permission| permission.parse().ok()).collect()
    }

    fn operation(&self) -> CreateToken {
        CreateToken {
            name: self.name.clone(),
            role: self.role.parse().ok(),
            access: self.access.parse().unwrap_or_default(),
            permissions: self.listed(),
            scope: Scope {
                environment: None,
                region: Some(self.region.as_str())
                    .filter(|r| !r.is_empty())
                    .map(RegionId::new),
            },
            days: self.days.parse().unwrap_or(TOKEN_DAYS),
            token_hash: String::new(),
        }
    }
}

/// What the wish in the address would make; nothing while there is none.
#[derive(Clone, Serialize, Deserialize)]
struct Preview {
    typed: Typed,
    answer: Option<Answered<Payload>>,
}

async fn preview(typed: String) -> Answered<Payload> {
    let typed: Typed = serde_json::from_str(&typed).unwrap_or_default();
    let answer = if typed.name.is_empty() {
        None
    } else {
        let input = serde_json::to_value(typed.operation()).unwrap_or_default();
        Some(crate::rpc::plan(CreateToken::KIND, input).await)
    };
    Ok(Payload::typed(Preview { typed, answer }))
}

/// `/access/tokens`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let flash = crate::info().with_value(|info| flash_of(info, &PATH[1..]));
    // Shown this one time, also when the reader comes back to this page without loading it anew.
    crate::info().update_value(|info| info.flash = None);
    let (name, access, role) = (query("name"), query("access"), query("role"));
    // Not `region`: in an address that is the scope of the whole console.
    let (region, days, all) = (query("place"), query("days"), query("all"));
    let address = use_query_map();
    let came_back = flash
        .as_ref()
        .filter(|f| f.failure.is_some())
        .map(Typed::of_flash);
    let typed = move || {
        came_back.clone().unwrap_or_else(|| Typed {
            name: name.get(),
            access: access.get(),
            permissions: address.with(|query| query.get_all("permission").unwrap_or_default()),
            role: role.get(),
            region: region.get(),
            days: days.get(),
        })
    };
    let (shown, wanted) = (typed.clone(), typed);
    let preview = asked_by::<Preview>(
        move || (serde_json::to_string(&wanted()).unwrap_or_default(), 0),
        |_, typed| Box::pin(preview(typed)),
    );
    let list = asked(move || {
        let query = ListTokens {
            person: None,
            all: all.get() == "true",
        };
        (query, live.access.get())
    });
    let token = submission_token();
    let may_see_all = crate::info().with_value(|info| {
        info.me
            .as_ref()
            .is_some_and(|me| me.may(Permission::PeopleRead, &Scope::ANY))
    });
    let whose = Node::follows(move || {
        let (words, href) = if all.get() == "true" {
            (keys::UI_TOKENS_OWN, PATH.to_owned())
        } else {
            (keys::UI_TOKENS_ALL, format!("{PATH}?all=true"))
        };
        html! { <a href=href>{ui.t(words)}</a> }
    });
    let secret = flash.as_ref().and_then(|f| f.value("secret").map(str::to_owned));
    html! {
        {title(ui.t(keys::UI_TOKENS_TITLE))}
        <div class="page-head"><h1>{ui.t(keys::UI_TOKENS_TITLE)}</h1></div>
        {secret.map(|secret| made(ui, flash.as_ref().and_then(|f| f.value("name")).unwrap_or_default(), secret))}
        <section class="card">
            <h2>{ui.t(keys::UI_TOKENS_NEW)}</h2>
            <p class="field-help">{ui.t(keys::UI_TOKENS_INTRO)}</p>
            {refusal(ui, flash.as_ref())}
            {Node::follows(move || form(ui, &shown()))}
            {preview.show(ui, move |preview| would_make(ui, preview, token.as_deref()))}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_TOKENS_LIST)}</h2>
            {may_see_all.then(|| html! { <p>{whose}</p> })}
            {list.show(ui, move |list| {
                if list.is_empty() { empty(ui.t(keys::UI_TOKENS_NONE), "") } else { table(ui, list) }
            })}
        </section>
    }
}

/// Makes the same form posted twice the same submission.
fn submission_token() -> Option<String> {
    super::plan::token().map(|token| token.to_string())
}

/// The secret, this one time.
fn made(ui: Ui, name: &str, secret: String) -> Node {
    let command = "export BAGUA_URL=… BAGUA_TOKEN=…\nbagua alerts list";
    html! {
        <section class="card token-made" role="status">
            <p class="notice info"><i class="mark info" aria-hidden="true"></i>{ui.tx(keys::UI_TOKENS_MADE, &[("name", &name)])}</p>
            <div class="field">
                <label for="token-secret">{ui.t(keys::UI_TOKENS_SECRET)}</label>
                <div class="actions">
                    <input id="token-secret" class="secret" readonly value=secret.clone() autocomplete="off" spellcheck="false"/>
                    {copy(ui, secret)}
                </div>
            </div>
            <p class="field-help">{ui.t(keys::UI_TOKENS_USE)}</p>
            <pre><code>{command}</code></pre>
        </section>
    }
}

/// The button that puts the secret onto the clipboard; where that is not allowed (plain HTTP), it selects the text.
fn copy(ui: Ui, secret: String) -> Node {
    let done = ArcRwSignal::new(false);
    let copied = done.clone();
    let press = move |_: leptos::ev::Event| {
        #[cfg(feature = "hydrate")]
        copy_to_clipboard(secret.clone(), done.clone());
        #[cfg(not(feature = "hydrate"))]
        let _ = (&secret, &done);
    };
    let words = Node::follows(move || {
        let key = if copied.get() {
            keys::UI_TOKENS_COPIED
        } else {
            keys::UI_TOKENS_COPY
        };
        ui.t(key).into()
    });
    html! { <button type="button" class="button with-script" on:click=press>{words}</button> }
}

#[cfg(feature = "hydrate")]
fn copy_to_clipboard(secret: String, done: ArcRwSignal<bool>) {
    use wasm_bindgen::JsCast;
    let field = document()
        .get_element_by_id("token-secret")
        .and_then(|e| e.dyn_into::<web_sys::HtmlInputElement>().ok());
    if let Some(field) = field {
        field.select();
    }
    if !window().is_secure_context() {
        return;
    }
    let written = window().navigator().clipboard().write_text(&secret);
    leptos::task::spawn_local(async move {
        done.set(wasm_bindgen_futures::JsFuture::from(written).await.is_ok());
    });
}

fn choice(value: String, words: String, chosen: &str) -> Node {
    html! { <option value=value.clone() selected=value == chosen>{words}</option> }
}

/// What the reader may choose.
fn form(ui: Ui, typed: &Typed) -> Node {
    let regions = crate::info().with_value(|info| info.regions.clone());
    let access = [
        TokenAccess::ReadOnly,
        TokenAccess::Listed,
        TokenAccess::Everything,
    ]
    .iter()
    .map(|a| choice(a.to_string(), ui.key(&format!("token.access.{a}")), &typed.access))
    .collect::<Node>();
    let roles = Role::ALL
        .iter()
        .map(|r| choice(r.to_string(), ui.key(&format!("role.{r}")), &typed.role))
        .collect::<Node>();
    let regions = regions
        .iter()
        .map(|r| choice(r.to_string(), ui.region(r.as_str()), &typed.region))
        .collect::<Node>();
    let chosen = if typed.days.is_empty() {
        TOKEN_DAYS.to_string()
    } else {
        typed.days.clone()
    };
    let days = DAYS
        .iter()
        .map(|n| choice(n.to_string(), ui.tx(keys::UI_TOKENS_DAYS_N, &[("n", n)]), &chosen))
        .collect::<Node>();
    html! {
        <form method="get" action=PATH class="token-form">
            <label class="field wide">
                <span>{ui.t(keys::UI_TOKENS_NAME)}</span>
                <input type="text" name="name" value=typed.name.clone() required maxlength="120" autocomplete="off"/>
            </label>
            <label class="field"><span>{ui.t(keys::UI_TOKENS_ACCESS)}</span><select name="access">{access}</select></label>
            <label class="field">
                <span>{ui.t(keys::UI_TOKENS_ROLE)}</span>
                <select name="role"><option value="">{ui.t(keys::UI_TOKENS_AS_MYSELF)}</option>{roles}</select>
            </label>
            <label class="field">
                <span>{ui.t(keys::UI_TOKENS_REGION)}</span>
                <select name="place"><option value="">{ui.t(keys::UI_TOKENS_EVERYWHERE)}</option>{regions}</select>
            </label>
            <label class="field"><span>{ui.t(keys::UI_TOKENS_DAYS)}</span><select name="days">{days}</select></label>
            {permissions(ui, typed)}
            <button class="button">{ui.t(keys::UI_TOKENS_PREVIEW)}</button>
        </form>
    }
}

fn joined(permissions: &[Permission]) -> String {
    let names: Vec<String> = permissions.iter().map(Permission::to_string).collect();
    names.join(",")
}

/// The permissions that the reader could list: those that they have anywhere.
fn permissions(ui: Ui, typed: &Typed) -> Node {
    let boxes = crate::info().with_value(|info| {
        let mine = |p: &&Permission| {
            **p != Permission::OperationsBreakGlass && info.me.as_ref().is_some_and(|me| me.may_anywhere(**p))
        };
        Permission::ALL
            .iter()
            .filter(mine)
            .map(|p| {
                let name = p.to_string();
                html! {
                    <label class="check">
                        <input type="checkbox" name="permission" value=name.clone() checked=typed.permissions.contains(&name)/>
                        <span>{ui.key(&format!("permission.{p}"))}</span>
                    </label>
                }
            })
            .collect::<Node>()
    });
    let open = typed.access.parse() == Ok(TokenAccess::Listed);
    html! {
        <details class="wide" open=open>
            <summary>{ui.t(keys::UI_TOKENS_PERMISSIONS)}</summary>
            <fieldset class="permissions"><legend class="hidden">{ui.t(keys::UI_TOKENS_PERMISSIONS)}</legend>{boxes}</fieldset>
        </details>
    }
}

/// What the token would be, and the button that makes it.
fn would_make(ui: Ui, preview: &Preview, token: Option<&str>) -> Node {
    let Some(answer) = &preview.answer else {
        return ().into();
    };
    let draw = |view: &PlanView| {
        let typed = &preview.typed;
        let operation = typed.operation();
        let hidden = [
            ("name", typed.name.clone()),
            ("access", operation.access.to_string()),
            ("permissions", joined(&operation.permissions)),
            ("role", typed.role.clone()),
            ("region", typed.region.clone()),
            ("days", operation.days.to_string()),
            ("token", token.unwrap_or_default().to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| html! { <input type="hidden" name=name value=value/> })
        .collect::<Node>();
        html! {
            <div class="token-plan" role="status">{plan_lines(ui, &view.plan)}</div>
            <form method="post" action=PATH>
                {hidden}
                <button class="button primary">{ui.t(keys::UI_TOKENS_CREATE)}</button>
            </form>
        }
    };
    answer
        .clone()
        .and_then(|answer| answer.read(draw))
        .unwrap_or_else(|error: AppError| failed(ui, &error))
}

/// What a token is limited to, in a line.
fn limit_words(ui: Ui, limit: &TokenLimit) -> Node {
    let scope = ui.text(&Text::verbatim(scope_argument(&limit.scope)));
    let permissions = limit
        .permissions
        .iter()
        .map(|p| html! { <li>{ui.key(&format!("permission.{p}"))}</li> })
        .collect::<Node>();
    html! {
        {ui.key(&format!("token.access.{}", limit.access))}
        {limit.role.map(|role| html! { " · " {ui.key(&format!("role.{role}"))} })}
        <span class="muted">" · " {scope}</span>
        {(!limit.permissions.is_empty()).then(|| html! { <ul class="grants">{permissions}</ul> })}
    }
}

fn row(ui: Ui, t: &TokenView, names: bool) -> Node {
    let class = match t.state {
        TokenState::Active => "healthy",
        TokenState::Expired => "unknown",
        TokenState::Revoked => "stopped",
    };
    let revoke = RevokeToken {
        token: t.token.clone(),
    };
    let used = match t.last_used_at {
        Some(at) => html! {
            {age(ui, at)}
            {t.last_used_from.as_ref().map(|from| html! { <div class="muted">{ui.tx(keys::UI_TOKENS_USED_FROM, &[("address", from)])}</div> })}
        },
        None => ui.t(keys::UI_TOKENS_NEVER).into(),
    };
    html! {
        <tr>
            <th scope="row">{t.name.clone()}<div class="muted"><code>{t.token.clone()}</code></div></th>
            {names.then(|| html! { <td>{t.owner.clone()}</td> })}
            <td>{limit_words(ui, &t.limit)}</td>
            <td><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.key(&format!("token.state.{}", t.state))}</span></td>
            <td class="num">{used}</td>
            <td class="num">{age(ui, t.expires_at)}</td>
            <td class="row-actions">
                {(t.state == TokenState::Active).then(|| html! {
                    <a class="button small danger" href=plan_href(&revoke, PATH)>{ui.t(keys::UI_TOKENS_REVOKE)}</a>
                })}
            </td>
        </tr>
    }
}

fn table(ui: Ui, list: &[TokenView]) -> Node {
    let me = crate::info().with_value(|info| info.me.as_ref().map(|me| me.person));
    let names = list.iter().any(|t| Some(t.person) != me);
    let rows = list.iter().map(|t| row(ui, t, names)).collect::<Node>();
    html! {
        <div class="scroll" tabindex="0" role="region" aria-label=ui.t(keys::UI_TOKENS_LIST)>
            <table>
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_COLUMN_NAME)}</th>
                        {names.then(|| html! { <th scope="col">{ui.t(keys::UI_TOKENS_OWNER)}</th> })}
                        <th scope="col">{ui.t(keys::UI_TOKENS_LIMIT)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_STATE)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_TOKENS_LAST_USED)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_COLUMN_EXPIRES)}</th>
                        <th scope="col">{ui.t(keys::UI_ACTIONS)}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
