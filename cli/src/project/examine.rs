//! Holds a parsed file against its shape and collects every fault.

use std::path::Path;

use wherry_domain::duration;
use wherry_domain::failure::Code;
use wherry_domain::name::Name;
use wherry_domain::project::check::nearest;

use super::fault::{Fault, KEY_MISSING, KEY_UNKNOWN, NAME_INVALID, NOT_SUPPORTED, VALUE_INVALID};
use super::shape::{AUTH, AUTH_LATER, Fields, SECRET, Shape, TOKEN_PLACE};
use super::yaml::{Key, Node, Place, Tree};

/// Every fault of `node` as a file with these keys.
pub(super) fn examine(file: &Path, node: &Node, fields: &Fields) -> Vec<Fault> {
    let mut examination = Examination { file, faults: Vec::new() };
    examination.fields(node, fields);
    examination.faults
}

struct Examination<'a> {
    file: &'a Path,
    faults: Vec<Fault>,
}

impl Examination<'_> {
    fn add(&mut self, at: Place, code: Code, message: impl Into<String>, meant: Option<String>) {
        self.faults.push(Fault::new(self.file, at, code, message).meant(meant));
    }

    fn value(&mut self, key: &str, node: &Node, shape: Shape) {
        match shape {
            Shape::Text => {
                self.text(key, node);
            }
            Shape::Flag if matches!(node.tree, Tree::Flag(_)) => {}
            Shape::Flag => self.wrong(key, node, "true or false"),
            Shape::Count if node.as_count().is_some() => {}
            Shape::Count => self.wrong(key, node, "a whole number from 0 to 4294967295"),
            Shape::Duration => self.duration(key, node),
            Shape::Name => self.name(key, node),
            Shape::Word(words) => self.word(key, node, words),
            Shape::Map if matches!(node.tree, Tree::Map(_)) => {}
            Shape::Map => self.wrong(key, node, "a map"),
            Shape::NamedValues => self.named_values(key, node),
            Shape::Texts => self.texts(key, node),
            Shape::Names => self.names(key, node),
            Shape::Named(fields) => self.named(key, node, fields),
            Shape::NumberOrText if is_number(node) || node.as_text().is_some() => {}
            Shape::NumberOrText => self.wrong(key, node, "a whole number, or a text with a variable"),
            Shape::TokenPlace if node.as_text() == Some("text") => {}
            Shape::TokenPlace if matches!(node.tree, Tree::Map(_)) => self.fields(node, &TOKEN_PLACE),
            Shape::TokenPlace => self.wrong(key, node, "the word text, or { json: POINTER }"),
            Shape::Fields(fields) => self.fields(node, fields),
            Shape::Auth => self.auth(node),
            Shape::Secret => self.secret(key, node),
            Shape::OneOf(fields) => self.one_of(key, node, fields),
        }
    }

    fn wrong(&mut self, key: &str, node: &Node, wanted: &str) {
        self.add(node.at, VALUE_INVALID, format!("{key} is {wanted}, not {}", node.kind()), None);
    }

    fn text<'n>(&mut self, key: &str, node: &'n Node) -> Option<&'n str> {
        match &node.tree {
            Tree::Text(text) => return Some(text),
            Tree::Number(_) | Tree::Flag(_) => {
                let message = format!("{key} is a text, not {}: put it in quotes", node.kind());
                self.add(node.at, VALUE_INVALID, message, None);
            }
            Tree::Null | Tree::List(_) | Tree::Map(_) => self.wrong(key, node, "a text"),
        }
        None
    }

    fn duration(&mut self, key: &str, node: &Node) {
        let text = node.as_text().unwrap_or_default();
        if let Err(error) = duration::parse(text) {
            self.add(node.at, VALUE_INVALID, format!("{key}: {error}"), None);
        }
    }

    fn name(&mut self, key: &str, node: &Node) {
        let Some(text) = self.text(key, node) else { return };
        if let Err(error) = text.parse::<Name>() {
            self.add(node.at, NAME_INVALID, format!("{key}: {error}"), proper_name(text));
        }
    }

    fn word(&mut self, key: &str, node: &Node, words: &[&str]) {
        let Some(text) = self.text(key, node) else { return };
        if !words.contains(&text) {
            let message = format!("{key} is one of {}, not {text:?}", words.join(", "));
            self.add(node.at, VALUE_INVALID, message, nearest(text, words.iter().copied()));
        }
    }

    fn named_values(&mut self, key: &str, node: &Node) {
        let Tree::Map(entries) = &node.tree else { return self.wrong(key, node, "a map") };
        for (name, _) in entries {
            if let Err(error) = name.text.parse::<Name>() {
                self.add(name.at, NAME_INVALID, error.to_string(), proper_name(&name.text));
            }
        }
    }

    fn fields(&mut self, node: &Node, fields: &Fields) {
        let Tree::Map(entries) = &node.tree else { return self.wrong(fields.what, node, "a map") };
        for (key, value) in entries {
            match fields.known.iter().find(|field| field.key == key.text) {
                Some(field) => self.value(&key.text, value, field.shape),
                None => self.stray(key, fields),
            }
        }
        let is_there = |wanted: &str| entries.iter().any(|(key, _)| key.text == wanted);
        for field in fields.known.iter().filter(|field| field.required && !is_there(field.key)) {
            self.add(node.at, KEY_MISSING, format!("{} needs the key {}", fields.what, field.key), None);
        }
    }

    fn texts(&mut self, key: &str, node: &Node) {
        let Tree::Map(entries) = &node.tree else { return self.wrong(key, node, "a map") };
        for (name, value) in entries {
            self.text(&format!("{key}.{}", clipped(&name.text)), value);
        }
    }

    fn names(&mut self, key: &str, node: &Node) {
        self.named_values(key, node);
        if let Tree::Map(entries) = &node.tree {
            for (name, value) in entries {
                self.name(&format!("{key}.{}", clipped(&name.text)), value);
            }
        }
    }

    fn named(&mut self, key: &str, node: &Node, fields: &Fields) {
        self.named_values(key, node);
        if let Tree::Map(entries) = &node.tree {
            for (_, value) in entries {
                self.fields(value, fields);
            }
        }
    }

    fn one_of(&mut self, key: &str, node: &Node, fields: &Fields) {
        self.fields(node, fields);
        let known = || fields.known.iter().map(|field| field.key);
        if known().filter(|known| node.get(known).is_some()).count() != 1 {
            let known = known().collect::<Vec<_>>().join(", ");
            self.add(node.at, VALUE_INVALID, format!("{key} has exactly one of the keys {known}"), None);
        }
    }

    fn stray(&mut self, key: &Key, fields: &Fields) {
        if let Some((later, instead)) = fields.later.iter().find(|(later, _)| *later == key.text) {
            let message = format!("this version does not support {later} in {}: {instead}", fields.what);
            return self.add(key.at, NOT_SUPPORTED, message, None);
        }
        let known = fields.known.iter().map(|field| field.key);
        let meant = nearest(&key.text, known.clone());
        let known: Vec<_> = known.collect();
        let message = format!("{} has no key {:?}; it has {}", fields.what, clipped(&key.text), known.join(", "));
        self.add(key.at, KEY_UNKNOWN, message, meant);
    }

    fn auth(&mut self, node: &Node) {
        if !matches!(node.tree, Tree::Map(_)) {
            return self.wrong("auth", node, "a map");
        }
        let names = || AUTH.iter().map(|(name, _)| *name);
        let known = names().collect::<Vec<_>>().join(", ");
        let Some(scheme) = node.get("type") else {
            return self.add(node.at, KEY_MISSING, format!("auth needs the key type: one of {known}"), None);
        };
        let Some(text) = self.text("type", scheme) else { return };
        if let Some((_, fields)) = AUTH.iter().find(|(name, _)| *name == text) {
            return self.fields(node, fields);
        }
        if let Some((_, instead)) = AUTH_LATER.iter().find(|(later, _)| *later == text) {
            let message = format!("this version does not support auth of type {text}: {instead}");
            return self.add(scheme.at, NOT_SUPPORTED, message, None);
        }
        let message = format!("type of auth is one of {known}, not {:?}", clipped(text));
        self.add(scheme.at, VALUE_INVALID, message, nearest(text, names()));
    }

    fn secret(&mut self, key: &str, node: &Node) {
        if matches!(node.tree, Tree::Map(_)) {
            return self.fields(node, &SECRET);
        }
        // Said without the value: what stands there is perhaps a real password.
        let message = format!(
            "{key} names a secret, {{ secret: NAME }}, and never holds it; set its value on each agent with \
             `wherry-agent secret set NAME`"
        );
        self.add(node.at, VALUE_INVALID, message, None);
    }
}

/// The name that comes closest to what was written, if there is one.
pub(super) fn proper_name(text: &str) -> Option<String> {
    let mapped: String = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    let trimmed = mapped.trim_matches('-');
    trimmed.parse::<Name>().ok().map(|name| name.as_str().to_owned())
}

fn is_number(node: &Node) -> bool {
    matches!(&node.tree, Tree::Number(number) if number.as_u64().is_some())
}

fn clipped(text: &str) -> String {
    text.chars().take(60).collect()
}
