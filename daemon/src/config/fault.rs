//! The error serde carries while a configuration is read: a place and a text that quotes no value.

use std::fmt::Display;

use serde::de::{self, Expected, Unexpected};

/// One fault on its way out of serde; its path grows from the inside.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) reversed_path: Vec<String>,
    pub(super) message: String,
    /// The key itself is what is wrong.
    pub(super) unknown: bool,
}

impl Fault {
    pub(super) fn new(message: String) -> Self {
        Self { reversed_path: Vec::new(), message, unknown: false }
    }

    pub(super) fn inside(mut self, step: impl Into<String>) -> Self {
        self.reversed_path.push(step.into());
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Like serde's own texts, without the values.
impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {}", kind(&found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("expected one of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = if expected.is_empty() { "none".to_owned() } else { expected.join(", ") };
        let fault = Self::new(format!("there is no such key, known here: {known}"));
        Self { unknown: true, ..fault }.inside(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("is required".to_owned()).inside(field)
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a text",
        Unexpected::Seq => "a list",
        Unexpected::Map | Unexpected::StructVariant => "a table",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::NewtypeStruct | Unexpected::Enum | Unexpected::UnitVariant | Unexpected::NewtypeVariant => {
            "a value"
        }
        Unexpected::TupleVariant => "a list",
        Unexpected::Other(_) => "something else",
    }
}
