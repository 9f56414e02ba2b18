//! `bagua alerts list`, `bagua components restart eu-west-1/gateway`: every kind by the words that a person would guess.

use super::door::Door;
use super::kinds::{self, Kind, NOUNS};
use super::words::Words;
use super::{exit_code, follow, locale, say, say_failure, say_plan, table};
use bagua_access::new_token;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{GetOperation, OperationId, OperationView, Submission};
use bagua_model::verbs::Query as _;
use clap::{Arg, ArgAction, Command};
use serde_json::{Value, json};
use std::process::ExitCode;

/// A wrong call, with what would be right.
fn wrong(words: &str) -> ExitCode {
    eprintln!("bagua: {words}");
    exit_code(FailureKind::Invalid)
}

/// What can be said about a noun.
fn help(noun: &str) -> String {
    let mut lines = vec![
        format!("Usage: bagua {noun} VERB [ID …] [--FIELD VALUE …] [--json]"),
        String::new(),
    ];
    for (verb, kind) in kinds::verbs(noun) {
        lines.push(format!("  {verb:<16} {kind}"));
    }
    lines.extend(
        [
            "",
            "Fields are those of the kind's input; a field that is not known is refused with the names of those that are.",
            "",
            "  --json             the answer as JSON",
            "  --plan             shows what would change, and submits nothing",
            "  --follow           follows the operation to its end; the exit code is its result",
            "  --reason TEXT      why",
            "  --hash HASH        binds to the plan with this hash",
            "  --break-glass      goes on without the second person; needs --reason",
            "  --url URL          calls the console at this address (BAGUA_URL), with the API token in BAGUA_TOKEN",
            "  --token-file FILE  or in this file (BAGUA_TOKEN_FILE)",
        ]
        .map(str::to_owned),
    );
    lines.join("\n")
}

/// The nouns for `bagua --help`.
pub fn overview() -> String {
    format!(
        "By noun: {}.\nFor example `bagua alerts list`, `bagua components restart eu-west-1/gateway --follow`; `bagua alerts --help` lists \
         what can be said about one.",
        NOUNS.join(", ")
    )
}

/// The command with nouns and verbs in it, for the shells' completions.
pub fn complete(mut command: Command) -> Command {
    for noun in NOUNS {
        let verbs = kinds::verbs(noun).into_iter().map(|(verb, kind)| {
            let flags = ["json", "plan", "follow", "break-glass"]
                .map(|name| Arg::new(name).long(name).action(ArgAction::SetTrue));
            let valued = ["reason", "hash", "url", "token-file"].map(|name| Arg::new(name).long(name));
            // The program ends after the script is printed.
            let verb: &'static str = verb.leak();
            Command::new(verb)
                .about(kind)
                .args(flags)
                .args(valued)
                .arg(Arg::new("id").num_args(0..))
        });
        command = command.subcommand(Command::new(noun).subcommands(verbs));
    }
    command
}

/// Carries out a noun command.
pub async fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let Some((noun, rest)) = arguments.split_first() else {
        return Ok(wrong("There is nothing to do. See `bagua --help`"));
    };
    if !kinds::is_noun(noun) {
        let words = format!("There is no command `{noun}`. See `bagua --help`");
        return Ok(wrong(&words));
    }
    let mut words = match Words::read(rest) {
        Ok(words) => words,
        Err(fault) => return Ok(wrong(&fault)),
    };
    if words.help || words.values.is_empty() {
        say(&help(noun))?;
        return Ok(if words.help {
            ExitCode::SUCCESS
        } else {
            exit_code(FailureKind::Invalid)
        });
    }
    let verb = words.values.remove(0);
    if kinds::singular(noun) == "operation" && verb == "follow" {
        return follow_one(&words).await;
    }
    let Some(kind) = kinds::find(noun, &verb) else {
        let known: Vec<_> = kinds::verbs(noun).into_iter().map(|(verb, _)| verb).collect();
        let words = format!("`{noun}` has no `{verb}`. It has: {}", known.join(", "));
        return Ok(wrong(&words));
    };
    let inputs = match words.inputs(noun, kind) {
        Ok(inputs) => inputs,
        Err(fault) => return Ok(wrong(&fault)),
    };
    let door = words.door.open().await?;
    door.look().await;
    let mut code = ExitCode::SUCCESS;
    for input in inputs {
        let done = if kind.asked {
            ask(&door, noun, kind, input, &words).await?
        } else {
            submit(&door, kind, input, &words).await?
        };
        // Several ids are tried one after the other; the last that was refused decides.
        if done != ExitCode::SUCCESS {
            code = done;
        }
    }
    Ok(code)
}

async fn follow_one(words: &Words) -> anyhow::Result<ExitCode> {
    let [id] = words.values.as_slice() else {
        return Ok(wrong("Name the operation that is to be followed"));
    };
    let Ok(operation) = id.parse::<OperationId>() else {
        let words = format!("`{id}` is no operation's id. `bagua operations list` shows them");
        return Ok(wrong(&words));
    };
    follow::follow(&words.door.open().await?, operation).await
}

async fn ask(door: &Door, noun: &str, kind: Kind, input: Value, words: &Words) -> anyhow::Result<ExitCode> {
    let mut answer = match door.ask(kind.name, input).await {
        Ok(answer) => answer,
        Err(failure) => return Ok(say_failure(&failure)),
    };
    let mut shown = kind.name;
    if kinds::singular(noun) == "component" && kind.name == "regions.world" {
        answer = components(&answer);
        shown = "components";
    }
    if words.json {
        say(&serde_json::to_string_pretty(&answer)?)?;
    } else {
        say(&table::answer(shown, &answer, locale()))?;
        if let Some(next) = answer
            .pointer("/next")
            .or_else(|| answer.pointer("/page/next"))
            .and_then(Value::as_str)
        {
            eprintln!("bagua: There is more: --after {next}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Every component of the world's state.
fn components(world: &Value) -> Value {
    let regions = world.pointer("/regions").and_then(Value::as_array);
    let all = regions.into_iter().flatten().chain(world.get("global"));
    all.filter_map(|region| region.get("components")?.as_array())
        .flatten()
        .cloned()
        .collect()
}

/// Who approves names the plan that they looked at; without `--hash` it is shown to them and is the one that stands now.
async fn approved(door: &Door, input: &mut Value, words: &Words) -> Result<(), Failure> {
    if let Some(hash) = &words.hash {
        input["hash"] = json!(hash);
        return Ok(());
    }
    let query = json!({ "operation": input["operation"] });
    let view = door.ask(GetOperation::KIND, query).await?;
    let view: OperationView = serde_json::from_value(view).map_err(|_| Failure::internal())?;
    eprintln!("{}", view.plan.summary.render(locale()));
    for change in &view.plan.changes {
        eprintln!("  ~ {}", change.render(locale()));
    }
    input["hash"] = json!(view.plan_hash);
    Ok(())
}

async fn submit(door: &Door, kind: Kind, mut input: Value, words: &Words) -> anyhow::Result<ExitCode> {
    let mut secret = None;
    if kind.name == "token.create" && !words.plan {
        // Made here, so that it travels nowhere: the console is told its hash.
        match new_token() {
            Ok(made) => {
                input["token_hash"] = json!(made.hash_hex());
                secret = Some(made.token);
            }
            Err(failure) => return Ok(say_failure(&failure)),
        }
    }
    if kind.name == "operation.approve"
        && let Err(failure) = approved(door, &mut input, words).await
    {
        return Ok(say_failure(&failure));
    }
    if words.plan {
        return match door.plan(kind.name, input).await {
            Ok(view) if words.json => {
                say(&serde_json::to_string_pretty(&view)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Ok(view) => say_plan(&view),
            Err(failure) => Ok(say_failure(&failure)),
        };
    }
    let decides = matches!(
        kind.name,
        "operation.cancel" | "operation.reject" | "operation.approve"
    );
    let submission = Submission {
        plan_hash: words.hash.clone().filter(|_| !decides),
        reason: words.reason.clone().filter(|_| !decides),
        break_glass: words.break_glass,
        token: None,
    };
    let submitted = match door.submit(kind.name, input, submission).await {
        Ok(submitted) => submitted,
        Err(failure) => return Ok(say_failure(&failure)),
    };
    if let Some(secret) = secret {
        eprintln!("bagua: Keep this token now: it is shown this one time and stored nowhere.");
        say(&secret)?;
        return Ok(ExitCode::SUCCESS);
    }
    if words.json {
        say(&serde_json::to_string_pretty(&submitted)?)?;
    } else {
        say(&format!("{} {}", submitted.operation, submitted.state))?;
    }
    if words.follow {
        return follow::follow(door, submitted.operation).await;
    }
    Ok(ExitCode::SUCCESS)
}
