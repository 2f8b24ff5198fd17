//! Where the tokens of each connection lie: a folder for each, and no folder for two.
//!
//! By default the folder's name is made of the connection's own name, so that two connections cannot meet. A location
//! of a project's choice is claimed first, durably, and refused if it is another's, under whatever spelling or link.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use wherry_domain::{connection::ConnectionPath, failure::Code, id::ConnectionId};
use wherry_trust::keys::{Hasher, sha256};

use super::{
    folder::{Folder, FolderError, Lock},
    location::{Key, Location, LocationError, Root, Roots},
};
use crate::{
    paths::DataDir,
    private_file::{self, FileError},
};

/// Most locations of projects' choice.
const MAX_CLAIMS: usize = 1_000;
/// Largest file of claims: each has a path of 1 KiB and its folded form at most.
const MAX_CLAIMS_FILE: u64 = 8 << 20;
const HOLDER: &str = "holder";
const LOCK: &str = "lock";

/// What the agent's owner allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationSettings {
    /// Whether projects may choose locations.
    pub enabled: bool,
    /// Below which folders; the data folder's `oauth-files` if there are none.
    pub roots: Vec<PathBuf>,
}

/// Why a connection has no place for its tokens.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The owner does not allow locations.
    #[error(
        "oauth_settings_location is not allowed on this agent: set enable_local_file_location = true under [oauth] in its \
         configuration, or remove the location"
    )]
    Off,
    /// It is not a path, or leads elsewhere.
    #[error("oauth_settings_location {0:?} cannot be used: {1}")]
    Location(String, LocationError),
    /// A root in the configuration is not usable.
    #[error("oauth.location_roots: {0} {1}")]
    Root(PathBuf, &'static str),
    /// Two connections would write over each other's tokens.
    #[error(
        "oauth_settings_location of connection {mine} leads to the folder of {other}: give each connection its own"
    )]
    Shared {
        /// The connection that asked.
        mine: ConnectionPath,
        /// Who has it.
        other: String,
    },
    /// The folder was there before, with something else in it.
    #[error(
        "oauth_settings_location: {0} is not an empty folder and not this connection's, name a folder that does not exist"
    )]
    Taken(PathBuf),
    /// Others could read it.
    #[error("{0} can be read by others or belongs to another user: chmod 700, or name a folder that does not exist")]
    Open(PathBuf),
    /// Another process works there.
    #[error("{0} is in use by another agent on this machine")]
    Busy(PathBuf),
    /// Far too many.
    #[error("this agent keeps {MAX_CLAIMS} locations already: remove folders that are no longer used")]
    TooMany,
    /// Something in the folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Something in the data folder.
    #[error(transparent)]
    File(#[from] FileError),
}

impl PlaceError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Off => Code::new("oauth.location_off"),
            Self::Location(..) | Self::Root(..) => Code::new("oauth.location_invalid"),
            Self::Shared { .. } | Self::Busy(_) => Code::new("oauth.location_shared"),
            Self::Taken(_) | Self::Open(_) => Code::new("oauth.location_taken"),
            Self::TooMany | Self::Folder(_) | Self::File(_) => Code::new("oauth.storage"),
        }
    }
}

/// The folder of one connection, held as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: Folder,
    /// By default, or by which location.
    pub(super) chosen: String,
    _lock: Lock,
}

/// All places of this agent. One per process.
#[derive(Debug)]
pub(super) struct Places {
    data: PathBuf,
    base: PathBuf,
    settings: LocationSettings,
    /// Tells this agent's folders from those of another one on the same disk.
    agent: String,
    claims: Mutex<Vec<Claim>>,
}

/// A location of a project's choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    connection: ConnectionPath,
    /// The folder on disk.
    folder: PathBuf,
    key: String,
}

/// Whose a folder is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    agent: String,
    connection: ConnectionPath,
}

/// The id of a connection, made of its names.
pub(super) fn id(connection: &ConnectionPath) -> ConnectionId {
    let mut hasher = Hasher::new();
    hasher.update(b"wherry/connection/v1");
    for name in [&connection.environment, &connection.project, &connection.connection] {
        hasher.update(&(name.as_str().len() as u64).to_be_bytes());
        hasher.update(name.as_str().as_bytes());
    }
    let digest = hasher.finish();
    let bytes = digest.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    ConnectionId::from_bytes(bytes)
}

impl Places {
    pub(super) fn open(data: &DataDir, settings: LocationSettings) -> Result<Self, PlaceError> {
        let base = data.oauth();
        private_file::create_folder(&base)?;
        // Links above the data folder are the owner's business; below it there are none.
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (root, base) = (real(data.root()), real(&base));
        let agent = agent_mark(&base)?;
        let claims = read_claims(&base)?;
        Ok(Self { data: root, base, settings, agent, claims: Mutex::new(claims) })
    }

    /// The folder for what is not one connection's.
    pub(super) fn shared(&self, name: &str) -> Result<Folder, PlaceError> {
        Ok(Folder::open(&self.base)?.enter(name)?.0)
    }

    /// The folder of a connection: its own, or the one that the project chose.
    pub(super) fn place(&self, connection: &ConnectionPath, location: &str) -> Result<Place, PlaceError> {
        if location.is_empty() {
            let id = id(connection).to_string();
            let base = Folder::open(&self.base)?;
            return self.take(connection, &base, &[connection.environment.as_str().to_owned(), id], "");
        }
        if !self.settings.enabled {
            return Err(PlaceError::Off);
        }
        let invalid = |error| PlaceError::Location(location.to_owned(), error);
        let (real, roots) = self.roots()?;
        let found = roots.resolve(location).map_err(invalid)?;
        let root = real.get(found.root).ok_or(invalid(LocationError::Outside))?;
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        self.claim(&mut claims, connection, root, &found)?;
        let place = self.take(connection, &Folder::open(root)?, &found.parts, location)?;
        apart(&claims, connection, &place.folder)?;
        Ok(place)
    }

    /// Where a location of a project's choice leads, without touching it.
    pub(super) fn folder(&self, location: &str) -> Result<PathBuf, PlaceError> {
        let invalid = |error| PlaceError::Location(location.to_owned(), error);
        let (real, roots) = self.roots()?;
        let found = roots.resolve(location).map_err(invalid)?;
        let root = real.get(found.root).ok_or(invalid(LocationError::Outside))?;
        Ok(found.parts.iter().fold(root.clone(), |path, part| path.join(part)))
    }

    /// Writes down whose the location is, before anything is made there.
    fn claim(
        &self,
        claims: &mut Vec<Claim>,
        connection: &ConnectionPath,
        root: &Path,
        found: &Location,
    ) -> Result<(), PlaceError> {
        // Whoever removed the folder has given it up.
        let mut next: Vec<Claim> = claims
            .iter()
            .filter(|claim| claim.connection != *connection && fs::symlink_metadata(&claim.folder).is_ok())
            .cloned()
            .collect();
        if let Some(other) = next.iter().find(|claim| found.key.overlaps(&Key::from(claim.key.clone()))) {
            return Err(PlaceError::Shared { mine: connection.clone(), other: other.connection.to_string() });
        }
        if next.len() >= MAX_CLAIMS {
            return Err(PlaceError::TooMany);
        }
        let folder = found.parts.iter().fold(root.to_owned(), |path, part| path.join(part));
        next.push(Claim { connection: connection.clone(), folder, key: found.key.as_str().to_owned() });
        if next != *claims {
            let text = serde_json::to_vec(&next).unwrap_or_default();
            private_file::write(&self.base.join("claims.json"), &text)?;
            *claims = next;
        }
        Ok(())
    }

    fn take(
        &self,
        connection: &ConnectionPath,
        from: &Folder,
        parts: &[String],
        chosen: &str,
    ) -> Result<Place, PlaceError> {
        let mut entered: Option<Folder> = None;
        for part in parts {
            entered = Some(entered.as_ref().unwrap_or(from).enter(part)?.0);
        }
        let folder = entered.ok_or_else(|| PlaceError::Taken(from.path().to_owned()))?;
        if !folder.is_private()? {
            return Err(PlaceError::Open(folder.path().to_owned()));
        }
        self.hold(connection, &folder)?;
        let lock = folder.lock(LOCK)?.ok_or_else(|| PlaceError::Busy(folder.path().to_owned()))?;
        Ok(Place { folder, chosen: chosen.to_owned(), _lock: lock })
    }

    /// Makes sure that the folder is this connection's.
    fn hold(&self, connection: &ConnectionPath, folder: &Folder) -> Result<(), PlaceError> {
        let mine = Holder { agent: self.agent.clone(), connection: connection.clone() };
        let Some(text) = folder.read(HOLDER)? else {
            // What a process left behind that died here; anything else was there before us.
            let ours = |name: &String| name == LOCK || name == "holder.new";
            if !folder.names(8)?.iter().all(ours) {
                return Err(PlaceError::Taken(folder.path().to_owned()));
            }
            let text = serde_json::to_vec(&mine).unwrap_or_default();
            return Ok(folder.write(HOLDER, &text)?);
        };
        match serde_json::from_slice::<Holder>(&text) {
            Ok(holder) if holder == mine => Ok(()),
            Ok(holder) => {
                let whose = if holder.agent == self.agent { "" } else { ", kept by another agent" };
                Err(PlaceError::Shared { mine: connection.clone(), other: format!("{}{whose}", holder.connection) })
            }
            Err(_) => Err(PlaceError::Taken(folder.path().to_owned())),
        }
    }

    /// The roots on disk, and as they are compared.
    fn roots(&self) -> Result<(Vec<PathBuf>, Roots), PlaceError> {
        let own = self.data.join("oauth-files");
        let written = if self.settings.roots.is_empty() {
            private_file::create_folder(&own)?;
            vec![own.clone()]
        } else {
            self.settings.roots.clone()
        };
        let (mut real, mut roots) = (Vec::new(), Vec::new());
        for path in written {
            let wrong = |reason| PlaceError::Root(path.clone(), reason);
            let found = fs::canonicalize(&path).map_err(|_| wrong("is not a folder that the agent can open"))?;
            let inside = found.starts_with(&self.data) && !found.starts_with(&own);
            if inside || self.data.starts_with(&found) {
                return Err(wrong("lies around or inside the agent's data folder, name another one"));
            }
            let text = |path: &Path| path.to_str().map(ToOwned::to_owned);
            let root = text(&found).zip(text(&path)).and_then(|(found, path)| Root::new(&found, &path));
            roots.push(root.ok_or_else(|| wrong("is not an absolute path of readable characters"))?);
            real.push(found);
        }
        Ok((real, Roots::new(roots)))
    }
}

/// No other claim may have led to this very folder, whatever it is called.
fn apart(claims: &[Claim], connection: &ConnectionPath, folder: &Folder) -> Result<(), PlaceError> {
    let same = folder.same()?;
    let others = claims.iter().filter(|claim| claim.connection != *connection);
    for other in others {
        if Folder::open(&other.folder).and_then(|folder| folder.same()).is_ok_and(|other| other == same) {
            return Err(PlaceError::Shared { mine: connection.clone(), other: other.connection.to_string() });
        }
    }
    Ok(())
}

fn read_claims(base: &Path) -> Result<Vec<Claim>, PlaceError> {
    match private_file::read(&base.join("claims.json"), MAX_CLAIMS_FILE) {
        // A file that cannot be read is one that others wrote: what it held shows up again by the folders' own marks.
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(error) if error.is_missing() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn agent_mark(base: &Path) -> Result<String, PlaceError> {
    let path = base.join("agent");
    let fresh: [u8; 16] = rand::random();
    let fresh: String = sha256(&fresh).to_string().chars().skip(7).take(32).collect();
    private_file::create_new(&path, fresh.as_bytes())?;
    Ok(private_file::read_text(&path, 64)?.trim().to_owned())
}

#[cfg(test)]
mod tests;
