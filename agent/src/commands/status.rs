//! `wherry-agent status`: what the data folder says about this agent.

use std::process::ExitCode;

use serde::Serialize;
use wherry_daemon::exit::Exit;
use wherry_domain::{id::AgentId, name::Name};

use super::{Output, SettingArgs, failed, print_json};
use crate::{
    VERSION,
    identity::{Identity, IdentityError},
    keyring::{self, Standing},
    paths::DataDir,
    policy,
    presence::Presence,
    secrets::{Secrets, local_key},
};

/// Shows whether the agent is enrolled, runs and is connected.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    settings: SettingArgs,
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    agent_id: AgentId,
    name: Name,
    group: String,
    controller: String,
    running: bool,
    connected: bool,
    pid: Option<u32>,
    /// Walls around the code of connectors that this system does not give; absent while that is not known.
    missing_walls: Option<Vec<String>>,
    /// The owner's policy; absent if there is none or the agent does not run.
    policy: Option<policy::Standing>,
    certificate_generation: u64,
    certificate_expired: bool,
    keys: Option<Standing>,
    sealed_secrets: usize,
    secrets: Vec<String>,
}

/// Prints the status; succeeds if the agent runs.
pub fn status(args: &StatusArgs, output: Output) -> ExitCode {
    let data = match args.settings.data() {
        Ok(data) => data,
        Err(exit) => return exit,
    };
    let status = match gather(&data) {
        Ok(status) => status,
        Err(error) => return failed(&error, &error.code(), error.exit()),
    };
    // For health checks: an agent whose controller is away is well.
    let exit = if status.running { Exit::Success } else { Exit::Unavailable };
    if output == Output::Json {
        print_json(&status);
        return exit.into();
    }
    let state = match (status.running, status.connected) {
        (true, true) => "connected",
        (true, false) => "running, not connected",
        (false, _) => "not running",
    };
    let certificate = if status.certificate_expired { "expired" } else { "valid" };
    let secrets = format!("{} of the group, {} set here", status.sealed_secrets, status.secrets.len());
    let rows = [
        ("agent", format!("{} ({})", status.name, status.agent_id)),
        ("group", status.group),
        ("controller", status.controller),
        ("state", state.to_owned()),
        ("certificate", format!("{certificate}, generation {}", status.certificate_generation)),
        ("keys", status.keys.as_ref().map_or("unreadable", |keys| keys.state).to_owned()),
        ("fingerprint", status.keys.and_then(|keys| keys.fingerprint).unwrap_or_else(|| "none".to_owned())),
        ("secrets", secrets),
        ("walls", walls(status.missing_walls.as_deref())),
        ("policy", policy(status.policy.as_ref())),
        ("version", status.version.to_owned()),
    ];
    rows.iter().for_each(|(name, value)| println!("{name:<12} {value}"));
    exit.into()
}

/// What is said of the owner's policy.
fn policy(standing: Option<&policy::Standing>) -> String {
    let Some(policy::Standing { file, loaded_ms, fault }) = standing else { return "none".to_owned() };
    match (fault, loaded_ms) {
        (None, _) => format!("in force: {}", file.display()),
        (Some(fault), 0) => format!("none in force: {fault}"),
        (Some(fault), _) => format!("the one before is in force: {fault}"),
    }
}

fn gather(data: &DataDir) -> Result<Status, IdentityError> {
    let identity = Identity::load(data)?;
    let note = identity.note();
    let ready = Presence::read(data).filter(|ready| is_alive(ready.pid));
    let policy = ready.as_ref().and_then(|_| policy::Standing::read(data));
    // Names are not secret, so no key is needed for them; one is made only where there is none yet.
    let secrets = local_key(&data.local_key()).map(|key| Secrets::new(data.secrets(), key).names());
    Ok(Status {
        version: VERSION,
        agent_id: note.agent_id,
        name: note.name.clone(),
        group: note.group.clone(),
        controller: note.url.to_string(),
        running: ready.is_some(),
        connected: ready.as_ref().is_some_and(|ready| ready.connected),
        pid: ready.as_ref().map(|ready| ready.pid),
        missing_walls: ready.as_ref().and_then(|ready| ready.missing_walls.clone()),
        policy,
        certificate_generation: identity.generation(),
        certificate_expired: identity.has_expired(wherry_daemon::clock::Clock::system().wall_unix_millis()),
        keys: keyring::standing(data, note.agent_id).ok(),
        sealed_secrets: keyring::sealed_names(data).len(),
        secrets: secrets.unwrap_or_default(),
    })
}

/// What keeps the code of connectors from everything else.
fn walls(missing: Option<&[String]>) -> String {
    match missing {
        None => "not known".to_owned(),
        Some([]) => "all stand".to_owned(),
        Some(missing) => format!("missing: {}", missing.join(", ")),
    }
}

/// A process that crashed leaves its file behind.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_walls_are_named() {
        assert_eq!(walls(None), "not known");
        assert_eq!(walls(Some(&[])), "all stand");
        assert_eq!(walls(Some(&["no landlock".to_owned()])), "missing: no landlock");
    }
}
