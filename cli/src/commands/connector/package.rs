//! `wherry connector package`, and what is said of a component when it is signed.

use std::path::{Path, PathBuf};

use clap::Args;
use semver::Version;
use serde_json::json;
use wherry_trust::keys::SigningKey;

use super::Context;
use crate::error::{Outcome, unwritable};
use crate::package::{self, Parts};
use crate::table::{Column, size, text};
use crate::{harness, keys, manifest};

const PACKAGE: &[Column] = &[
    text("FILE", "file"),
    text("NAME", "name"),
    text("VERSION", "version"),
    text("DIGEST", "digest"),
    size("SIZE", "length"),
    text("SIGNED BY", "key"),
];

/// What is said about a component when it is signed.
#[derive(Debug, Args)]
pub(crate) struct Statement {
    /// The connector's descriptor as JSON. The component is asked anyway: a file that says something else is refused.
    #[arg(long, value_name = "FILE")]
    descriptor: Option<PathBuf>,
    /// Release notes: a text of at most 16 KiB for the person who decides about an upgrade.
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// The engine that runs a manifest [default: the one beside this program].
    #[arg(long, value_name = "FILE")]
    engine: Option<PathBuf>,
    /// The oldest agent that can run it.
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    min_agent: Version,
}

#[derive(Debug, Args)]
pub(crate) struct Package {
    /// The component, built for wasm32-wasip2; or MANIFEST.yaml of a declarative connector.
    wasm: PathBuf,
    /// The publisher's private key, made by `wherry connector key new`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The package to write [default: NAME-VERSION.wherry].
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    statement: Statement,
}

impl Statement {
    /// Whether it says anything that a package says already.
    pub(super) fn says_something(&self) -> bool {
        self.notes.is_some() || self.descriptor.is_some()
    }

    pub(super) fn has_notes(&self) -> bool {
        self.notes.is_some()
    }

    /// Packages a component or a manifest.
    pub(super) async fn sign(&self, wasm: &Path, key: &SigningKey) -> Outcome<package::Package> {
        if manifest::is_manifest(wasm) {
            return self.sign_manifest(wasm, key).await;
        }
        let component = package::component(wasm)?;
        let notes = self.notes.as_deref().map_or_else(|| Ok(String::new()), package::notes)?;
        let descriptor = harness::describe(wasm).await?;
        if let Some(file) = &self.descriptor {
            package::compare(file, &descriptor)?;
        }
        let min_agent = self.min_agent.clone();
        let parts = Parts { component: &component, descriptor: &descriptor, min_agent, notes };
        package::assemble(parts, key).map_err(|error| error.at(wasm.display().to_string()))
    }
}

impl Statement {
    /// The same for the manifest of a declarative connector. Its component runs once too, so that what is signed is
    /// what an agent will hear.
    async fn sign_manifest(&self, file: &Path, key: &SigningKey) -> Outcome<package::Package> {
        let packed = manifest::pack(file, self.engine.as_deref())?;
        let notes = self.notes.as_deref().map_or_else(|| Ok(String::new()), package::notes)?;
        let engine = format!("Runs on {}.", packed.engine);
        let notes = if notes.is_empty() { engine } else { format!("{notes}\n\n{engine}") };
        let descriptor =
            harness::describe(packed.to_file()?.path()).await.map_err(|error| error.at(file.display().to_string()))?;
        if let Some(file) = &self.descriptor {
            package::compare(file, &descriptor)?;
        }
        let min_agent = self.min_agent.clone();
        let parts = Parts { component: &packed.component, descriptor: &descriptor, min_agent, notes };
        package::assemble(parts, key).map_err(|error| error.at(file.display().to_string()))
    }
}

impl Package {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let key = keys::read(&self.key)?;
        let spinner = context.screen.spinner(format!("asking {} what it is", self.wasm.display()));
        let package = self.statement.sign(&self.wasm, &key).await;
        spinner.finish_and_clear();
        let package = package?;
        let release = &package.release;
        let default = || PathBuf::from(format!("{}-{}.wherry", release.name, release.version));
        let file = self.out.unwrap_or_else(default);
        std::fs::write(&file, &package.bytes).map_err(|error| unwritable(&file, error))?;
        let described = json!({
            "file": file.display().to_string(),
            "name": release.name,
            "version": release.version,
            "digest": release.wasm.sha256,
            "length": release.wasm.length,
            "key": key.public(),
        });
        context.screen.show(PACKAGE, &described);
        Ok(())
    }
}
