//! Proxies that others wrote, as Debian packages them, and what counts packets between namespaces.

use std::path::Path;

use anyhow::Result;

use crate::command::Run;

/// What is needed, each with the package it comes in.
const PROGRAMS: [(&str, &str); 4] = [
    ("/usr/lib/squid/security_file_certgen", "squid-openssl"),
    ("/usr/bin/tinyproxy", "tinyproxy-bin"),
    ("/usr/sbin/danted", "dante-server"),
    ("/usr/sbin/nft", "nftables"),
];

/// Installs what is missing, where that is allowed; otherwise says why these tests cannot run.
pub(super) fn prepare() -> Result<std::result::Result<(), String>> {
    let missing = || PROGRAMS.iter().filter(|(program, _)| !Path::new(program).is_file()).map(|(_, package)| *package);
    if !Run::program("sh", ["-c", "test \"$(id -u)\" = 0"]).succeeds() {
        return Ok(Err("namespaces with all users of this machine need root".to_owned()));
    }
    if missing().next().is_some() {
        if !Run::program("apt-get", ["--version"]).succeeds() {
            return Ok(Err(format!("not installed: {}", missing().collect::<Vec<_>>().join(", "))));
        }
        // Lists that are out of date are no reason to give up.
        Run::program("apt-get", ["update", "--quiet"]).quiet_stdout().status()?;
        let install = Run::program("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends"]);
        install.arguments(missing()).env("DEBIAN_FRONTEND", "noninteractive").quiet_stdout().status()?;
    }
    let left: Vec<&str> = missing().collect();
    Ok(if left.is_empty() { Ok(()) } else { Err(format!("could not be installed: {}", left.join(", "))) })
}
