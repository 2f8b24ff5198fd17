//! Texts with `{{ params.name }}` in them, and JSON made of such texts.

use serde_json::{Map, Value};

/// Bytes of a rendered text or document: records have 1 MiB at most, and nobody needs one in a request many times.
const RENDERED_BYTES: usize = 4 << 20;

/// A text with gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Gap(Gap),
}

/// What is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Where it comes from.
    pub root: Root,
    /// The way to it.
    pub path: Vec<String>,
}

/// Where values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The activity's parameters.
    Params,
    /// The connection's options.
    Options,
    /// The record.
    Record,
    /// `run.id`.
    Run,
    /// The idempotency key of the record, or of the run.
    Key,
}

/// The values at hand.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'v> {
    /// The activity's parameters.
    pub params: &'v Map<String, Value>,
    /// The connection's options.
    pub options: &'v Map<String, Value>,
    /// The record, where there is one.
    pub record: Option<&'v Value>,
    /// The run's id.
    pub run: &'v Value,
    /// The key.
    pub key: &'v Value,
}

/// Why nothing could be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The path needs a value that is not there.
    Value {
        /// What, such as `record.id`.
        name: String,
        /// Whether the record is to blame.
        of_record: bool,
    },
    /// It became too long.
    TooLong,
}

impl Gap {
    fn parse(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "{{{{{}}}}} is unknown; write {{{{ params.NAME }}}}, {{{{ options.NAME }}}}, {{{{ record.FIELD }}}}, \
                 {{{{ run.id }}}} or {{{{ key }}}}",
                text.chars().take(60).collect::<String>()
            )
        };
        let mut names = text.trim().split('.').map(str::trim);
        let root = match names.next() {
            Some("params") => Root::Params,
            Some("options") => Root::Options,
            Some("record") => Root::Record,
            Some("run") => Root::Run,
            Some("key") => Root::Key,
            Some("vars" | "agent" | "secret") => {
                return Err(format!("{{{{{}}}}} is known in projects only; make it a parameter", text.trim()));
            }
            Some(_) | None => return Err(unknown()),
        };
        let path: Vec<String> = names.map(str::to_owned).collect();
        let proper = path.iter().all(|name| !name.is_empty())
            && match root {
                Root::Params | Root::Options => !path.is_empty(),
                Root::Record => true,
                Root::Run => path == ["id"],
                Root::Key => path.is_empty(),
            };
        if proper { Ok(Self { root, path }) } else { Err(unknown()) }
    }

    fn find<'v>(&self, scope: &Scope<'v>) -> Option<&'v Value> {
        let (first, path) = match self.root {
            Root::Params => (scope.params.get(self.path.first()?)?, self.path.get(1..)?),
            Root::Options => (scope.options.get(self.path.first()?)?, self.path.get(1..)?),
            Root::Record => (scope.record?, self.path.as_slice()),
            Root::Run => return Some(scope.run),
            Root::Key => return Some(scope.key),
        };
        path.iter().try_fold(first, |value, name| match value {
            Value::Object(fields) => fields.get(name),
            Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }

    /// As it is written.
    #[must_use]
    pub fn name(&self) -> String {
        let root = match self.root {
            Root::Params => "params",
            Root::Options => "options",
            Root::Record => "record",
            Root::Run => "run",
            Root::Key => "key",
        };
        std::iter::once(root).chain(self.path.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// Says what is wrong with a gap.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((gap, following)) = after.split_once("}}") else {
                return Err("a template begins with {{ and does not end with }}".to_owned());
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Gap(Gap::parse(gap)?));
            rest = following;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// What is filled in.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.0.iter().filter_map(|part| if let Part::Gap(gap) = part { Some(gap) } else { None })
    }

    /// What stands between the gaps.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None })
    }

    /// The gap, if there is nothing else.
    #[must_use]
    pub fn as_gap(&self) -> Option<&Gap> {
        if let [Part::Gap(gap)] = self.0.as_slice() { Some(gap) } else { None }
    }

    /// The text; `None` if it is a single gap without a value.
    ///
    /// # Errors
    /// [`Missing::TooLong`].
    pub fn render(&self, scope: &Scope<'_>) -> Result<Option<String>, Missing> {
        if let Some(gap) = self.as_gap() {
            return Ok(gap.find(scope).filter(|value| !value.is_null()).map(as_text));
        }
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Gap(gap) => text.push_str(&gap.find(scope).map(as_text).unwrap_or_default()),
            }
            if text.len() > RENDERED_BYTES {
                return Err(Missing::TooLong);
            }
        }
        Ok(Some(text))
    }

    /// The text as a path: each value is encoded by `encode` and must be there, because a path without it means
    /// something else, such as all records instead of one.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn render_path(&self, scope: &Scope<'_>, encode: fn(&str) -> String) -> Result<String, Missing> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Gap(gap) => match gap.find(scope).map(as_text) {
                    Some(value) if !matches!(value.as_str(), "" | "." | "..") => text.push_str(&encode(&value)),
                    Some(_) | None => {
                        return Err(Missing::Value { name: gap.name(), of_record: gap.root == Root::Record });
                    }
                },
            }
            if text.len() > RENDERED_BYTES {
                return Err(Missing::TooLong);
            }
        }
        Ok(text)
    }
}

/// JSON whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// Anything that is not text.
    Literal(Value),
    /// A text.
    Text(Template),
    /// An array.
    Array(Vec<Self>),
    /// An object; its names are taken as they are.
    Object(Vec<(String, Self)>),
}

impl JsonTemplate {
    /// Whether it is the record and nothing else.
    #[must_use]
    pub fn is_record(&self) -> bool {
        let Self::Text(template) = self else { return false };
        template.as_gap().is_some_and(|gap| gap.root == Root::Record && gap.path.is_empty())
    }

    /// What is filled in.
    #[must_use]
    pub fn gaps(&self) -> Vec<&Gap> {
        match self {
            Self::Literal(_) => vec![],
            Self::Text(template) => template.gaps().collect(),
            Self::Array(elements) => elements.iter().flat_map(Self::gaps).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, value)| value.gaps()).collect(),
        }
    }

    /// The JSON. A text that is a single gap becomes its value with its type; where there is no value, the field or
    /// element is left out (`None`).
    ///
    /// # Errors
    /// [`Missing::TooLong`].
    pub fn render(&self, scope: &Scope<'_>) -> Result<Option<Value>, Missing> {
        self.render_within(scope, &mut 0)
    }

    fn render_within(&self, scope: &Scope<'_>, bytes: &mut usize) -> Result<Option<Value>, Missing> {
        Ok(match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Text(template) => {
                let value = match template.as_gap() {
                    Some(gap) => gap.find(scope).cloned(),
                    None => template.render(scope)?.map(Value::String),
                };
                *bytes += value.as_ref().map_or(0, length);
                if *bytes > RENDERED_BYTES {
                    return Err(Missing::TooLong);
                }
                value
            }
            Self::Array(elements) => {
                let rendered = elements.iter().map(|element| element.render_within(scope, bytes));
                Some(Value::Array(rendered.filter_map(Result::transpose).collect::<Result<_, _>>()?))
            }
            Self::Object(fields) => {
                let rendered = fields.iter().map(|(name, value)| {
                    value.render_within(scope, bytes).map(|value| value.map(|value| (name.clone(), value)))
                });
                Some(Value::Object(rendered.filter_map(Result::transpose).collect::<Result<_, _>>()?))
            }
        })
    }
}

/// About how many bytes it has.
fn length(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(length).sum::<usize>() + elements.len(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + length(value) + 4).sum(),
    }
}

/// A whole number: written down, or that of a parameter or option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// Written down.
    Fixed(u64),
    /// That of a parameter or option.
    Of(Gap),
}

impl Count {
    /// The number; `None` if it is not there or not one from 1 on.
    #[must_use]
    pub fn get(&self, scope: &Scope<'_>) -> Option<u64> {
        match self {
            Self::Fixed(number) => Some(*number),
            Self::Of(gap) => gap.find(scope).and_then(Value::as_u64).filter(|number| *number > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with<T>(work: impl FnOnce(&Scope<'_>) -> T) -> T {
        let params = json!({"desk": "a/b", "size": 5, "none": null, "list": ["x", "y"]});
        let record = json!({"id": 7, "sub": {"ok": true}, "up": "..", "text": "{{ params.desk }}"});
        let (options, run, key) = (Map::new(), json!("run_1"), json!("k-1"));
        let params = params.as_object().unwrap();
        work(&Scope { params, options: &options, record: Some(&record), run: &run, key: &key })
    }

    fn json_of(template: Value) -> Value {
        fn parse(value: &Value) -> JsonTemplate {
            match value {
                Value::String(text) => JsonTemplate::Text(Template::parse(text).unwrap()),
                Value::Array(elements) => JsonTemplate::Array(elements.iter().map(parse).collect()),
                Value::Object(fields) => {
                    JsonTemplate::Object(fields.iter().map(|(name, value)| (name.clone(), parse(value))).collect())
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => JsonTemplate::Literal(value.clone()),
            }
        }
        with(|scope| parse(&template).render(scope).unwrap().unwrap())
    }

    #[test]
    fn a_single_gap_keeps_its_type_and_what_is_missing_is_left_out() {
        let body = json!({"id": "{{ record.id }}", "ok": "{{record.sub.ok}}", "gone": "{{ record.gone }}",
            "none": "{{ params.none }}", "list": ["{{ params.list }}", "{{ record.gone }}", 1],
            "mixed": "#{{ record.id }} {{ key }} {{ run.id }}"});
        assert_eq!(
            json_of(body),
            json!({"id": 7, "ok": true, "none": null, "list": [["x", "y"], 1], "mixed": "#7 k-1 run_1"})
        );
    }

    #[test]
    fn what_a_value_contains_is_no_template() {
        assert_eq!(json_of(json!("{{ record.text }}!")), json!("{{ params.desk }}!"));
    }

    #[test]
    fn values_in_a_path_are_encoded_and_must_be_there() {
        let path = |text: &str| {
            with(|scope| Template::parse(text).unwrap().render_path(scope, |value| value.replace('/', "%2F")))
        };
        assert_eq!(path("/d/{{ params.desk }}/{{ record.id }}").unwrap(), "/d/a%2Fb/7");
        for missing in ["/{{ record.gone }}", "/{{ params.none }}", "/{{ record.up }}"] {
            assert!(matches!(path(missing), Err(Missing::Value { .. })), "{missing}");
        }
    }

    #[test]
    fn a_record_used_again_and_again_does_not_fill_the_memory() {
        let record = json!("x".repeat(1 << 20));
        let (params, run, key) = (Map::new(), Value::Null, Value::Null);
        let scope = Scope { params: &params, options: &params, record: Some(&record), run: &run, key: &key };
        let gap = || JsonTemplate::Text(Template::parse("{{ record }}").unwrap());
        let template = JsonTemplate::Array((0..100).map(|_| gap()).collect());
        assert_eq!(template.render(&scope), Err(Missing::TooLong));
        let text = Template::parse(&"{{ record }}".repeat(100)).unwrap();
        assert_eq!(text.render(&scope), Err(Missing::TooLong));
    }

    #[test]
    fn unknown_gaps_are_refused_with_what_is_known() {
        for bad in
            ["{{ vars.x }}", "{{ record.id", "{{}}", "{{ record..id }}", "{{ run.key }}", "{{ params }}", "{{ key.x }}"]
        {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        assert!(Template::parse("{{ vars.x }}").unwrap_err().contains("projects only"));
        assert!(Template::parse("{{ recrod.x }}").unwrap_err().contains("{{ record.FIELD }}"));
    }
}
