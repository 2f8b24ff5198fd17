//! The place in the engine's component that takes a manifest.
//!
//! The engine's static data holds [`MARK`], the engine's own name and version, and [`ROOM`] bytes of white space. Packing writes the manifest there,
//! as JSON, and changes nothing else: lengths, sections and code stay as they were, so a component that was valid is
//! valid still. White space behind JSON means nothing, so the document says itself where it ends.

/// What the place begins with. A component has it once.
pub const MARK: &[u8; 32] = b"<wherry:declarative:manifest:v1>";
/// Bytes for the name of the engine.
const NAME: usize = 32;
/// Bytes for the manifest. Connectors for large products have about 60 KiB; a descriptor may have 256 KiB.
pub const ROOM: usize = 256 << 10;
/// Bytes of the whole place.
pub const LENGTH: usize = MARK.len() + NAME + ROOM;

/// Why a manifest cannot be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The component has no such place, or not all of it.
    NotAnEngine,
    /// The component has it more than once.
    Ambiguous,
    /// The place has a manifest already.
    Packed,
    /// The manifest is too large.
    TooLarge {
        /// Its length as JSON.
        bytes: usize,
    },
}

/// The engine with a manifest in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The component.
    pub component: Vec<u8>,
    /// What the engine calls itself, such as `declarative 1.0.0`.
    pub engine: String,
}

/// The place as the engine is built with it. `engine` is its name and version.
///
/// # Panics
/// While the engine is built, if the name has more than 32 bytes.
#[must_use]
pub const fn empty(engine: &str) -> [u8; LENGTH] {
    let mut place = [b' '; LENGTH];
    let (head, rest) = place.split_at_mut(MARK.len());
    head.copy_from_slice(MARK);
    let (name, _) = rest.split_at_mut(NAME);
    name.split_at_mut(engine.len()).0.copy_from_slice(engine.as_bytes());
    place
}

/// Puts a manifest into the component of the engine.
///
/// # Errors
/// [`Refused`].
pub fn pack(engine: &[u8], manifest: &str) -> Result<Packed, Refused> {
    if manifest.len() > ROOM {
        return Err(Refused::TooLarge { bytes: manifest.len() });
    }
    let mut places = engine.windows(MARK.len()).enumerate().filter(|(_, window)| window == MARK);
    let (at, _) = places.next().ok_or(Refused::NotAnEngine)?;
    if places.next().is_some() {
        return Err(Refused::Ambiguous);
    }
    let start = at + MARK.len() + NAME;
    let name = engine.get(at + MARK.len()..start).unwrap_or_default();
    let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
    let room = engine.get(start..start + ROOM).ok_or(Refused::NotAnEngine)?;
    if room.iter().any(|byte| *byte != b' ') {
        return Err(Refused::Packed);
    }
    let mut packed = engine.to_vec();
    if let Some(place) = packed.get_mut(start..start + manifest.len()) {
        place.copy_from_slice(manifest.as_bytes());
    }
    Ok(Packed { component: packed, engine: name })
}

/// The manifest in the place; `None` if there is none.
#[must_use]
pub fn unpack(place: &[u8]) -> Option<&str> {
    let manifest = place.strip_prefix(MARK)?.get(NAME..)?.trim_ascii_end();
    if manifest.is_empty() { None } else { std::str::from_utf8(manifest).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Vec<u8> {
        [b"before".as_slice(), &empty("engine 1.0.0"), b"behind"].concat()
    }

    #[test]
    fn what_is_packed_is_what_is_unpacked_and_nothing_else_changes() {
        let Packed { component: packed, engine: name } = pack(&engine(), "{\"a\": 1}").unwrap();
        assert_eq!(name, "engine 1.0.0");
        assert_eq!(packed.len(), engine().len());
        assert_eq!(unpack(&packed[6..6 + LENGTH]), Some("{\"a\": 1}"));
        assert!(packed.starts_with(b"before") && packed.ends_with(b"behind"));
        assert_eq!(unpack(&empty("engine 1.0.0")), None);
        assert!(pack(&engine(), &"x".repeat(ROOM)).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let large = "x".repeat(ROOM + 1);
        assert_eq!(pack(&engine(), &large), Err(Refused::TooLarge { bytes: ROOM + 1 }));
        assert_eq!(pack(b"no engine at all, but long enough to hold the mark", "{}"), Err(Refused::NotAnEngine));
        assert_eq!(pack(&engine()[..1_000], "{}"), Err(Refused::NotAnEngine));
        assert_eq!(pack(&[engine(), engine()].concat(), "{}"), Err(Refused::Ambiguous));
        assert_eq!(pack(&pack(&engine(), "{}").unwrap().component, "{}"), Err(Refused::Packed));
    }
}
