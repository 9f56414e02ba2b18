//! One path for each kind, and the plain resources.

use super::schemas::{Schemas, refer};
use super::{ADDRESS, address};
use crate::http::api::RESOURCES;
use crate::http::api::problem::Problem;
use bagua_core::{KindInfo, Registry, Verb};
use bagua_model::operation::{ApproveOperation, CancelOperation, PlanView, RejectOperation, Submitted};
use bagua_model::text::{Locale, Text, keys};
use bagua_model::verbs::Operation as _;
use serde_json::{Map, Value, json};

/// What any request may be told, with its sentence.
const PROBLEMS: [(&str, &str); 11] = [
    ("401", keys::API_PROBLEM_401),
    ("403", keys::API_PROBLEM_403),
    ("404", keys::API_PROBLEM_404),
    ("408", keys::API_PROBLEM_408),
    ("409", keys::API_PROBLEM_409),
    ("413", keys::API_PROBLEM_413),
    ("421", keys::API_PROBLEM_421),
    ("422", keys::API_PROBLEM_422),
    ("429", keys::API_PROBLEM_429),
    ("500", keys::API_PROBLEM_500),
    ("503", keys::API_PROBLEM_503),
];

/// `components/responses`.
pub fn problems(locale: Locale) -> Value {
    let problem = |(status, key): (&str, &str)| {
        let response = json!({
            "description": Text::new(key).render(locale),
            "content": { "application/problem+json": { "schema": refer::<Problem>() } },
        });
        (format!("problem{status}"), response)
    };
    Value::Object(PROBLEMS.into_iter().map(problem).collect())
}

fn responses<const N: usize>(answers: [(&str, Value); N]) -> Value {
    let mut all: Map<String, Value> = PROBLEMS
        .iter()
        .map(|(status, _)| {
            let place = format!("#/components/responses/problem{status}");
            ((*status).to_owned(), json!({ "$ref": place }))
        })
        .collect();
    all.extend(answers.map(|(status, answer)| (status.to_owned(), answer)));
    Value::Object(all)
}

struct Writer<'a> {
    registry: &'a Registry,
    schemas: &'a Schemas,
    locale: Locale,
}

/// `paths`.
pub fn all(registry: &Registry, schemas: &Schemas, locale: Locale) -> Value {
    let writer = Writer {
        registry,
        schemas,
        locale,
    };
    let mut paths = Map::new();
    for info in registry.kinds() {
        let (path, operation) = match info.verb {
            Verb::Query => (format!("/ask/{}", info.kind), writer.ask(&info)),
            Verb::Operation | Verb::Immediate => (format!("/submit/{}", info.kind), writer.submit(&info)),
        };
        paths.insert(address(&path), json!({ "post": operation }));
    }
    for (path, kind) in RESOURCES {
        if let Some(info) = registry.info(kind) {
            paths.insert(address(path), json!({ "get": writer.resource(path, &info) }));
        }
    }
    for (word, kind) in DECISIONS {
        if let Some(info) = registry.info(kind) {
            let path = format!("/operations/{{operation}}/{word}");
            paths.insert(address(&path), json!({ "post": writer.decision(word, &info) }));
        }
    }
    paths.insert(address(ADDRESS), json!({ "get": writer.itself() }));
    Value::Object(paths)
}

/// The last part of a decision's path, and the kind that it submits.
const DECISIONS: [(&str, &str); 3] = [
    ("cancel", CancelOperation::KIND),
    ("approve", ApproveOperation::KIND),
    ("reject", RejectOperation::KIND),
];

impl Writer<'_> {
    fn say(&self, key: &str) -> String {
        Text::new(key).render(self.locale)
    }

    /// What every operation says of its kind.
    fn about(&self, id: &str, info: &KindInfo) -> Map<String, Value> {
        let (room, _) = info.kind.split_once('.').unwrap_or_default();
        let declared = self.schemas.input_itself(info.kind);
        let mut about = Map::from_iter([
            ("operationId".to_owned(), json!(id)),
            ("tags".to_owned(), json!([room])),
            (
                "summary".to_owned(),
                json!(self.say(&format!("api.kind.{}", info.kind))),
            ),
            ("x-bagua-kind".to_owned(), json!(info.kind)),
            ("x-bagua-permission".to_owned(), json!(info.permission.as_str())),
        ]);
        if let Some(words) = declared.get("description") {
            about.insert("description".to_owned(), words.clone());
        }
        if let Some(risk) = info.risk {
            about.insert("x-bagua-risk".to_owned(), json!(risk));
        }
        if info.personal_data {
            about.insert("x-bagua-personal-data".to_owned(), json!(true));
        }
        about
    }

    fn example(&self, kind: &str) -> Value {
        let text = self.registry.shape(kind).map_or("{}", |shape| shape.example);
        serde_json::from_str(text).unwrap_or_default()
    }

    fn ask(&self, info: &KindInfo) -> Value {
        let example = self.example(info.kind);
        let mut operation = self.about(&format!("ask.{}", info.kind), info);
        let empty_will_do = example == json!({});
        operation.insert(
            "requestBody".to_owned(),
            json!({
                "required": !empty_will_do,
                "content": { "application/json": { "schema": self.schemas.input(info.kind), "example": example } },
            }),
        );
        operation.insert(
            "responses".to_owned(),
            responses([("200", self.answer(info.kind))]),
        );
        Value::Object(operation)
    }

    fn answer(&self, kind: &str) -> Value {
        json!({
            "description": self.say(keys::API_ANSWER_200),
            "content": { "application/json": { "schema": self.schemas.output(kind) } },
        })
    }

    fn submit(&self, info: &KindInfo) -> Value {
        let mut operation = self.about(&format!("submit.{}", info.kind), info);
        let wish = json!({
            "type": "object",
            "properties": {
                "input": described(self.schemas.input(info.kind), self.say(keys::API_WISH_INPUT)),
                "plan_hash": {
                    "type": ["string", "null"], "description": self.say(keys::API_WISH_PLAN_HASH),
                },
                "reason": { "type": ["string", "null"], "description": self.say(keys::API_WISH_REASON) },
                "break_glass": {
                    "type": "boolean", "default": false, "description": self.say(keys::API_WISH_BREAK_GLASS),
                },
            },
            "required": ["input"],
            "additionalProperties": false,
        });
        let example = json!({ "input": self.example(info.kind) });
        let parameters = ["plan", "idempotencyKey"].map(|name| {
            let place = format!("#/components/parameters/{name}");
            json!({ "$ref": place })
        });
        operation.insert("parameters".to_owned(), json!(parameters));
        operation.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "content": { "application/json": { "schema": wish, "example": example } } }),
        );
        // What the operation leaves behind as `outcome` once it has succeeded.
        operation.insert("x-bagua-outcome".to_owned(), self.schemas.output(info.kind));
        let planned = json!({ "anyOf": [refer::<Submitted>(), refer::<PlanView>()] });
        operation.insert("responses".to_owned(), self.submitted(planned));
        Value::Object(operation)
    }

    fn submitted(&self, done: Value) -> Value {
        let location = json!({ "Location": { "$ref": "#/components/headers/Location" } });
        let done = json!({
            "description": self.say(keys::API_ANSWER_SUBMITTED),
            "headers": location,
            "content": { "application/json": { "schema": done } },
        });
        let goes_on = json!({
            "description": self.say(keys::API_ANSWER_202),
            "headers": location,
            "content": { "application/json": { "schema": refer::<Submitted>() } },
        });
        responses([("200", done), ("202", goes_on)])
    }

    /// A decision's fields without the operation, which stands in the path.
    fn decision(&self, word: &str, info: &KindInfo) -> Value {
        let mut operation = self.about(&format!("operations.{word}"), info);
        let mut input = self.schemas.input_itself(info.kind);
        let of_operation = input["properties"]["operation"].take();
        let mut example = self.example(info.kind);
        for fields in [&mut input["properties"], &mut example] {
            if let Value::Object(fields) = fields {
                fields.remove("operation");
            }
        }
        let mut needs_body = false;
        if let Value::Array(required) = &mut input["required"] {
            required.retain(|name| name != "operation");
            needs_body = !required.is_empty();
        }
        operation.insert(
            "parameters".to_owned(),
            json!([
                { "name": "operation", "in": "path", "required": true, "schema": of_operation },
                { "$ref": "#/components/parameters/idempotencyKey" },
            ]),
        );
        operation.insert(
            "requestBody".to_owned(),
            json!({ "required": needs_body, "content": { "application/json": { "schema": input, "example": example } } }),
        );
        operation.insert("responses".to_owned(), self.submitted(refer::<Submitted>()));
        Value::Object(operation)
    }

    /// A plain resource: what its path does not name of the query's input stands in the address as filters.
    fn resource(&self, path: &str, info: &KindInfo) -> Value {
        let mut operation = self.about(&id_of(path), info);
        let input = self.schemas.input_itself(info.kind);
        let example = self.example(info.kind);
        let in_path: Vec<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let mut parameters: Vec<Value> = in_path
            .iter()
            .map(|name| {
                let declared = input["properties"].get(name).cloned();
                // A component's two halves are two parts of the path.
                let schema = declared
                    .unwrap_or_else(|| json!({ "type": "string", "pattern": "^[A-Za-z0-9-]{1,63}$" }));
                json!({ "name": name, "in": "path", "required": true, "schema": schema })
            })
            .collect();
        if in_path.is_empty()
            && let Some(Value::Object(filters)) = input.get("properties")
        {
            parameters.extend(filters.iter().map(|(name, schema)| {
                let mut filter = json!({ "name": name, "in": "query", "schema": not_null(schema) });
                if let Some(value) = example.get(name) {
                    filter["example"] = value.clone();
                }
                filter
            }));
        }
        if !parameters.is_empty() {
            operation.insert("parameters".to_owned(), json!(parameters));
        }
        let mut answer = self.answer(info.kind);
        answer["headers"] = json!({
            "ETag": { "$ref": "#/components/headers/ETag" },
            "Link": { "$ref": "#/components/headers/Link" },
        });
        let unchanged = json!({ "description": self.say(keys::API_ANSWER_304) });
        operation.insert(
            "responses".to_owned(),
            responses([("200", answer), ("304", unchanged)]),
        );
        Value::Object(operation)
    }

    fn itself(&self) -> Value {
        let unchanged = json!({ "description": self.say(keys::API_ANSWER_304) });
        let answer = json!({
            "description": self.say(keys::API_ANSWER_200),
            "headers": { "ETag": { "$ref": "#/components/headers/ETag" } },
            "content": { "application/json": { "schema": { "type": "object" } } },
        });
        json!({
            "operationId": "openapi",
            "summary": self.say(keys::API_ITSELF),
            "security": [],
            "responses": responses([("200", answer), ("304", unchanged)]),
        })
    }
}

/// `/alerts/{alert}` is `alerts.alert`.
fn id_of(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| part.trim_matches(['{', '}']))
        .collect();
    format!("get.{}", parts.join("."))
}

fn described(schema: Value, words: String) -> Value {
    match schema {
        Value::Object(mut fields) => {
            fields.insert("description".to_owned(), json!(words));
            Value::Object(fields)
        }
        other => other,
    }
}

/// A filter that is left out is left out: an address has no `null`.
fn not_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let Value::Object(fields) = &mut schema else {
        return schema;
    };
    fields.remove("default");
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_slice() {
            let only = only.clone();
            fields.remove("anyOf");
            if let Value::Object(only) = only {
                fields.extend(only);
            }
        }
    }
    schema
}
