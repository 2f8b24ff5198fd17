//! Declarative connectors: a manifest in YAML is checked, and put into the engine's component.
//!
//! YAML is read here and nowhere else; what is packed is JSON.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use wherry_manifest::region::{self, Refused};
use wherry_trust::keys::sha256;

use crate::codes;
use crate::error::{CliError, Outcome, unreadable, unwritable};
use crate::exit::Exit;
use crate::package;
use crate::project::{Fault, yaml};

/// Most bytes of a manifest in YAML: what is packed has 256 KiB, and comments are free.
const MANIFEST_BYTES: u64 = 1 << 20;
/// The engine, as cargo names it.
const ENGINE: &str = "wherry_connector_declarative.wasm";

/// A component made of a manifest.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The component.
    pub(crate) component: Vec<u8>,
    /// Which engine runs it, for people.
    pub(crate) engine: String,
}

/// A component in a file of its own, which is removed with this.
#[derive(Debug)]
pub(crate) struct Scrap(PathBuf);

impl Packed {
    /// Writes the component to where the host of connectors can read it.
    pub(crate) fn to_file(&self) -> Outcome<Scrap> {
        let scrap = Scrap(std::env::temp_dir().join(format!("wherry-{}.wasm", uuid::Uuid::now_v7())));
        let written = File::create_new(&scrap.0).and_then(|mut file| file.write_all(&self.component));
        written.map_err(|error| unwritable(&scrap.0, error))?;
        Ok(scrap)
    }
}

impl Scrap {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scrap {
    fn drop(&mut self) {
        // What cannot be removed lies in the folder for such files.
        drop(std::fs::remove_file(&self.0));
    }
}

/// The manifest of a connector's folder, if it has no code.
pub(crate) fn of_folder(folder: &Path) -> Option<PathBuf> {
    Some(folder.join("connector.yaml")).filter(|file| file.is_file() && !folder.join("Cargo.toml").exists())
}

/// Whether a file is a manifest, by its name.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// Checks a manifest and makes its component. Without `engine`, the one beside this program is taken.
pub(crate) fn pack(path: &Path, engine: Option<&Path>) -> Outcome<Packed> {
    let text = text(path)?;
    let node = yaml::parse(&text).map_err(|fault| {
        let fault = Fault::new(path, fault.at, codes::MANIFEST_INVALID, fault.message);
        invalid(&[fault], &text)
    })?;
    let manifest = node.to_json();
    if let Err(faults) = wherry_manifest::read(&manifest) {
        let place = |fault: &wherry_manifest::Fault| node.nearest(fault.path.iter()).at;
        let located = faults.iter().map(|fault| {
            let message = if fault.path.is_empty() {
                fault.message.clone()
            } else {
                format!("{}: {}", fault.path.join("."), fault.message)
            };
            Fault::new(path, place(fault), codes::MANIFEST_INVALID, message)
        });
        let mut located: Vec<Fault> = located.collect();
        located.sort();
        return Err(invalid(&located, &text));
    }
    let file = engine.map_or_else(find_engine, |given| Ok(given.to_owned()))?;
    let component = package::component(&file)?;
    put(&manifest, &component).map_err(|refused| unfit(refused, path, &file))
}

/// Puts a manifest into the engine, together with what tells one engine from another.
fn put(manifest: &serde_json::Value, engine: &[u8]) -> Result<Packed, Refused> {
    // Its name stands in the component; asking for it costs a copy and is done once.
    let name = region::pack(engine, "{}")?.engine;
    let digest = sha256(engine).to_string();
    let document = json!({ "engine": { "name": name, "digest": digest }, "manifest": manifest });
    let packed = region::pack(engine, &document.to_string())?;
    Ok(Packed { component: packed.component, engine: format!("{name}, {digest}") })
}

fn text(path: &Path) -> Outcome<String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    file.take(MANIFEST_BYTES + 1).read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
    if text.len() as u64 > MANIFEST_BYTES {
        return Err(unreadable(path, format!("it has more than {MANIFEST_BYTES} bytes")));
    }
    Ok(text)
}

/// The engine in `$WHERRY_CONNECTORS`, or else beside this program.
fn find_engine() -> Outcome<PathBuf> {
    let named = std::env::var_os("WHERRY_CONNECTORS").filter(|value| !value.is_empty()).map(PathBuf::from);
    let folders = named.map_or_else(
        || {
            let exe = std::env::current_exe().and_then(|exe| exe.canonicalize()).unwrap_or_default();
            let beside = exe.parent().unwrap_or(Path::new(".")).to_owned();
            vec![beside.clone(), beside.join("connectors"), beside.join("../wasm32-wasip2/connector")]
        },
        |folder| vec![folder],
    );
    let found = folders.iter().map(|folder| folder.join(ENGINE)).find(|file| file.is_file());
    found.ok_or_else(|| {
        let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        CliError::new(Exit::Failed, codes::MANIFEST_ENGINE, "the engine of declarative connectors is not here")
            .at(looked.join(", "))
            .fix("build it (cargo xtask wasm), or name it: --engine FILE")
    })
}

fn invalid(faults: &[Fault], text: &str) -> CliError {
    let message = match faults.len() {
        1 => "the manifest has one fault".to_owned(),
        several => format!("the manifest has {several} faults"),
    };
    let mut error = CliError::new(Exit::Invalid, codes::MANIFEST_INVALID, message);
    error.details = faults.iter().map(|fault| fault.shown(Some(text))).collect::<String>().into();
    error.problem = Some(Box::new(json!({ "errors": faults })));
    error
}

fn unfit(refused: Refused, manifest: &Path, engine: &Path) -> CliError {
    let not =
        |message: &str| CliError::new(Exit::Invalid, codes::MANIFEST_ENGINE, message).at(engine.display().to_string());
    match refused {
        Refused::TooLarge { bytes } => {
            let message =
                format!("the manifest has {bytes} bytes as JSON, and the engine has room for {}", region::ROOM);
            CliError::new(Exit::Invalid, codes::MANIFEST_TOO_LARGE, message)
                .at(manifest.display().to_string())
                .fix("shorten descriptions and schemas, or make two connectors of it")
        }
        Refused::NotAnEngine => not("this component is not the engine of declarative connectors"),
        Refused::Ambiguous => not("this component has several places for a manifest"),
        Refused::Packed => not("this component has a manifest already; name the engine without one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "manifest: 1\nname: acme\nversion: 1.0.0\ntitle: Acme\ntest: { request: { path: /me } }\n\
                        activities:\n  - name: q\n    kind: source\n    side_effects: read\n    request: { path: /t }\n";

    /// A component that is nothing but a place for a manifest.
    fn engine() -> Vec<u8> {
        [b"\0asm\x0d\0\x01\0".as_slice(), &region::empty("declarative 9.9.9")].concat()
    }

    fn packed(manifest: &str, engine: &[u8]) -> Outcome<Packed> {
        let folder = tempfile::tempdir().unwrap();
        let (file, wasm) = (folder.path().join("m.yaml"), folder.path().join("e.wasm"));
        std::fs::write(&file, manifest).unwrap();
        std::fs::write(&wasm, engine).unwrap();
        pack(&file, Some(&wasm))
    }

    #[test]
    fn a_manifest_is_packed_as_json_with_the_engine_that_runs_it() {
        let packed = packed(GOOD, &engine()).unwrap();
        assert!(packed.engine.starts_with("declarative 9.9.9, sha256:"), "{}", packed.engine);
        let document: serde_json::Value =
            serde_json::from_str(region::unpack(&packed.component[8..]).unwrap()).unwrap();
        assert_eq!(document["manifest"]["activities"][0]["request"]["path"], "/t");
        assert_eq!(document["engine"]["name"], "declarative 9.9.9");
        assert_eq!(packed.component.len(), engine().len());
    }

    #[test]
    fn the_manifests_of_examples_and_of_the_guide_have_no_faults() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let example = std::fs::read_to_string(root.join("plugins/examples/request-tracker/connector.yaml")).unwrap();
        let guide = std::fs::read_to_string(root.join("docs/guides/declarative-connectors.md")).unwrap();
        let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let manifests: Vec<&str> = blocks.filter(|block| block.starts_with("manifest: 1")).chain([&*example]).collect();
        assert_eq!(manifests.len(), 2);
        for manifest in manifests {
            packed(manifest, &engine()).unwrap_or_else(|error| panic!("{}", error.details));
        }
    }

    #[test]
    fn every_fault_has_its_line() {
        let broken = GOOD.replace("version: 1.0.0", "version: one").replace("kind: source", "kind: sauce");
        let error = packed(&broken, &engine()).unwrap_err();
        assert_eq!(error.code.as_str(), "manifest.invalid");
        let faults = error.problem.unwrap()["errors"].clone();
        let lines: Vec<_> = faults.as_array().unwrap().iter().map(|fault| fault["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, [3, 8], "{faults:#}");
        assert!(error.details.contains("kind: sauce") && error.details.contains("source, target, execute"));
    }

    #[test]
    fn what_cannot_be_packed_is_refused_by_name() {
        let code = |manifest: &str, engine: &[u8]| packed(manifest, engine).unwrap_err().code.as_str().to_owned();
        assert_eq!(code("a: [", &engine()), "manifest.invalid");
        let long = "y".repeat(8_000);
        let properties: String = (0..40).map(|at| format!("            p{at}: {{ description: {long} }}\n")).collect();
        let large = format!("{GOOD}    output:\n        properties:\n{properties}");
        assert_eq!(code(&large, &engine()), "manifest.too_large");
        assert_eq!(code(GOOD, b"\0asm\x0d\0\x01\0"), "manifest.engine_unfit");
        let once = packed(GOOD, &engine()).unwrap().component;
        assert_eq!(code(GOOD, &once), "manifest.engine_unfit");
        assert_eq!(code(GOOD, b"no component"), "package.not_a_component");
    }
}
