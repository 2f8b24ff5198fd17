//! A network namespace with one bridge to the rest, and counters of what crosses it.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Address of the rest, as the island sees it.
pub(super) const SHORE: &str = "10.77.0.1";
/// Address of the island.
pub(super) const ISLAND: &str = "10.77.0.2";

/// The island; gone with the namespaces of the test.
pub(super) struct Island(());

/// Packets that left the island since counting began.
#[derive(Debug)]
pub(super) struct Packets {
    /// By port of the shore.
    ports: BTreeMap<u16, u64>,
    /// To anywhere else; they were dropped.
    pub(super) elsewhere: u64,
}

/// Runs one of the ignored tests in namespaces of its own, with `needed` programs at hand.
pub(super) fn on_an_island(test: &str, needed: &[&str]) -> Result<()> {
    run_inside(test, needed, &["--mount", "--net", "--map-root-user"])
}

/// The same with all users of this machine, for programs that drop their rights; only root may have that.
pub(super) fn on_an_inhabited_island(test: &str, needed: &[&str]) -> Result<()> {
    run_inside(test, needed, &["--mount", "--net"])
}

fn run_inside(test: &str, needed: &[&str], flags: &[&str]) -> Result<()> {
    let namespace = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(flags).arg(program).stdin(Stdio::null());
        command
    };
    if let Some(missing) = ["ip", "nsenter"].iter().chain(needed).find(|program| !is_there(program)) {
        eprintln!("skipped: {test}, {missing} is not installed");
        return Ok(());
    }
    let possible =
        Command::new("unshare").args(flags).args(["sh", "-c", "ip link set lo up"]).stdin(Stdio::null()).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {test}, no network namespace to be had");
        return Ok(());
    }
    let own = std::env::current_exe()?;
    let ended = namespace(&own).args(["--exact", test, "--ignored", "--nocapture"]).status()?;
    ensure!(ended.success(), "{test} failed");
    Ok(())
}

/// Programs for administrators are not on everybody's path.
fn is_there(program: &str) -> bool {
    let folders = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    folders.split(':').any(|folder| Path::new(folder).join(program).is_file())
}

impl Island {
    /// Makes the namespace and its bridge, in the namespaces that the test was started in.
    pub(super) fn rise() -> Result<Self> {
        ensure!(std::fs::read_to_string("/proc/net/dev")?.lines().count() == 3, "this is not a namespace of its own");
        on_the_shore("mount -t tmpfs tmpfs /run")?;
        on_the_shore("ip link set lo up")?;
        on_the_shore("ip netns add island")?;
        on_the_shore("ip link add shore type veth peer name sea netns island")?;
        on_the_shore(&format!("ip addr add {SHORE}/30 dev shore"))?;
        on_the_shore("ip link set shore up")?;
        there("ip link set lo up")?;
        there(&format!("ip addr add {ISLAND}/30 dev sea"))?;
        there("ip link set sea up")?;
        Ok(Self(()))
    }

    /// Where the namespace is.
    pub(super) fn namespace() -> PathBuf {
        PathBuf::from("/run/netns/island")
    }

    /// From now on only these ports of the shore can be reached, and every packet is counted.
    pub(super) fn count(&self, ports: &[u16]) -> Result<()> {
        let counters: String = ports.iter().map(|port| format!("counter p{port} {{}}\n")).collect();
        let rules: String = ports
            .iter()
            .map(|port| format!("ip daddr {SHORE} tcp dport {port} counter name p{port} accept\n"))
            .collect();
        // Neighbours and routers are asked for by the kernel of its own accord.
        let rules = format!(
            "table inet way {{\n{counters}counter elsewhere {{}}\nchain out {{\n\
             type filter hook output priority 0; policy accept;\n\
             oifname \"lo\" accept\nmeta l4proto ipv6-icmp drop\nip6 daddr ff00::/8 drop\n{rules}\
             counter name elsewhere drop\n}}\n}}\n"
        );
        let mut nft = inside(&["nft", "-f", "-"]).stdin(Stdio::piped()).spawn()?;
        nft.stdin.take().context("nft takes no input")?.write_all(rules.as_bytes())?;
        ensure!(nft.wait()?.success(), "nft refuses\n{rules}");
        Ok(())
    }

    /// What was counted.
    pub(super) fn packets(&self) -> Result<Packets> {
        let output = inside(&["nft", "-j", "list", "counters"]).output()?;
        let listed: Value = serde_json::from_slice(&output.stdout)?;
        let (mut ports, mut elsewhere) = (BTreeMap::new(), None);
        for counter in listed["nftables"].as_array().into_iter().flatten().filter_map(|it| it.get("counter")) {
            let (name, packets) = (counter["name"].as_str().unwrap_or_default(), counter["packets"].as_u64());
            match name.strip_prefix('p').and_then(|port| port.parse().ok()) {
                Some(port) => drop(ports.insert(port, packets.context("a counter without packets")?)),
                None if name == "elsewhere" => elsewhere = packets,
                None => bail!("an unknown counter {name}"),
            }
        }
        Ok(Packets { ports, elsewhere: elsewhere.context("nobody counts")? })
    }
}

impl Packets {
    /// To that port of the shore.
    pub(super) fn to(&self, port: u16) -> u64 {
        self.ports.get(&port).copied().unwrap_or_default()
    }
}

fn on_the_shore(command: &str) -> Result<()> {
    let words: Vec<&str> = command.split(' ').collect();
    run(Command::new(words[0]).args(&words[1..]), command)
}

fn there(command: &str) -> Result<()> {
    run(&mut inside(&command.split(' ').collect::<Vec<_>>()), command)
}

fn inside(words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", Island::namespace().display())).args(words);
    command
}

fn run(command: &mut Command, shown: &str) -> Result<()> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = command.env("PATH", path).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Lets counting begin anew.
pub(super) fn forget_counters() -> Result<()> {
    there("nft delete table inet way")
}
