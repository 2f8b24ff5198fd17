//! One value of a manifest, which knows its place and reports what is wrong with it.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::Fault;
use crate::template::{Gap, JsonTemplate, Root, Template};

/// Bytes of a text.
const TEXT_BYTES: usize = 8 << 10;

/// One value.
pub(super) struct Node<'v, 'f> {
    pub(super) value: &'v Value,
    path: Vec<String>,
    faults: &'f RefCell<Vec<Fault>>,
}

/// The entries of a map whose keys are known.
pub(super) struct Entries<'v, 'f> {
    map: &'v Map<String, Value>,
    path: Vec<String>,
    faults: &'f RefCell<Vec<Fault>>,
}

/// What may be filled in at a place.
#[derive(Clone, Copy)]
pub(super) struct Allowed<'a> {
    pub(super) params: Option<&'a crate::Fields>,
    pub(super) options: &'a crate::Fields,
    pub(super) record: bool,
}

impl<'v, 'f> Node<'v, 'f> {
    pub(super) const fn root(value: &'v Value, faults: &'f RefCell<Vec<Fault>>) -> Self {
        Self { value, path: Vec::new(), faults }
    }

    fn below(&self, name: &str, value: &'v Value) -> Self {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Self { value, path, faults: self.faults }
    }

    /// Reports a fault here.
    pub(super) fn fault(&self, message: impl Into<String>) {
        self.faults.borrow_mut().push(Fault { path: self.path.clone(), message: message.into() });
    }

    fn name(&self) -> &str {
        self.path.last().map_or("the manifest", String::as_str)
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        self.fault(format!("{} is {wanted}, not {}", self.name(), kind(self.value)));
        None
    }

    /// A map with these keys.
    pub(super) fn entries(&self, what: &str, known: &[&str], required: &[&str]) -> Option<Entries<'v, 'f>> {
        let Value::Object(map) = self.value else { return self.wrong(&format!("a map: {what}")) };
        for (key, value) in map {
            if !known.contains(&key.as_str()) {
                let shown: String = key.chars().take(60).collect();
                self.below(key, value)
                    .fault(format!("{shown} does not belong into {what}; it has {}", known.join(", ")));
            }
        }
        for key in required.iter().filter(|key| !map.contains_key(**key)) {
            self.fault(format!("{what} needs {key}"));
        }
        Some(Entries { map, path: self.path.clone(), faults: self.faults })
    }

    /// A map with names of the author's own.
    pub(super) fn pairs(&self, most: usize) -> Vec<(String, Self)> {
        let Value::Object(map) = self.value else {
            return self.wrong("a map").unwrap_or_default();
        };
        if map.len() > most {
            self.fault(format!("{} has {} entries, at most {most} are possible", self.name(), map.len()));
        }
        map.iter().take(most).map(|(name, value)| (name.clone(), self.below(name, value))).collect()
    }

    /// A list.
    pub(super) fn list(&self, most: usize) -> Vec<Self> {
        let Value::Array(elements) = self.value else {
            return self.wrong("a list").unwrap_or_default();
        };
        if elements.len() > most {
            self.fault(format!("{} has {} elements, at most {most} are possible", self.name(), elements.len()));
        }
        elements.iter().take(most).enumerate().map(|(at, value)| self.below(&at.to_string(), value)).collect()
    }

    /// A text.
    pub(super) fn text(&self) -> Option<String> {
        let Value::String(text) = self.value else { return self.wrong("a text") };
        if text.len() > TEXT_BYTES {
            self.fault(format!("{} has {} bytes, at most {TEXT_BYTES} are possible", self.name(), text.len()));
            return None;
        }
        Some(text.clone())
    }

    /// A text that is not empty and has no control characters.
    pub(super) fn word(&self) -> Option<String> {
        let text = self.text()?;
        if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            self.fault(format!("{} must have 1 to 256 characters and no line breaks", self.name()));
            return None;
        }
        Some(text)
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let given = self.value.as_str();
        let found = words.iter().find(|(word, _)| given == Some(*word)).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(format!("{} is one of {}", self.name(), words.join(", ")));
        }
        found
    }

    /// A whole number.
    pub(super) fn count(&self, least: u64, most: u64) -> Option<u64> {
        let number = self.value.as_u64().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.fault(format!("{} is a whole number from {least} to {most}", self.name()));
        }
        number
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        let Value::Bool(flag) = self.value else { return self.wrong("true or false") };
        Some(*flag)
    }

    /// A header's name.
    pub(super) fn header(&self) -> Option<String> {
        let name = self.text()?;
        let proper = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !proper {
            self.fault(format!("{} is no name of a header", self.name()));
        }
        proper.then(|| name.to_ascii_lowercase())
    }

    /// A text with gaps.
    pub(super) fn template(&self, allowed: Allowed<'_>) -> Option<Template> {
        let text = match self.value {
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => self.text()?,
        };
        match Template::parse(&text) {
            Ok(template) => {
                template.gaps().for_each(|gap| self.check_gap(gap, allowed));
                Some(template)
            }
            Err(why) => {
                self.fault(why);
                None
            }
        }
    }

    /// JSON with gaps.
    pub(super) fn json(&self, allowed: Allowed<'_>) -> Option<JsonTemplate> {
        Some(match self.value {
            Value::String(_) => JsonTemplate::Text(self.template(allowed)?),
            Value::Array(elements) => {
                let elements = elements.iter().enumerate();
                let read = elements.map(|(at, value)| self.below(&at.to_string(), value).json(allowed));
                JsonTemplate::Array(read.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?)
            }
            Value::Object(fields) => {
                let read =
                    fields.iter().map(|(name, value)| Some((name.clone(), self.below(name, value).json(allowed)?)));
                JsonTemplate::Object(read.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => JsonTemplate::Literal(self.value.clone()),
        })
    }

    pub(super) fn check_gap(&self, gap: &Gap, allowed: Allowed<'_>) {
        let declared = |fields: Option<&crate::Fields>| {
            fields.is_some_and(|fields| gap.path.first().is_some_and(|name| fields.get(name).is_some()))
        };
        let name = gap.name();
        match gap.root {
            Root::Params if !declared(allowed.params) => {
                self.fault(format!("{name} is filled in, and there is no such parameter; add it to parameters"));
            }
            Root::Options if !declared(Some(allowed.options)) => {
                self.fault(format!("{name} is filled in, and there is no such option; add it to options"));
            }
            Root::Record if !allowed.record => {
                self.fault(format!("{name} is filled in where there is no record; targets and expand have one"));
            }
            Root::Run | Root::Key if allowed.params.is_none() => {
                self.fault(format!("{name} is filled in where there is no run"));
            }
            Root::Params | Root::Options | Root::Record | Root::Run | Root::Key => {}
        }
    }
}

impl<'v, 'f> Entries<'v, 'f> {
    /// The value under this key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Node<'v, 'f>> {
        let value = self.map.get(key)?;
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Some(Node { value, path, faults: self.faults })
    }

    /// A text, or an empty one.
    pub(super) fn text(&self, key: &str) -> String {
        self.get(key).and_then(|node| node.text()).unwrap_or_default()
    }

    /// A path into JSON, or none.
    pub(super) fn json_path(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|node| node.word())
    }

    /// Reports a fault of the whole.
    pub(super) fn fault(&self, message: impl Into<String>) {
        self.faults.borrow_mut().push(Fault { path: self.path.clone(), message: message.into() });
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
