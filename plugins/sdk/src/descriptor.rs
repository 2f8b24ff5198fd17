//! The descriptor: what a connector says of itself, made from its types.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::activities::{Activity, Flow, SchemaOf};
use crate::connector::Connector;

/// The descriptor of a connector, as `plugins/README.md` describes it.
pub fn describe<C: Connector>() -> Value {
    let (options, _) = schema(SchemaOf::of::<C::Options>());
    let auth: Vec<Value> = C::auth().into_iter().map(|scheme| Value::Object(scheme.0)).collect();
    let activities: Vec<Value> = C::activities().0.iter().map(activity).collect();
    let mut descriptor = Map::from_iter([
        ("schemaVersion".to_owned(), json!(1)),
        ("name".to_owned(), C::NAME.into()),
        ("version".to_owned(), C::VERSION.into()),
        ("title".to_owned(), C::TITLE.into()),
        ("connection".to_owned(), json!({ "configSchema": options, "auth": auth })),
        ("activities".to_owned(), activities.into()),
    ]);
    for (name, text) in [("description", C::DESCRIPTION), ("license", C::LICENSE)] {
        if !text.is_empty() {
            descriptor.insert(name.to_owned(), text.into());
        }
    }
    if !C::errors().is_empty() {
        descriptor.insert("errors".to_owned(), C::errors().into());
    }
    Value::Object(descriptor)
}

/// What documentation of a type says of the activity it belongs to.
#[derive(Default)]
struct Words {
    title: Option<String>,
    description: Option<String>,
}

fn activity<C: Connector>(activity: &Activity<C>) -> Value {
    let (params, words) = schema(activity.params);
    let title = activity.title.map(str::to_owned).or(words.title);
    let description = activity.description.map(str::to_owned).or(words.description);
    let mut json = Map::from_iter([
        ("name".to_owned(), activity.name.into()),
        ("kind".to_owned(), json!(activity.flow())),
        ("sideEffects".to_owned(), json!(activity.side_effects)),
        ("configSchema".to_owned(), params),
    ]);
    let schemas = [("inputSchema", activity.input), ("outputSchema", activity.output)];
    let schemas = schemas.map(|(name, make)| (name, make.map(|make| schema(make).0)));
    let parallel = (activity.flow() == Flow::Target && activity.max_parallel > 1).then(|| activity.max_parallel.into());
    let words = [("title", title.map(Value::from)), ("description", description.map(Value::from))];
    let counters = (!activity.counters.is_empty()).then(|| activity.counters.into());
    for (name, value) in words.into_iter().chain(schemas).chain([("maxParallel", parallel), ("counters", counters)]) {
        json.extend(value.map(|value| (name.to_owned(), value)));
    }
    Value::Object(json)
}

/// The schema of a type, and the words that belong to the activity instead of to its parameters. A title that is only
/// the type's name says nothing.
fn schema(of: SchemaOf) -> (Value, Words) {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = (of.make)(&mut generator).to_value();
    let mut words = Words::default();
    unwrap_lines(&mut schema);
    if let Value::Object(fields) = &mut schema {
        let mut take = |name: &str| fields.remove(name).and_then(|text| text.as_str().map(str::to_owned));
        words.title = take("title").filter(|title| *title != (of.type_name)());
        words.description = take("description");
        fields.entry("type").or_insert_with(|| "object".into());
    }
    (schema, words)
}

/// Lines of a documentation comment belong together; an empty one separates paragraphs.
fn unwrap_lines(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (Value::String(text), "description") = (&mut *value, name.as_str()) {
                    let paragraphs: Vec<_> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
                    *text = paragraphs.join("\n\n");
                } else if !matches!(name.as_str(), "default" | "examples" | "enum" | "const") {
                    unwrap_lines(value);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(unwrap_lines),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
