//! Request Tracker 5, as Debian packages it, with a database in one file.

use std::path::Path;

use anyhow::Result;

use crate::command::Run;

/// The server and the program that makes its database.
const PROGRAMS: [&str; 2] = ["/usr/share/request-tracker5/libexec/standalone_httpd", "/usr/sbin/rt-setup-database-5"];
const PACKAGES: [&str; 2] = ["request-tracker5", "rt5-db-sqlite"];

/// Installs what is missing, where that is allowed; otherwise says why these tests cannot run.
pub(super) fn prepare() -> Result<std::result::Result<(), String>> {
    let is_there = || PROGRAMS.iter().all(|program| Path::new(program).is_file());
    if is_there() {
        return Ok(Ok(()));
    }
    let packages = PACKAGES.join(", ");
    if !Run::program("sh", ["-c", "test \"$(id -u)\" = 0"]).succeeds() {
        return Ok(Err(format!("not installed, and only root may install: {packages}")));
    }
    if !Run::program("apt-get", ["--version"]).succeeds() {
        return Ok(Err(format!("not installed: {packages}")));
    }
    // Lists that are out of date are no reason to give up.
    Run::program("apt-get", ["update", "--quiet"]).quiet_stdout().status()?;
    let install = Run::program("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends"]);
    install.arguments(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive").quiet_stdout().status()?;
    Ok(if is_there() { Ok(()) } else { Err(format!("could not be installed: {packages}")) })
}
