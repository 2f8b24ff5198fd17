//! Whole numbers of a stated width. JSON Schema knows the formats `uint64`, `int32` and so on for readers only; a
//! connector that reads its parameters as such numbers refuses anything wider, after a way through the network.

use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

/// The least and the greatest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range(i128, i128);

impl Range {
    /// Of a format; the names are those of OpenAPI and of schemars. Other formats say nothing here.
    fn of(format: &str) -> Option<Self> {
        Some(match format {
            "uint8" => Self(0, u8::MAX.into()),
            "uint16" => Self(0, u16::MAX.into()),
            "uint32" => Self(0, u32::MAX.into()),
            "uint" | "uint64" => Self(0, u64::MAX.into()),
            "int8" => Self(i8::MIN.into(), i8::MAX.into()),
            "int16" => Self(i16::MIN.into(), i16::MAX.into()),
            "int32" => Self(i32::MIN.into(), i32::MAX.into()),
            "int" | "int64" => Self(i64::MIN.into(), i64::MAX.into()),
            _ => return None,
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "the bounds are powers of two, one off at most")]
    fn has(self, value: &Value) -> bool {
        let whole = value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from));
        match (whole, value.as_f64()) {
            (Some(whole), _) => self.0 <= whole && whole <= self.1,
            // Numbers beyond 64 bits are read as these. Whether a fraction may stand here is not this keyword's matter.
            (None, Some(number)) => number >= self.0 as f64 && number < (self.1 + 1) as f64,
            (None, None) => true,
        }
    }
}

/// The keyword `format`, as far as it is about whole numbers.
struct Width(Option<Range>);

impl<'i> Keyword<'i> for Width {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        match self.0 {
            Some(range) if !range.has(instance) => {
                let Range(least, most) = range;
                Err(ValidationError::custom(format!("what stands here is not a whole number of {least} to {most}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.0.is_none_or(|range| range.has(instance))
    }
}

/// Makes the keyword for a schema.
#[allow(clippy::unnecessary_wraps, reason = "the library's form of a factory")]
pub(super) fn format<'a>(
    _: &'a Map<String, Value>,
    said: &'a Value,
    _: jsonschema::paths::Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    Ok(Box::new(Width(said.as_str().and_then(Range::of))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_held_against_the_width_that_its_format_states() {
        let beyond: Value = serde_json::from_str("18446744073709551616").unwrap();
        // The first beyond 64 bits that is not read as the least of them.
        let least: Value = serde_json::from_str("-9223372036854777856").unwrap();
        let table = [
            ("uint64", json!(u64::MAX), true),
            ("uint64", beyond, false),
            ("uint", json!(-1), false),
            ("uint16", json!(65_535), true),
            ("uint16", json!(65_536), false),
            ("int64", json!(i64::MIN), true),
            ("int64", json!(u64::MAX), false),
            ("int64", least, false),
            ("int8", json!(-129), false),
            ("int32", json!(1e30), false),
            ("int32", json!(1.0), true),
            ("double", json!(1e300), true),
            ("uint8", json!("300"), true),
        ];
        for (format, value, fits) in table {
            assert_eq!(Range::of(format).is_none_or(|range| range.has(&value)), fits, "{format} {value}");
        }
    }
}
