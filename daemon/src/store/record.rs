//! Typed values: one schema byte, then JSON.

use std::any::type_name;

use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

/// Encodes `value` under the writer's `schema` number.
pub fn encode<T: Serialize>(schema: u8, value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(schema);
    serde_json::to_writer(&mut bytes, value).map_err(|error| unreadable::<T>(&error))?;
    Ok(bytes)
}

/// Decodes what [`encode`] wrote, under any schema up to `max_schema`.
///
/// Older schemas are read by serde defaults; a newer one is [`StoreError::Newer`], because
/// guessing at it could lose what the newer version meant.
pub fn decode<T: DeserializeOwned>(max_schema: u8, bytes: &[u8]) -> Result<T, StoreError> {
    let Some((&schema, body)) = bytes.split_first() else {
        return Err(StoreError::Record { type_name: type_name::<T>(), reason: "it is empty".into() });
    };
    if schema > max_schema {
        return Err(StoreError::Newer { type_name: type_name::<T>(), found: schema, supported: max_schema });
    }
    serde_json::from_slice(body).map_err(|error| unreadable::<T>(&error))
}

/// The place and kind of the fault only: serde's own text can quote the value, which may be
/// nobody else's business.
fn unreadable<T>(error: &serde_json::Error) -> StoreError {
    let reason = format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
    StoreError::Record { type_name: type_name::<T>(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_under_the_same_or_an_older_schema() {
        let bytes = encode(2, &vec!["a", "b"]).unwrap();
        assert_eq!(bytes.first(), Some(&2));
        assert_eq!(decode::<Vec<String>>(2, &bytes).unwrap(), ["a", "b"]);
        assert_eq!(decode::<Vec<String>>(9, &bytes).unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_newer_schema_is_named_and_not_guessed_at() {
        let error = decode::<u32>(1, &encode(2, &7).unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, supported: 1, .. }));
        assert_eq!(error.code(), "store.newer_version");
    }

    #[test]
    fn a_record_of_another_shape_is_an_error_that_does_not_quote_it() {
        let error = decode::<u32>(1, &encode(1, &"hunter2").unwrap()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(decode::<u32>(1, &[]).is_err());
    }
}
