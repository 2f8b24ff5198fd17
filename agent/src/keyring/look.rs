//! Looking at the keyring from another process, which holds no keys.

use serde::Serialize;
use wherry_domain::{id::AgentId, name::Name};
use wherry_trust::sealing::roster::Roster;

use super::{KeyringError, files, vault};
use crate::paths::DataDir;

/// What the data folder says about the group's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// `none`, `pending_keys`, `member` or `removed`.
    pub state: &'static str,
    /// Fingerprint of the group's roster: the same on each of its agents and at `wherry key roster`.
    pub fingerprint: Option<String>,
    /// Entries of the roster.
    pub entries: u64,
    /// Epoch of the group's key; 0 for none.
    pub epoch: u32,
}

/// Looks, and verifies the roster.
///
/// # Errors
/// If it cannot be read, or does not hold.
pub fn standing(data: &DataDir, agent: AgentId) -> Result<Standing, KeyringError> {
    let dir = data.keyring();
    let (entries, _) = files::read_roster(&files::roster_path(&dir))?;
    if entries.is_empty() {
        let state = if dir.join("joining.json").exists() { "pending_keys" } else { "none" };
        return Ok(Standing { state, fingerprint: None, entries: 0, epoch: 0 });
    }
    let roster = Roster::fold(&entries)?;
    let epoch = roster.epoch().0;
    let has_key = dir.join("epochs").join(format!("{epoch}.key")).exists();
    let state = match roster.member(agent) {
        Some(_) if has_key => "member",
        None if roster.departed(agent).is_some() => "removed",
        Some(_) | None => "pending_keys",
    };
    Ok(Standing { state, fingerprint: Some(roster.founding().to_string()), entries: roster.n(), epoch })
}

/// Sealed secrets by environment and name, whether they can be opened or not.
pub fn sealed_names(data: &DataDir) -> Vec<(Name, Name)> {
    vault::listed(&data.keyring())
}
