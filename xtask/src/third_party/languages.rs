//! What makes components of JavaScript, from npm, in the version that the example names.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::Run;
use crate::layout::Layout;

/// The example.
const EXAMPLE: &str = "plugins/examples/tickets-javascript";

/// Installs componentize-js where it is missing: the folder of modules that has it, or why there is none.
pub(super) fn javascript(layout: &Layout) -> Result<std::result::Result<PathBuf, String>> {
    let folder = layout.target().join("third-party").join("componentize-js");
    let modules = folder.join("node_modules");
    if modules.join("@bytecodealliance").join("componentize-js").exists() {
        return Ok(Ok(modules));
    }
    if !Run::program("npm", ["--version"]).succeeds() {
        return Ok(Err("npm is not installed".to_owned()));
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(layout.root().join(EXAMPLE).join("package.json"), folder.join("package.json"))?;
    let install = Run::program("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]);
    let installed = install.arguments([&folder]).quiet_stdout().status()?.success();
    Ok(if installed { Ok(modules) } else { Err("componentize-js could not be installed".to_owned()) })
}
