//! The schemas: what is taken and what is answered, each from its Rust type.

use crate::http::api::problem::Problem;
use bagua_core::Registry;
use bagua_model::operation::{PlanView, Submitted};
use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const PLACE: &str = "#/components/schemas/";

/// Schemas of every kind, and those that they refer to.
pub struct Schemas {
    kinds: BTreeMap<&'static str, (Value, Value)>,
    components: Map<String, Value>,
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = PLACE.trim_start_matches('#').trim_end_matches('/').into();
    settings.meta_schema = None;
    settings.contract = contract;
    settings.into_generator()
}

impl Schemas {
    /// Of all that is registered.
    pub fn of(registry: &Registry) -> Schemas {
        // What may be left out of an input is always there in an answer, so a type that is both has two schemas.
        let (mut reads, mut writes) = (generator(Contract::Deserialize), generator(Contract::Serialize));
        let mut kinds = BTreeMap::new();
        for info in registry.kinds() {
            if let Some(shape) = registry.shape(info.kind) {
                let input = (shape.input)(&mut reads).to_value();
                let output = (shape.output)(&mut writes).to_value();
                kinds.insert(info.kind, (input, output));
            }
        }
        for also in [
            schema_of::<PlanView>,
            schema_of::<Submitted>,
            schema_of::<Problem>,
        ] {
            also(&mut writes);
        }
        let mut components = writes.take_definitions(true);
        let mut inputs = reads.take_definitions(true);
        let other = differing(&inputs, &components);
        let rename = |value: &mut Value| each(value, &mut |fields| point_elsewhere(fields, &other));
        for (input, _) in kinds.values_mut() {
            rename(input);
        }
        inputs.values_mut().for_each(rename);
        for (name, schema) in inputs {
            let name = if other.contains(&name) {
                format!("{name}Input")
            } else {
                name
            };
            components.insert(name, schema);
        }
        for schema in components.values_mut() {
            each(schema, &mut bounds);
        }
        for (input, output) in kinds.values_mut() {
            each(input, &mut bounds);
            each(output, &mut bounds);
        }
        Schemas { kinds, components }
    }

    /// What a kind takes.
    pub fn input(&self, kind: &str) -> Value {
        self.kinds
            .get(kind)
            .map_or(json!(true), |(input, _)| input.clone())
    }

    /// What a kind answers.
    pub fn output(&self, kind: &str) -> Value {
        self.kinds
            .get(kind)
            .map_or(json!(true), |(_, output)| output.clone())
    }

    /// The input of a kind itself, where [`Schemas::input`] refers to it.
    pub fn input_itself(&self, kind: &str) -> Value {
        let input = self.input(kind);
        input["$ref"]
            .as_str()
            .and_then(|place| place.strip_prefix(PLACE))
            .and_then(|name| self.components.get(name))
            .cloned()
            .unwrap_or(input)
    }

    /// `components/schemas`.
    pub fn components(self) -> Map<String, Value> {
        self.components
    }
}

/// Names of the inputs that are not what an answer has under that name; and with them whatever refers to them.
fn differing(inputs: &Map<String, Value>, answers: &Map<String, Value>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let more: Vec<String> = inputs
            .iter()
            .filter(|(name, _)| !found.contains(name))
            .filter(|(name, schema)| {
                answers.get(*name).is_some_and(|answer| {
                    answer != *schema || found.iter().any(|other| refers_to(schema, other))
                })
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn refers_to(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Object(fields) => {
            fields
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|place| place.strip_prefix(PLACE))
                == Some(name)
                || fields.values().any(|value| refers_to(value, name))
        }
        Value::Array(values) => values.iter().any(|value| refers_to(value, name)),
        _ => false,
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// A reference to a type's schema.
pub fn refer<T: JsonSchema>() -> Value {
    json!({ "$ref": format!("{PLACE}{}", T::schema_name()) })
}

/// Walks over every object in it.
fn each(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            change(fields);
            fields.values_mut().for_each(|value| each(value, change));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each(value, change)),
        _ => {}
    }
}

fn point_elsewhere(fields: &mut Map<String, Value>, other: &[String]) {
    if let Some(Value::String(place)) = fields.get_mut("$ref")
        && place
            .strip_prefix(PLACE)
            .is_some_and(|name| other.iter().any(|o| o == name))
    {
        place.push_str("Input");
    }
}

/// A number that does not fit the Rust type is refused: the schema says so. And a text that may be left out of the JSON
/// (a form does not send it) but not be empty has no default.
fn bounds(fields: &mut Map<String, Value>) {
    if fields.contains_key("minLength") && fields.get("default") == Some(&json!("")) {
        fields.remove("default");
    }
    let bounds: (i64, i64) = match fields.get("format").and_then(Value::as_str) {
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        _ => return,
    };
    fields.entry("minimum").or_insert(json!(bounds.0));
    fields.entry("maximum").or_insert(json!(bounds.1));
}
