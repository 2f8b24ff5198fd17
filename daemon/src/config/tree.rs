//! The layered values as a tree in which single places can be looked up and changed.

use std::{collections::BTreeMap, fmt};

use config::ValueKind;

/// Which layer a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    File,
    Environment,
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the file",
            Self::Environment => "the environment",
            Self::CommandLine => "the command line",
        })
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) node: Node,
    pub(super) origin: Origin,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Nothing.
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Table(BTreeMap<String, Tree>),
    /// Stands where a fault was found and pretends to be whatever is asked for, so that reading
    /// goes on to the next fault.
    Anything,
}

impl From<config::Value> for Tree {
    fn from(value: config::Value) -> Self {
        let origin = match value.origin() {
            Some(text) if text == Origin::CommandLine.to_string() => Origin::CommandLine,
            Some(text) if text == Origin::Environment.to_string() => Origin::Environment,
            Some(_) | None => Origin::File,
        };
        let node = match value.kind {
            ValueKind::Nil => Node::Null,
            ValueKind::Boolean(value) => Node::Bool(value),
            ValueKind::I64(value) => Node::Integer(value.into()),
            ValueKind::U64(value) => Node::Integer(value.into()),
            ValueKind::I128(value) => Node::Integer(value),
            ValueKind::U128(value) => Node::Integer(i128::try_from(value).unwrap_or(i128::MAX)),
            ValueKind::Float(value) => Node::Float(value),
            ValueKind::String(value) => Node::Text(value),
            ValueKind::Array(values) => Node::List(values.into_iter().map(Self::from).collect()),
            ValueKind::Table(values) => {
                Node::Table(values.into_iter().map(|(key, value)| (key, Self::from(value))).collect())
            }
        };
        Self { node, origin }
    }
}

impl Tree {
    /// What stands at `path`.
    pub(super) fn at<'a>(&'a self, path: &[String]) -> Option<&'a Self> {
        path.iter().try_fold(self, |tree, step| tree.child(step))
    }

    /// Puts `node` at `path`, creating tables on the way; whether that was possible.
    pub(super) fn replace(&mut self, path: &[String], node: Node) -> bool {
        let Some((first, rest)) = path.split_first() else {
            self.node = node;
            return true;
        };
        if matches!(self.node, Node::Anything | Node::Null) {
            self.node = Node::Table(BTreeMap::new());
        }
        let origin = self.origin;
        match &mut self.node {
            Node::Table(table) => {
                table.entry(first.clone()).or_insert(Self { node: Node::Null, origin }).replace(rest, node)
            }
            Node::List(list) => {
                index(first).and_then(|at| list.get_mut(at)).is_some_and(|tree| tree.replace(rest, node))
            }
            Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) | Node::Anything => false,
        }
    }

    /// Takes away what stands at `path`; whether there was something.
    pub(super) fn remove(&mut self, path: &[String]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let mut tree = self;
        for step in parents {
            let Some(next) = tree.child_mut(step) else { return false };
            tree = next;
        }
        match &mut tree.node {
            Node::Table(table) => table.remove(last).is_some(),
            Node::List(list) => match index(last).filter(|at| *at < list.len()) {
                Some(at) => {
                    list.remove(at);
                    true
                }
                None => false,
            },
            Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) | Node::Anything => false,
        }
    }

    fn child(&self, step: &str) -> Option<&Self> {
        match &self.node {
            Node::Table(table) => table.get(step),
            Node::List(list) => index(step).and_then(|at| list.get(at)),
            Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) | Node::Anything => None,
        }
    }

    fn child_mut(&mut self, step: &str) -> Option<&mut Self> {
        match &mut self.node {
            Node::Table(table) => table.get_mut(step),
            Node::List(list) => index(step).and_then(|at| list.get_mut(at)),
            Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) | Node::Anything => None,
        }
    }
}

/// A path as people write it: `servers[2].port`.
pub(super) fn written(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if index(step).is_none() && !text.is_empty() {
            text.push('.');
        }
        text.push_str(step);
    }
    text
}

/// A step into a list is its number in brackets, which no key can be taken for.
fn index(step: &str) -> Option<usize> {
    step.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}
