//! JSON Schema of what goes over the wire. Only the server's build has it (feature `schema`): the browser needs none.

#[cfg(feature = "schema")]
mod on {
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use std::borrow::Cow;

    /// Stands for a moment written as RFC 3339; name it with `schemars(with = …)` beside `serde(with = …)`.
    pub struct Time;

    impl JsonSchema for Time {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Time".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "format": "date-time" })
        }
    }

    /// A type whose JSON Schema is known.
    pub trait Described: JsonSchema {}
    impl<T: JsonSchema> Described for T {}
}

#[cfg(not(feature = "schema"))]
mod on {
    /// A type whose JSON Schema the server's build knows.
    pub trait Described {}
    impl<T> Described for T {}
}

#[cfg(feature = "schema")]
pub use on::Time;

pub use on::Described;
