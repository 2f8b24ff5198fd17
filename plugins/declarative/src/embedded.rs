//! The manifest inside this component.

use std::hint::black_box;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;
use wherry_manifest::{Manifest, region};
use wherry_sdk::{Error, Result};

/// Packing writes here. What is read goes through [`black_box`], so that nothing is decided while the engine is built.
#[used]
static PLACE: [u8; region::LENGTH] = region::empty(ENGINE);

/// What this engine calls itself.
const ENGINE: &str = "declarative 1.0.0";

/// What packing writes.
#[derive(Deserialize)]
struct Packed {
    /// Which engine this is.
    engine: Value,
    /// The manifest.
    manifest: Value,
}

/// What the component holds.
pub(crate) struct Embedded {
    engine: Value,
    manifest: Manifest,
}

/// The manifest.
pub(crate) fn manifest() -> Result<&'static Manifest> {
    embedded().map(|embedded| &embedded.manifest)
}

/// The descriptor; of an engine without a manifest, one that nobody can publish.
pub fn descriptor() -> String {
    let made = embedded().map(|embedded| embedded.manifest.descriptor(&embedded.engine));
    made.unwrap_or_else(|error| serde_json::json!({ "error": error.message })).to_string()
}

fn embedded() -> Result<&'static Embedded> {
    static EMBEDDED: OnceLock<Result<Embedded>> = OnceLock::new();
    #[cfg(test)]
    if let Some(given) = GIVEN.get() {
        return Ok(given);
    }
    EMBEDDED.get_or_init(|| read(black_box(&PLACE))).as_ref().map_err(Clone::clone)
}

fn read(place: &[u8]) -> Result<Embedded> {
    let none = "this is the engine of declarative connectors without a manifest; pack one with: \
                wherry connector package MANIFEST.yaml --key FILE";
    let text = region::unpack(place).ok_or_else(|| Error::config("declarative.not_packed", none))?;
    let invalid = |why: String| {
        let message = format!("the manifest in this component cannot be used: {why}; pack it again");
        Error::config("declarative.manifest_invalid", message)
    };
    let packed: Packed = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let manifest = wherry_manifest::read(&packed.manifest).map_err(|faults| {
        let first = faults.into_iter().next();
        invalid(first.map(|fault| format!("{}: {}", fault.path.join("."), fault.message)).unwrap_or_default())
    })?;
    Ok(Embedded { engine: packed.engine, manifest })
}

#[cfg(test)]
thread_local! {
    static GIVEN: std::cell::Cell<Option<&'static Embedded>> = const { std::cell::Cell::new(None) };
}

/// Puts a manifest in place of the component's, for this thread.
#[cfg(test)]
pub(crate) fn give(manifest: &Value) {
    let manifest = wherry_manifest::read(manifest).unwrap();
    GIVEN.set(Some(Box::leak(Box::new(Embedded { engine: Value::Null, manifest }))));
}

#[cfg(test)]
mod tests {
    use wherry_sdk::Connector as _;

    use super::*;

    #[test]
    fn an_engine_without_a_manifest_says_so() {
        assert_eq!(ENGINE, format!("{} {}", crate::Declarative::NAME, crate::VERSION));
        assert_eq!(manifest().unwrap_err().code, "declarative.not_packed");
        assert!(descriptor().contains("without a manifest"));
    }

    #[test]
    fn a_place_with_anything_else_than_a_manifest_is_refused() {
        let read_back = |text: &str| {
            let mut place = region::empty(ENGINE);
            place[region::LENGTH - region::ROOM..][..text.len()].copy_from_slice(text.as_bytes());
            read(&place).err().unwrap()
        };
        assert_eq!(read_back("{").code, "declarative.manifest_invalid");
        let error = read_back(r#"{"engine": {}, "manifest": {"manifest": 1}}"#);
        assert!(error.message.contains("needs name"), "{error}");
        let deep = read_back(&"[".repeat(200_000));
        assert_eq!(deep.code, "declarative.manifest_invalid");
    }
}
