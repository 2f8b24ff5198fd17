//! `wherry connector publish`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use wherry_trust::keys::PublicKey;

use super::package::Statement;
use super::{CONNECTOR, Context};
use crate::client::{Body, Call};
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::{codes, keys, package};

/// The controller's code for a release that nobody trusted signed.
const UNTRUSTED: &str = "connector.publisher_untrusted";

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The package, NAME-VERSION.wherry; or with --key a component, which is packaged first.
    file: PathBuf,
    /// The publisher's private key, to package a component.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    statement: Statement,
}

/// What is sent, and by whose key it was signed, if it was signed here.
struct Ready {
    bytes: Vec<u8>,
    key: Option<PublicKey>,
}

impl Publish {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let spinner = context.screen.spinner(format!("publishing {}", self.file.display()));
        let answer = match self.ready().await {
            Ok(Ready { bytes, key }) => {
                let signed = package::name(&bytes);
                let sent = client.send(Call::post(&["connectors"], Body::Connector(bytes))).await;
                sent.map_err(|error| trusting(error, signed.as_deref(), key))
            }
            Err(error) => Err(error),
        };
        spinner.finish_and_clear();
        let answer = answer?;
        if answer.get("unchanged") == Some(&Value::Bool(true)) {
            context.screen.done(&self.unchanged(&answer), &answer);
            self.hint(&answer, context);
        } else {
            context.screen.show(CONNECTOR, &answer);
        }
        Ok(())
    }

    async fn ready(&self) -> Outcome<Ready> {
        let Some(key) = &self.key else {
            if self.statement.says_something() || package::is_component(&self.file) {
                let message = "a package is signed already; what it says is said when a component is packaged";
                return Err(CliError::new(Exit::Invalid, codes::PACKAGE_UNSIGNED, message)
                    .at(self.file.display().to_string())
                    .fix("wherry connector publish COMPONENT.wasm --key FILE [--notes FILE]"));
            }
            return Ok(Ready { bytes: package::open(&self.file)?, key: None });
        };
        let key = keys::read(key)?;
        let bytes = self.statement.sign(&self.file, &key).await?.bytes;
        Ok(Ready { bytes, key: Some(key.public()) })
    }

    fn unchanged(&self, answer: &Value) -> String {
        let said = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut text =
            format!("unchanged: {} {} was published at {}", said("name"), said("version"), said("published_at"));
        if answer.get("revoked_at").is_some_and(Value::is_string) {
            text +=
                &format!(", was revoked at {} and runs nowhere any more: publish another version", said("revoked_at"));
        }
        if self.statement.has_notes() {
            text += "; its notes are not replaced";
        }
        text
    }

    /// The usual reason why a new version is not one: the component was not built since its version was raised.
    fn hint(&self, answer: &Value, context: &Context) {
        let version = answer.get("version").and_then(Value::as_str).unwrap_or_default();
        let Some(told) = version_of(&self.file).filter(|told| told != version) else { return };
        context.screen.note(&format!(
            "Cargo.toml says {told}, this component says {version}: wherry connector test builds it, after UPDATE=1 cargo test"
        ));
    }
}

/// The refusal with what makes it none.
fn trusting(error: CliError, name: Option<&str>, key: Option<PublicKey>) -> CliError {
    if error.code.as_str() != UNTRUSTED {
        return error;
    }
    let prefix = name.unwrap_or("CONNECTOR");
    match key {
        Some(key) => error.fix(format!("wherry publisher trust NAME {key} --prefix {prefix}")),
        None => error.fix(format!(
            "compare the publisher's key over another way, then: wherry publisher trust NAME ed25519:... --prefix {prefix}"
        )),
    }
}

/// The version in the manifest of the package that a component was built from: above it, as in cargo's own target folder,
/// or where the person is.
fn version_of(component: &Path) -> Option<String> {
    let component = component.canonicalize().ok()?;
    let here = std::env::current_dir().ok();
    let folders = component.ancestors().skip(1).chain(here.as_deref());
    let library = component.file_stem()?.to_str()?;
    folders.take(64).find_map(|folder| {
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()?;
        let package = manifest.get("package")?;
        let named = package.get("name")?.as_str()?.replace('-', "_") == library;
        named.then(|| package.get("version")?.as_str().map(str::to_owned)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_component_is_looked_up_in_the_package_that_it_was_built_from() {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("target/wasm32-wasip2/connector");
        fs::create_dir_all(&built).unwrap();
        let component = built.join("acme_crm.wasm");
        fs::write(&component, "").unwrap();
        let manifest = folder.path().join("Cargo.toml");
        fs::write(&manifest, "[package]\nname = \"acme-crm\"\nversion = \"0.3.0\"\n").unwrap();
        assert_eq!(version_of(&component).as_deref(), Some("0.3.0"));
        fs::write(&manifest, "[package]\nname = \"other\"\nversion = \"0.3.0\"\n").unwrap();
        assert_eq!(version_of(&component), None);
        assert_eq!(version_of(&built.join("none.wasm")), None);
    }
}
