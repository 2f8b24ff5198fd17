//! Building the programs.

use anyhow::Result;

use crate::command::Run;

/// Builds every program of the workspace for a run on this machine.
///
/// The whole workspace is named even where one program would do: cargo then chooses the same features as the test
/// run does, and nothing is compiled twice.
pub(crate) fn programs() -> Result<()> {
    Run::cargo(["build", "--workspace", "--exclude", "xtask", "--bins"]).quiet_stdout().check()
}

/// Builds what is measured.
pub(crate) fn release() -> Result<()> {
    let packages = ["wherry-controller", "wherry-agent", "wherry", "wherry-sandbox", "wherry-bench"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    Run::cargo(["build", "--release", "--bins"]).arguments(packages).quiet_stdout().check()
}
