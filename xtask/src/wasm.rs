//! `cargo xtask wasm`: connectors and the box for transformations as WebAssembly components.

use anyhow::Result;

use crate::command::Run;
use crate::install::{self, WASM_TARGET};
use crate::layout::Layout;

/// The connectors of this workspace and the box for transformations, which tests load from here. Those that are not
/// members are left out.
const COMPONENTS: [&str; 7] = [
    "wherry-connector-http",
    "wherry-connector-declarative",
    "wherry-connector-jira-service-management",
    "wherry-connector-hostile",
    "wherry-connector-contacts",
    "wherry-expr-guest",
    "wherry-connector-synthetic",
];

/// Builds all connectors with the profile they ship with: unoptimised components are ten times the size.
pub(crate) fn build(layout: &Layout) -> Result<()> {
    install::wasm_target()?;
    let present = COMPONENTS.iter().filter(|name| layout.has_member(name));
    let packages: Vec<_> = present.flat_map(|name| ["--package", name]).collect();
    let build = Run::cargo(["build", "--target", WASM_TARGET, "--profile", "connector", "--lib"]);
    build.arguments(packages).quiet_stdout().check()?;
    eprintln!("connectors are in {}", layout.connectors().display());
    Ok(())
}
