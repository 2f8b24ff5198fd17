//! Finds values in JSON in one pass, without building anything.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::JsonPath;

/// Finds the values at several paths in one pass over a whole text, which must be one JSON value. Nothing is built and
/// nothing converted.
pub fn find<'a>(text: &'a str, paths: &[&JsonPath]) -> Result<Vec<Option<&'a RawValue>>, serde_json::Error> {
    walk(text, paths, None).map(|(found, _)| found)
}

/// What stands where records are expected.
#[derive(Debug, Default)]
pub(crate) enum Rows<'a> {
    /// Nothing.
    #[default]
    Missing,
    /// The elements of an array.
    Many(Vec<&'a RawValue>),
    /// An object, or anything together with what other paths lead to: look at the value itself.
    Whole,
    /// `null`.
    Null,
    /// Something else.
    Other,
}

/// The same, and the elements of the array at the first path in the same pass: an answer is mostly records, and
/// walking over them twice costs as much as everything else.
pub(crate) fn find_rows<'a>(
    text: &'a str,
    paths: &[&JsonPath],
) -> Result<(Rows<'a>, Vec<Option<&'a RawValue>>), serde_json::Error> {
    walk(text, paths, Some(0)).map(|(found, rows)| (rows, found))
}

type Walked<'a> = (Vec<Option<&'a RawValue>>, Rows<'a>);

fn walk<'a>(text: &'a str, paths: &[&JsonPath], rows_at: Option<usize>) -> Result<Walked<'a>, serde_json::Error> {
    let mut found = vec![None; paths.len()];
    let mut rows = Rows::Missing;
    let wanted: Vec<_> = (0..paths.len()).collect();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let finder = Finder { paths, depth: 0, wanted, found: &mut found, rows_at, rows: &mut rows };
    finder.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((found, rows))
}

/// Walks down the paths that are still possible, and skips everything else.
struct Finder<'p, 'f, 'a> {
    paths: &'p [&'p JsonPath],
    depth: usize,
    wanted: Vec<usize>,
    found: &'f mut Vec<Option<&'a RawValue>>,
    rows_at: Option<usize>,
    rows: &'f mut Rows<'a>,
}

impl<'a> Finder<'_, '_, 'a> {
    /// The paths that go on through a member.
    fn through(&self, name: &str) -> Vec<usize> {
        let leads =
            |at: &usize| self.paths.get(*at).and_then(|path| path.0.get(self.depth)).is_some_and(|part| part == name);
        self.wanted.iter().copied().filter(leads).collect()
    }

    /// The paths that end here.
    fn ending(&self) -> impl Iterator<Item = usize> {
        self.wanted.iter().copied().filter(|at| self.paths.get(*at).is_some_and(|path| path.0.len() == self.depth))
    }

    fn set(&mut self, at: usize, value: Option<&'a RawValue>) {
        if let Some(place) = self.found.get_mut(at) {
            *place = value;
        }
    }

    fn below(&mut self, wanted: Vec<usize>) -> Finder<'_, '_, 'a> {
        let Self { paths, depth, found, rows_at, rows, .. } = self;
        Finder { paths, depth: *depth + 1, wanted, found, rows_at: *rows_at, rows }
    }
}

impl<'de> DeserializeSeed<'de> for Finder<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let ending: Vec<_> = self.ending().collect();
        if ending.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let are_rows = self.rows_at.is_some_and(|at| ending.contains(&at));
        if are_rows && self.wanted.len() == 1 {
            return deserializer.deserialize_any(RowsOf(self.rows));
        }
        let raw: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
        for at in &ending {
            self.set(*at, Some(raw));
        }
        if are_rows {
            *self.rows = Rows::Whole;
        }
        self.wanted.retain(|at| !ending.contains(at));
        if self.wanted.is_empty() {
            return Ok(());
        }
        // Some paths end here and others go on inside: rare enough to look twice.
        let mut inner = serde_json::Deserializer::from_str(raw.get());
        inner_result(serde::Deserializer::deserialize_any(&mut inner, self))
    }
}

/// What was read once can be read again, so this fails for depth at most.
fn inner_result<E: serde::de::Error>(result: Result<(), serde_json::Error>) -> Result<(), E> {
    result.map_err(E::custom)
}

impl<'de> Visitor<'de> for Finder<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(name)) = map.next_key()? {
            let wanted = self.through(&name);
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(self.below(wanted))?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let is_number = |at: &usize| {
            let part = self.paths.get(*at).and_then(|path| path.0.get(self.depth));
            part.is_some_and(|part| part.parse::<usize>().is_ok())
        };
        let indexed = self.wanted.iter().any(is_number);
        for at in 0_usize.. {
            let wanted = if indexed { self.through(&at.to_string()) } else { Vec::new() };
            let more = if wanted.is_empty() {
                seq.next_element::<IgnoredAny>()?.is_some()
            } else {
                seq.next_element_seed(self.below(wanted))?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Collects the elements of an array.
struct RowsOf<'f, 'a>(&'f mut Rows<'a>);

impl<'de> Visitor<'de> for RowsOf<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element()? {
            rows.push(row);
        }
        *self.0 = Rows::Many(rows);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        *self.0 = Rows::Whole;
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        *self.0 = Rows::Null;
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        *self.0 = Rows::Other;
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        *self.0 = Rows::Other;
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        *self.0 = Rows::Other;
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        *self.0 = Rows::Other;
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        *self.0 = Rows::Other;
        Ok(())
    }
}
