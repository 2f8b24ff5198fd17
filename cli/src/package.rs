//! Connector packages: one line with the signed release, one with the descriptor, then the component, in one file.

use std::fs;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use semver::Version;
use serde_json::Value;
use wherry_domain::name::Name;
use wherry_trust::dsse::{Envelope, Limits};
use wherry_trust::keys::SigningKey;
use wherry_trust::release::{DESCRIPTOR_LIMIT, Release, ReleaseError, WASM_LIMIT, one_line, sign_release};

use crate::codes;
use crate::error::{CliError, Outcome, unreadable};
use crate::exit::Exit;

/// What a component begins with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// Envelope and descriptor, beside the component.
const MARGIN: u64 = 1 << 20;
/// Most bytes of release notes, as of the release itself.
const NOTES_LIMIT: u64 = 16 << 10;

/// A signed package.
pub(crate) struct Package {
    pub(crate) release: Release,
    pub(crate) bytes: Vec<u8>,
}

/// What goes into a package.
pub(crate) struct Parts<'a> {
    /// The component.
    pub(crate) component: &'a [u8],
    /// What it says of itself.
    pub(crate) descriptor: &'a str,
    /// The oldest agent that can run it.
    pub(crate) min_agent: Version,
    /// What changed.
    pub(crate) notes: String,
}

/// Signs a component together with what it says of itself.
pub(crate) fn assemble(parts: Parts<'_>, key: &SigningKey) -> Outcome<Package> {
    let refused = |error: ReleaseError| CliError::new(Exit::Invalid, error.code(), error.to_string());
    let Parts { component, descriptor, min_agent, notes } = parts;
    let release = Release::of(component, descriptor, min_agent, notes)
        .map_err(|error| CliError::new(Exit::Invalid, codes::PACKAGE_DESCRIPTOR_INVALID, error.to_string()))?;
    let mut bytes = sign_release(&release, key).map_err(refused)?.to_json();
    bytes.push(b'\n');
    bytes.extend_from_slice(one_line(descriptor).as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(component);
    Ok(Package { release, bytes })
}

/// Reads a component.
pub(crate) fn component(path: &Path) -> Outcome<Vec<u8>> {
    let component = read(path, WASM_LIMIT)?;
    if component.starts_with(COMPONENT) {
        return Ok(component);
    }
    let message = "this is not a WebAssembly component; build it for wasm32-wasip2";
    Err(CliError::new(Exit::Invalid, codes::PACKAGE_NOT_A_COMPONENT, message).at(path.display().to_string()))
}

/// Refuses a descriptor in a file that is not what the component says. How it is laid out does not matter.
pub(crate) fn compare(file: &Path, said: &str) -> Outcome {
    let invalid = |error: serde_json::Error| {
        let message = format!("this is not a connector's descriptor: {error}");
        CliError::new(Exit::Invalid, codes::PACKAGE_DESCRIPTOR_INVALID, message).at(file.display().to_string())
    };
    let given: Value = serde_json::from_slice(&read(file, DESCRIPTOR_LIMIT)?).map_err(invalid)?;
    let said: Value = serde_json::from_str(said).map_err(invalid)?;
    if given == said {
        return Ok(());
    }
    let message = "the component says something else of itself than this file";
    Err(CliError::new(Exit::Invalid, codes::PACKAGE_DESCRIPTOR_DIFFERS, message)
        .at(file.display().to_string())
        .fix("leave --descriptor out, or build the component again"))
}

/// Reads release notes.
pub(crate) fn notes(path: &Path) -> Outcome<String> {
    let text = String::from_utf8(read(path, NOTES_LIMIT)?).map_err(|_| unreadable(path, "it is no text in UTF-8"))?;
    Ok(text.trim().to_owned())
}

/// Reads a package, to publish it. Whether its signature holds is for the controller to say.
pub(crate) fn open(path: &Path) -> Outcome<Vec<u8>> {
    let bytes = read(path, WASM_LIMIT + MARGIN)?;
    let envelope = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Envelope::from_json(envelope, &Limits::default()).map_err(|_| {
        CliError::new(Exit::Invalid, codes::PACKAGE_MALFORMED, "this is not a connector package")
            .at(path.display().to_string())
            .fix("make one with: wherry connector package COMPONENT.wasm --key FILE")
    })?;
    Ok(bytes)
}

/// The connector that a package is of, in its own words: nobody has looked at its signature yet.
pub(crate) fn name(package: &[u8]) -> Option<String> {
    let envelope = package.split(|byte| *byte == b'\n').next()?;
    let envelope = Envelope::from_json(envelope, &Limits::default()).ok()?;
    let release: Value = serde_json::from_slice(&STANDARD.decode(envelope.payload).ok()?).ok()?;
    let name: Name = release.get("name")?.as_str()?.parse().ok()?;
    Some(name.to_string())
}

/// Whether a file begins as a component does.
pub(crate) fn is_component(path: &Path) -> bool {
    let mut start = [0; COMPONENT.len()];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == COMPONENT
}

fn read(path: &Path, limit: u64) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| unreadable(path, error))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(unreadable(path, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wherry_trust::release::{Prefix, Publisher, verify_release};

    const DESCRIPTOR: &str = r#"{"schemaVersion": 1, "name": "http", "version": "1.0.0",
        "connection": {"configSchema": {}, "auth": [{"id": "a", "type": "basic"}]},
        "activities": [{"name": "query", "kind": "source", "sideEffects": "read", "configSchema": {}}]}"#;

    fn parts<'a>(component: &'a [u8], descriptor: &'a str) -> Parts<'a> {
        Parts { component, descriptor, min_agent: Version::new(0, 1, 0), notes: "first".to_owned() }
    }

    fn code<T>(result: Outcome<T>) -> String {
        result.err().unwrap().code.as_str().to_owned()
    }

    #[test]
    fn a_package_holds_a_release_that_a_trusting_controller_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [COMPONENT, b"rest\nwith a line feed"].concat();
        let key = SigningKey::generate().unwrap();
        let package = assemble(parts(&bytes, DESCRIPTOR), &key).unwrap();

        let file = folder.path().join("http.wherry");
        fs::write(&file, &package.bytes).unwrap();
        let read = open(&file).unwrap();
        let split = read.iter().position(|byte| *byte == b'\n').unwrap();
        let envelope = Envelope::from_json(&read[..split], &Limits::default()).unwrap();
        let publisher = Publisher { name: "me".into(), key: key.public(), prefix: Prefix::all() };
        let verified = verify_release(&envelope, &[publisher]).unwrap();
        let contents = verified.release.contents(&read[split + 1..]).unwrap();
        assert_eq!((name(&read).as_deref(), name(b"{}")), (Some("http"), None));
        assert_eq!(contents.component, bytes);
        assert_eq!(contents.descriptor, Some(one_line(DESCRIPTOR).as_bytes()));
        assert_eq!(verified.release, package.release);
        assert_eq!((package.release.notes.as_str(), package.release.auth.len()), ("first", 1));
    }

    #[test]
    fn what_is_no_component_descriptor_or_package_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, b"{}").unwrap();
        assert_eq!(code(component(&path)), "package.not_a_component");
        let key = SigningKey::generate().unwrap();
        assert_eq!(code(assemble(parts(COMPONENT, "{}"), &key)), "package.descriptor_invalid");
        assert_eq!(open(&path).unwrap_err().code.as_str(), "package.malformed");
    }

    #[test]
    fn a_descriptor_in_a_file_must_be_what_the_component_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("descriptor.json");
        fs::write(&path, DESCRIPTOR.replace(", ", ",\n  ")).unwrap();
        assert!(compare(&path, DESCRIPTOR).is_ok());
        fs::write(&path, DESCRIPTOR.replace("read", "unsafe")).unwrap();
        assert_eq!(code(compare(&path, DESCRIPTOR)), "package.descriptor_differs");
        fs::write(&path, "{").unwrap();
        assert_eq!(code(compare(&path, DESCRIPTOR)), "package.descriptor_invalid");
    }
}
