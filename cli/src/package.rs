//! Connector packages: one line with the signed release, then the component, in one file.

use std::fs;
use std::io::Read;
use std::path::Path;

use semver::Version;
use serde::Deserialize;
use wherry_domain::effects::SideEffects;
use wherry_domain::name::Name;
use wherry_trust::dsse::{Envelope, Limits};
use wherry_trust::keys::SigningKey;
use wherry_trust::release::{
    Activity, ActivityKind, CONTRACT, Capabilities, FORMAT, Release, WASM_LIMIT, Wasm, sign_release,
};

use crate::codes;
use crate::error::{CliError, Outcome, unreadable};
use crate::exit::Exit;

/// Largest descriptor: schemas of hundreds of activities.
const DESCRIPTOR_LIMIT: u64 = 4 << 20;
/// What a component begins with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The part of a connector's descriptor that its release repeats. The rest is between connector and host.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    name: Name,
    version: Version,
    activities: Vec<Described>,
    #[serde(default)]
    capabilities: Capabilities,
    #[serde(default)]
    connection: DescribedConnection,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: String,
    kind: ActivityKind,
    side_effects: SideEffects,
}

#[derive(Debug, Default, Deserialize)]
struct DescribedConnection {
    #[serde(default)]
    auth: Vec<DescribedAuth>,
}

#[derive(Debug, Deserialize)]
struct DescribedAuth {
    #[serde(rename = "type")]
    method: String,
}

/// A signed package.
pub(crate) struct Package {
    pub(crate) release: Release,
    pub(crate) bytes: Vec<u8>,
}

/// Signs a component together with what its descriptor says.
pub(crate) fn assemble(wasm: &Path, descriptor: &Path, key: &SigningKey, min_agent: Version) -> Outcome<Package> {
    let component = read(wasm, WASM_LIMIT)?;
    if !component.starts_with(COMPONENT) {
        let message = "this is not a WebAssembly component; build it for wasm32-wasip2";
        return Err(
            CliError::new(Exit::Invalid, codes::PACKAGE_NOT_A_COMPONENT, message).at(wasm.display().to_string())
        );
    }
    let described = describe(descriptor)?;
    let activity = |Described { name, kind, side_effects }| Activity { name, kind, side_effects };
    let release = Release {
        v: FORMAT,
        name: described.name,
        version: described.version,
        wasm: Wasm::of(&component),
        contract: CONTRACT.to_owned(),
        capabilities: described.capabilities,
        min_agent,
        activities: described.activities.into_iter().map(activity).collect(),
        auth: described.connection.auth.into_iter().map(|scheme| scheme.method).collect(),
        notes: String::new(),
    };
    let envelope = sign_release(&release, key).map_err(|error| {
        CliError::new(Exit::Invalid, error.code(), error.to_string()).at(descriptor.display().to_string())
    })?;
    let mut bytes = envelope.to_json();
    bytes.push(b'\n');
    bytes.extend(component);
    Ok(Package { release, bytes })
}

/// Reads a package, to publish it. Whether its signature holds is for the controller to say.
pub(crate) fn open(path: &Path) -> Outcome<Vec<u8>> {
    let bytes = read(path, WASM_LIMIT + (1 << 20))?;
    let envelope = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Envelope::from_json(envelope, &Limits::default()).map_err(|_| {
        CliError::new(Exit::Invalid, codes::PACKAGE_MALFORMED, "this is not a connector package")
            .at(path.display().to_string())
            .fix("make one with: wherry connector package COMPONENT.wasm --descriptor FILE --key FILE")
    })?;
    Ok(bytes)
}

fn describe(path: &Path) -> Outcome<Descriptor> {
    serde_json::from_slice(&read(path, DESCRIPTOR_LIMIT)?).map_err(|error| {
        let message = format!("this is not a connector's descriptor: {error}");
        CliError::new(Exit::Invalid, codes::PACKAGE_DESCRIPTOR_INVALID, message).at(path.display().to_string())
    })
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

    #[test]
    fn a_package_holds_a_release_that_a_trusting_controller_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let (wasm, descriptor) = (folder.path().join("c.wasm"), folder.path().join("descriptor.json"));
        fs::write(&wasm, [COMPONENT, b"rest\nwith a line feed"].concat()).unwrap();
        let text = r#"{"schemaVersion": 1, "name": "http", "version": "1.0.0", "connection": {"configSchema": {}},
            "activities": [{"name": "query", "kind": "source", "sideEffects": "read", "configSchema": {}}]}"#;
        fs::write(&descriptor, text).unwrap();
        let key = SigningKey::generate().unwrap();
        let package = assemble(&wasm, &descriptor, &key, Version::new(0, 1, 0)).unwrap();

        let file = folder.path().join("http.wherry");
        fs::write(&file, &package.bytes).unwrap();
        let bytes = open(&file).unwrap();
        let split = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let envelope = Envelope::from_json(&bytes[..split], &Limits::default()).unwrap();
        let publisher = Publisher { name: "me".into(), key: key.public(), prefix: Prefix::all() };
        let verified = verify_release(&envelope, &[publisher]).unwrap();
        assert!(verified.release.wasm.matches(&bytes[split + 1..]));
        assert_eq!(verified.release, package.release);
    }

    #[test]
    fn what_is_no_component_descriptor_or_package_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, b"{}").unwrap();
        let key = SigningKey::generate().unwrap();
        let code = |result: Outcome<Package>| result.err().unwrap().code.as_str().to_owned();
        assert_eq!(code(assemble(&path, &path, &key, Version::new(0, 1, 0))), "package.not_a_component");
        let wasm = folder.path().join("c.wasm");
        fs::write(&wasm, COMPONENT).unwrap();
        assert_eq!(code(assemble(&wasm, &path, &key, Version::new(0, 1, 0))), "package.descriptor_invalid");
        assert_eq!(open(&path).unwrap_err().code.as_str(), "package.malformed");
    }
}
