//! Reading a tree into a type and finding every fault on the way.
//!
//! serde stops at the first fault. So each fault's place is replaced by a stand-in that fits
//! whatever is asked for, and the tree is read again until nothing new turns up.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    path::Path,
    vec,
};

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{
    fault::Fault,
    faults::{ConfigFault, ConfigFaults, Faults},
    tree::{Node, Origin, Tree, written},
};

/// Readings after which looking for more faults ends; far above what a person could mend at once.
const MAX_READINGS: usize = 256;

/// The value, or all faults of `tree`; `file` is named in them.
pub(super) fn every_fault<T: DeserializeOwned>(mut tree: Tree, file: Option<&Path>) -> Result<T, ConfigFaults> {
    let mut faults = Faults::new();
    let mut seen = BTreeSet::new();
    for _ in 0..MAX_READINGS {
        let fault = match T::deserialize(tree.clone()) {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(fault) => fault,
        };
        let path: Vec<String> = fault.reversed_path.into_iter().rev().collect();
        let new = !(0..=path.len()).any(|length| path.get(..length).is_some_and(|path| seen.contains(path)));
        if new {
            let origin = tree.at(&path).map(|tree| tree.origin);
            faults.add(ConfigFault { path: written(&path), message: fault.message, origin });
        }
        // A stand-in that did not fit either is taken away; what is gone and still missed ends it.
        let repaired = if fault.unknown || (!new && tree.at(&path).is_some()) {
            tree.remove(&path)
        } else {
            new && tree.replace(&path, Node::Anything)
        };
        seen.insert(path);
        if !repaired {
            break;
        }
    }
    let unread = || ConfigFaults::one("", "it has more faults than can be told", Origin::File);
    let faults = faults.into_error().unwrap_or_else(unread);
    Err(match file {
        Some(file) => faults.in_file(file),
        None => faults,
    })
}

/// Visits a whole number in the width that fits.
fn integer<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, Fault> {
    if let Ok(value) = u64::try_from(value) {
        visitor.visit_u64(value)
    } else if let Ok(value) = i64::try_from(value) {
        visitor.visit_i64(value)
    } else {
        visitor.visit_i128(value)
    }
}

impl Tree {
    /// Text from the environment or the command line, which has no types of its own.
    fn untyped(&self) -> Option<&str> {
        match (&self.node, self.origin) {
            (Node::Text(text), Origin::Environment | Origin::CommandLine) => Some(text.trim()),
            _ => None,
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match (&self.node, self.untyped().map(str::parse::<i128>)) {
                (Node::Anything, _) => visitor.visit_u64(1),
                (_, Some(Ok(value))) => integer(value, visitor),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            if self.node == Node::Anything {
                return visitor.visit_str("");
            }
            self.deserialize_any(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Tree {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Null | Node::Anything => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(value),
            Node::Integer(value) => integer(value, visitor),
            Node::Float(value) => visitor.visit_f64(value),
            Node::Text(value) => visitor.visit_string(value),
            Node::List(list) => visitor.visit_seq(List::new(list)),
            Node::Table(table) => visitor.visit_map(Table::new(table)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (&self.node, self.untyped()) {
            (Node::Anything, _) | (_, Some("true" | "yes" | "on" | "1")) => visitor.visit_bool(true),
            (_, Some("false" | "no" | "off" | "0")) => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (&self.node, self.untyped().map(str::parse::<f64>)) {
            (Node::Anything, _) => visitor.visit_f64(1.0),
            (_, Some(Ok(value))) => visitor.visit_f64(value),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    texts! { deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if matches!(self.node, Node::Null | Node::Anything) {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (&self.node, self.untyped()) {
            (Node::Anything, _) | (_, Some("")) => visitor.visit_seq(List::new(Vec::new())),
            (_, Some(text)) => {
                let part = |part: &str| Tree { node: Node::Text(part.trim().to_owned()), origin: self.origin };
                visitor.visit_seq(List::new(text.split(',').map(part).collect()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node == Node::Anything {
            return visitor.visit_map(Table::new(BTreeMap::new()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if let Node::Table(table) = &self.node
            && let Some(unknown) = table.keys().find(|key| !fields.contains(&key.as_str()))
        {
            return Err(de::Error::unknown_field(unknown, fields));
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let refused = || Fault::new(format!("expected one of {}", variants.join(", ")));
        match self.node {
            Node::Text(name) => visitor.visit_enum(name.trim().into_deserializer()),
            Node::Anything => {
                let name = variants.first().copied().unwrap_or_default().to_owned();
                visitor.visit_enum(Variant { name, value: Self { node: Node::Anything, origin: self.origin } })
            }
            Node::Table(table) => {
                let mut entries = table.into_iter();
                let (Some((name, value)), None) = (entries.next(), entries.next()) else { return Err(refused()) };
                visitor.visit_enum(Variant { name: name.clone(), value }).map_err(|fault| fault.inside(name))
            }
            Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::List(_) => Err(refused()),
        }
    }

    serde::forward_to_deserialize_any! { unit unit_struct ignored_any }
}

struct List {
    rest: vec::IntoIter<Tree>,
    next: usize,
}

impl List {
    fn new(list: Vec<Tree>) -> Self {
        Self { rest: list.into_iter(), next: 0 }
    }
}

impl<'de> SeqAccess<'de> for List {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(tree) = self.rest.next() else { return Ok(None) };
        let at = self.next;
        self.next += 1;
        seed.deserialize(tree).map(Some).map_err(|fault| fault.inside(format!("[{at}]")))
    }
}

struct Table {
    rest: btree_map::IntoIter<String, Tree>,
    value: Option<(String, Tree)>,
}

impl Table {
    fn new(table: BTreeMap<String, Tree>) -> Self {
        Self { rest: table.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Table {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((key.clone(), value));
        let name: de::value::StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|fault| if fault.unknown { fault } else { fault.inside(key) })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, value) = self.value.take().ok_or_else(|| Fault::new("a value without a key".to_owned()))?;
        seed.deserialize(value).map_err(|fault| fault.inside(key))
    }
}

struct Variant {
    name: String,
    value: Tree,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Fault;
    type Variant = Tree;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Tree), Fault> {
        let name: de::value::StrDeserializer<'_, Fault> = self.name.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, self.value))
    }
}

impl<'de> VariantAccess<'de> for Tree {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        if matches!(self.node, Node::Null | Node::Anything) {
            return Ok(());
        }
        Err(Fault::new("expected the name alone".to_owned()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_struct(self, "", fields, visitor)
    }
}
