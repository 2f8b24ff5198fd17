//! Parameters and options: their JSON Schema, and what is checked when they are used.

use serde_json::{Map, Value, json};

/// Parameters or options, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(pub Vec<Field>);

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Whether it must be given.
    pub required: bool,
    /// Its JSON Schema.
    pub schema: Map<String, Value>,
}

/// What does not fit. The value itself is not named: it may be somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Which one.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Fields {
    /// The field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.name == name)
    }

    /// The JSON Schema of all.
    #[must_use]
    pub fn schema(&self) -> Value {
        let properties: Map<String, Value> =
            self.0.iter().map(|field| (field.name.clone(), Value::Object(field.schema.clone()))).collect();
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        let required: Vec<&str> =
            self.0.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
        if let (Value::Object(fields), false) = (&mut schema, required.is_empty()) {
            fields.insert("required".to_owned(), required.into());
        }
        schema
    }

    /// The given values with defaults in place of what was not given. What a schema says beyond type, `enum`, `minimum`
    /// and `maximum` is checked when a project is deployed, not here.
    ///
    /// # Errors
    /// The first that is unknown, missing or of the wrong type.
    pub fn complete(&self, mut given: Map<String, Value>) -> Result<Map<String, Value>, Unfit> {
        if let Some(unknown) = given.keys().find(|name| self.get(name).is_none()) {
            let known: Vec<&str> = self.0.iter().map(|field| field.name.as_str()).collect();
            let why = format!("is unknown; known are {}", known.join(", "));
            return Err(Unfit { name: unknown.chars().take(60).collect(), why });
        }
        for field in &self.0 {
            match (given.get(&field.name), field.schema.get("default")) {
                (Some(value), _) => field.check(value)?,
                (None, Some(default)) => drop(given.insert(field.name.clone(), default.clone())),
                (None, None) if field.required => {
                    return Err(Unfit { name: field.name.clone(), why: "is missing".to_owned() });
                }
                (None, None) => {}
            }
        }
        Ok(given)
    }
}

impl Field {
    /// Whether it may be a whole number.
    #[must_use]
    pub fn is_count(&self) -> bool {
        self.schema.get("type").is_none_or(|known| known == "integer")
    }

    /// Checks a value, as far as [`Fields::complete`] says.
    ///
    /// # Errors
    /// What was expected.
    pub fn check(&self, value: &Value) -> Result<(), Unfit> {
        let unfit = |why: String| Err(Unfit { name: self.name.clone(), why });
        let types: Vec<&str> = match self.schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            Some(_) | None => vec![],
        };
        if !types.is_empty() && !types.iter().any(|name| is_of(value, name)) {
            return unfit(format!("must be of type {}", types.join(" or ")));
        }
        if let Some(Value::Array(allowed)) = self.schema.get("enum")
            && !allowed.contains(value)
        {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            return unfit(format!("must be one of {}", allowed.join(", ")));
        }
        let bound = |name: &str| self.schema.get(name).and_then(Value::as_f64);
        if let (Some(number), Some(least)) = (value.as_f64(), bound("minimum"))
            && number < least
        {
            return unfit(format!("must be at least {least}"));
        }
        if let (Some(number), Some(most)) = (value.as_f64(), bound("maximum"))
            && number > most
        {
            return unfit(format!("must be at most {most}"));
        }
        Ok(())
    }
}

/// The types of JSON Schema.
pub(crate) const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

fn is_of(value: &Value, name: &str) -> bool {
    match value {
        Value::String(_) => name == "string",
        Value::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
        Value::Bool(_) => name == "boolean",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
        Value::Null => name == "null",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let field = |name: &str, required, schema: Value| Field {
            name: name.to_owned(),
            required,
            schema: schema.as_object().unwrap().clone(),
        };
        Fields(vec![
            field("query", true, json!({"type": "string"})),
            field("size", false, json!({"type": "integer", "default": 50, "minimum": 1, "maximum": 100})),
            field("order", false, json!({"type": "string", "enum": ["asc", "desc"]})),
        ])
    }

    fn completed(given: Value) -> Result<Value, String> {
        let completed = fields().complete(given.as_object().unwrap().clone());
        completed.map(Value::Object).map_err(|unfit| format!("{} {}", unfit.name, unfit.why))
    }

    #[test]
    fn defaults_fill_in_and_every_misfit_is_named() {
        assert_eq!(completed(json!({"query": "q"})), Ok(json!({"query": "q", "size": 50})));
        assert_eq!(completed(json!({})), Err("query is missing".into()));
        assert_eq!(completed(json!({"query": 1})), Err("query must be of type string".into()));
        assert_eq!(completed(json!({"query": "q", "size": 0})), Err("size must be at least 1".into()));
        assert_eq!(completed(json!({"query": "q", "size": 101})), Err("size must be at most 100".into()));
        assert_eq!(completed(json!({"query": "q", "size": 1.5})), Err("size must be of type integer".into()));
        assert_eq!(
            completed(json!({"query": "q", "order": "up"})),
            Err("order must be one of \"asc\", \"desc\"".into())
        );
        assert_eq!(completed(json!({"quer": "q"})), Err("quer is unknown; known are query, size, order".into()));
    }

    #[test]
    fn the_schema_lists_what_is_required_and_closes_the_rest() {
        let schema = fields().schema();
        assert_eq!(schema["required"], json!(["query"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        assert_eq!(schema["properties"]["size"]["default"], json!(50));
        assert_eq!(Fields::default().schema().get("required"), None);
    }
}
