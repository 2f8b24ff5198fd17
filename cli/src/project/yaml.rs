//! YAML with places: every value remembers its line and column, so that each fault can point at its cause.
//!
//! Project files come from strangers too (a repository that is reviewed or built), so nesting, aliases and nodes
//! have budgets, and the surprising corners of YAML are switched off: merge keys, `yes` and `no` as booleans, custom
//! tags, several documents in one file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, MergeKeyPolicy, MessageFormatter, Spanned, UserMessageFormatter};

/// Deepest nesting. An unoptimised build takes 40 KiB of stack per level, and a thread of a test has 2 MiB.
const MAX_DEPTH: usize = 32;

/// Where something stands in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    /// The beginning of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    fn of(location: serde_saphyr::Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) tree: Tree,
}

/// A key of a map and where it stands.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) at: Place,
    pub(crate) text: String,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Tree {
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// Why a text is not YAML, and where.
#[derive(Debug)]
pub(crate) struct SyntaxFault {
    pub(crate) at: Place,
    pub(crate) message: String,
}

/// Reads one document.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxFault> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 100_000,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_aliases: 100,
            max_anchors: 100,
            max_recorded_anchor_events: 10_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax_fault(&error))
}

fn syntax_fault(error: &Error) -> SyntaxFault {
    let bare = error.without_snippet();
    let at = bare.location().map_or(Place::START, Place::of);
    let message = UserMessageFormatter.format_message(bare);
    let message: String = message.chars().filter(|c| !c.is_control()).take(300).collect();
    SyntaxFault { at, message }
}

impl Node {
    /// The entry of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.tree {
            Tree::Map(entries) => entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| node),
            Tree::List(items) => key.parse().ok().and_then(|index: usize| items.get(index)),
            Tree::Null | Tree::Flag(_) | Tree::Number(_) | Tree::Text(_) => None,
        }
    }

    /// The value, if it is a text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Tree::Text(text) = &self.tree { Some(text) } else { None }
    }

    /// The value, if it is a whole number of 32 bits.
    pub(crate) fn as_count(&self) -> Option<u32> {
        if let Tree::Number(number) = &self.tree { number.as_u64()?.try_into().ok() } else { None }
    }

    /// The node at `path`, or the last one on the way that exists.
    pub(crate) fn nearest<'a>(&self, path: impl Iterator<Item = &'a String>) -> &Self {
        let mut node = self;
        for key in path {
            match node.get(key) {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// What the value is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.tree {
            Tree::Null => "nothing",
            Tree::Flag(_) => "true or false",
            Tree::Number(_) => "a number",
            Tree::Text(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }

    /// The value without its places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Null => Value::Null,
            Tree::Flag(flag) => Value::Bool(*flag),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Text(text) => Value::String(text.clone()),
            Tree::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Tree::Map(entries) => Value::Object(
                entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Tree>::deserialize(deserializer)?;
        Ok(Self { at: Place::of(spanned.referenced), tree: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { at: Place::of(spanned.referenced), text: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value).map(Tree::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        if entries.iter().any(|(key, _)| key.text.len() > 1_024) {
            return Err(A::Error::custom("a key has at most 1,024 bytes"));
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_knows_its_line_and_column() {
        let node = parse("a: 1\nb:\n  - x\n  - { c: true }\n").unwrap();
        let Tree::Map(entries) = &node.tree else { panic!("{node:?}") };
        let places: Vec<_> = entries.iter().map(|(key, node)| (key.at.line, key.at.column, node.at.column)).collect();
        assert_eq!(places, [(1, 1, 4), (2, 1, 3)]);
        let deep = node.nearest(["b".to_owned(), "1".to_owned(), "c".to_owned()].iter());
        assert_eq!(deep.at, Place { line: 4, column: 10 });
        assert_eq!(node.to_json(), serde_json::json!({"a": 1, "b": ["x", {"c": true}]}));
    }

    #[test]
    fn the_surprising_corners_of_yaml_are_texts_or_faults() {
        let node = parse("country: no\nid: 0025\nbig: 1_000\nempty:\n").unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"country": "no", "id": "0025", "big": "1_000", "empty": null}));
        for bad in [
            "a: 1\na: 2\n",
            "base: &b {x: 1}\nc:\n  <<: *b\n",
            "a: !secret x\n",
            "a: 1\n---\nb: 2\n",
            "a: [\n",
            "a: .inf\n",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_alias_bomb_and_a_deep_nest_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let previous = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![previous; 9].join(", "));
        }
        assert!(parse(&bomb).is_err());
        assert!(parse(&format!("{}x{}", "[".repeat(30), "]".repeat(30))).is_ok());
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse(&format!("{}x", "- ".repeat(500))).is_err());
    }
}
