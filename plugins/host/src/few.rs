//! Sequences that another process may not make longer than there is reason for.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// At most `MOST` elements. A longer sequence is refused before what is beyond takes room: an element of two bytes on
/// the way may be one of fifty once it is read.
#[derive(Debug)]
pub struct Few<T, const MOST: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Taken::<T, MOST>(PhantomData)).map(Self)
    }
}

struct Taken<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Taken<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MOST} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let announced = elements.size_hint().unwrap_or_default();
        if announced > MOST {
            return Err(A::Error::invalid_length(announced, &self));
        }
        let mut taken = Vec::with_capacity(announced);
        while let Some(element) = elements.next_element()? {
            if taken.len() >= MOST {
                return Err(A::Error::invalid_length(MOST.saturating_add(1), &self));
            }
            taken.push(element);
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_may_be_as_long_as_it_may_be_and_no_longer() {
        assert_eq!(serde_json::from_str::<Few<u8, 2>>("[1,2]").unwrap().0, [1, 2]);
        assert!(serde_json::from_str::<Few<u8, 2>>("[1,2,3]").is_err());
    }

    #[test]
    fn whoever_announces_more_is_refused_before_anything_is_read() {
        let announced =
            serde::de::value::SeqDeserializer::<_, serde::de::value::Error>::new((0..3).inspect(|_| panic!("read")));
        assert!(Few::<u8, 2>::deserialize(announced).is_err());
    }
}
