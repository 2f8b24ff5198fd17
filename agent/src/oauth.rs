//! OAuth 2.0: the tokens of connections, got, kept and refreshed on this agent and nowhere else.
//!
//! | module | what it is for |
//! |---|---|
//! | `state` | when a token is good, and what follows from each answer; pure |
//! | `broker`, `following` | carries that out for one connection, whatever is deployed meanwhile |
//! | `settings`, `client`, `assertion`, `answer` | requests to a token endpoint, and what its answers mean |
//! | `given` | a token that was got elsewhere |
//! | `sites` | which of a provider's sites is meant |
//! | [`place`], `location`, `spelling`, `folder` | a folder for each connection, and none for two |
//! | `book`, `tokens` | what is in it |
//! | [`copies`] | how the agents of a group share tokens |
//! | [`flow`], [`consent`] | a person's consent |
//! | [`link`] | all that over the session |
//! | [`trouble`] | why there is no token, in words |

mod answer;
mod assertion;
mod book;
mod broker;
mod client;
pub mod consent;
pub mod copies;
pub mod flow;
mod folder;
mod following;
mod given;
pub mod link;
mod location;
pub mod place;
mod settings;
pub mod shared;
pub(crate) mod sites;
mod spelling;
mod state;
mod tokens;
pub mod trouble;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;
use secrecy::SecretString;
use wherry_daemon::{clock::Clock, tasks::Tasks};
use wherry_domain::{connection::ConnectionPath, failure::Code};
use wherry_trust::seal_local::LocalKey;

use self::{
    book::Book,
    broker::{Broker, Ground},
    consent::{Consents, Deployed},
    copies::{Copies, Copy, GroupKey},
    flow::Flows,
    following::Following,
    given::Given,
    place::{LocationSettings, PlaceError, Places},
    settings::Settings,
    state::Event,
};
use crate::{
    auth::{AuthFailure, Source, Tokens, token::Wanted},
    certificates::FileRules,
    paths::DataDir,
};

/// Most connections with tokens: as many as a project may have.
const MAX_CONNECTIONS: usize = 1_000;

/// What OAuth is put together from.
pub struct Parts {
    /// The data folder.
    pub data: DataDir,
    /// What the owner allows.
    pub locations: LocationSettings,
    /// Which certificate files connections may name.
    pub files: FileRules,
    /// Seals what is kept.
    pub key: LocalKey,
    /// The clock.
    pub clock: Clock,
    /// Where refreshes run.
    pub tasks: Tasks,
    /// The way to the other agents.
    pub copies: Arc<dyn Copies>,
    /// The key shared with them.
    pub group: Arc<dyn GroupKey>,
}

/// The tokens of all connections of this agent.
#[derive(Clone)]
pub struct OAuth(Arc<Inner>);

struct Inner {
    ground: Arc<Ground>,
    /// The address of sites that were looked up, by connection and its own URL.
    sites: Mutex<HashMap<(ConnectionPath, String), String>>,
    brokers: Mutex<HashMap<ConnectionPath, Arc<Broker>>>,
}

impl OAuth {
    /// Opens the folder that tokens are kept in.
    ///
    /// # Errors
    /// If it cannot be made or read.
    pub fn open(parts: Parts) -> Result<Self, PlaceError> {
        let Parts { data, locations, files, key, clock, tasks, copies, group } = parts;
        let places = Places::open(&data, locations)?;
        let ground = Ground { clock, tasks, key: Arc::new(key), places, files, copies, group };
        Ok(Self(Arc::new(Inner { ground: Arc::new(ground), sites: Mutex::default(), brokers: Mutex::default() })))
    }

    /// What the controller may ask for when a person consents.
    ///
    /// # Errors
    /// If nothing can be written down.
    pub fn flows(&self, deployed: Arc<dyn Deployed>) -> Result<Arc<dyn Flows>, PlaceError> {
        Ok(Arc::new(Consents::new(self, deployed)?))
    }

    fn forget_unopened(&self, connection: &ConnectionPath) -> Result<(), AuthFailure> {
        let ground = &self.0.ground;
        Ok(Book::forget_unopened(&ground.places, Arc::clone(&ground.key), connection)?)
    }

    /// A copy of another agent's tokens came by itself.
    pub fn copy_seen(&self, connection: &ConnectionPath, copy: Copy) {
        if let Some(broker) = self.known(connection) {
            broker.copy_seen(copy);
        }
    }

    /// Another agent needs newer tokens than these.
    pub fn refresh_wanted(&self, connection: &ConnectionPath, generation: u64) {
        if let Some(broker) = self.known(connection) {
            broker.tell(Event::WantedElsewhere(generation));
        }
    }

    fn known(&self, connection: &ConnectionPath) -> Option<Arc<Broker>> {
        self.0.brokers.lock().unwrap_or_else(PoisonError::into_inner).get(connection).cloned()
    }

    async fn find_site(&self, wanted: Wanted) -> Result<Option<String>, AuthFailure> {
        let settings = Settings::read(wanted.clone(), self.0.ground.clock.clone())?;
        let Some(list) = &settings.sites else { return Ok(None) };
        let key = (wanted.path.clone(), wanted.base.clone());
        if let Some(known) = self.sites().get(&key) {
            return Ok(Some(known.clone()));
        }
        let source = self.source(wanted)?;
        let token = source.token().await?;
        let text = token.value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let found = sites::find(&settings, list, &SecretString::from(text)).await?;
        let mut known = self.sites();
        if known.len() >= MAX_CONNECTIONS {
            known.clear();
        }
        known.insert(key, found.clone());
        Ok(Some(found))
    }

    fn sites(&self) -> MutexGuard<'_, HashMap<(ConnectionPath, String), String>> {
        self.0.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the owner's policy allows a location as it is now, also one that is in use already.
    fn allowed(&self, location: &str) -> Result<(), AuthFailure> {
        if location.is_empty() {
            return Ok(());
        }
        let Ground { places, files, .. } = &*self.0.ground;
        let rules = files.policy.rules();
        let folder = if rules.raw().files.roots.is_some() { places.folder(location)? } else { return Ok(()) };
        let allowed = rules.file(&folder, Some(&folder));
        allowed.map_err(|refusal| AuthFailure::permanent(refusal.code(), refusal.to_string()))
    }

    /// The broker of a connection, with these settings.
    fn broker(&self, settings: Settings, means: state::Means) -> Result<Arc<Broker>, AuthFailure> {
        let path = settings.wanted.path.clone();
        self.allowed(&settings.oauth().oauth_settings_location)?;
        let mut brokers = self.0.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = brokers.get(&path) {
            if broker.means() == means && broker.location() == settings.oauth().oauth_settings_location {
                broker.adjust(settings)?;
                return Ok(Arc::clone(broker));
            }
            // Another way or another place: what is on disk is read anew, by one broker at a time.
            broker.retire()?;
            brokers.remove(&path);
        }
        if brokers.len() >= MAX_CONNECTIONS {
            let message = format!("this agent keeps tokens of {MAX_CONNECTIONS} connections already");
            return Err(AuthFailure::permanent(Code::new("oauth.storage"), message));
        }
        let broker = Broker::open(Arc::clone(&self.0.ground), settings, means)?;
        brokers.insert(path, Arc::clone(&broker));
        Ok(broker)
    }
}

impl Tokens for OAuth {
    fn source(&self, wanted: Wanted) -> Result<Source, AuthFailure> {
        let settings = Settings::read(wanted, self.0.ground.clock.clone())?;
        match settings.means() {
            Some(means) => Ok(Arc::new(Following::new(self.clone(), settings, means)?)),
            None => Ok(Given::shared(settings, self.0.ground.clock.clone())),
        }
    }

    fn site(&self, wanted: Wanted) -> BoxFuture<'_, Result<Option<String>, AuthFailure>> {
        Box::pin(self.find_site(wanted))
    }
}

impl From<PlaceError> for AuthFailure {
    fn from(error: PlaceError) -> Self {
        Self::permanent(error.code(), error.to_string())
    }
}
