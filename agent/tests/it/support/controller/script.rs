//! What a controller does; tests change it at will.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tonic::Status;
use wherry_domain::{digest::Digest, lease::LeaseTerms};
use wherry_proto::frame::{Decision, Desired, Publisher, Stage};
use wherry_trust::keys::PublicKey;

/// What the controller does; tests change it at will.
pub(crate) struct Script {
    pub(crate) token: Option<Digest>,
    /// What an admitted agent finds about its group's keys.
    pub(crate) invite: Vec<u8>,
    pub(crate) identity_key: Option<PublicKey>,
    /// The next certificates have run out already.
    pub(crate) expired: bool,
    pub(crate) renew_after: Duration,
    pub(crate) generation: u64,
    /// Of the next welcomes.
    pub(crate) epoch: u64,
    pub(crate) lease: LeaseTerms,
    pub(crate) heartbeat: Duration,
    /// Results are acknowledged as they come.
    pub(crate) acks: bool,
    /// Heartbeats are acknowledged as they come.
    pub(crate) beats: bool,
    /// Said instead of a welcome.
    pub(crate) refusal: Option<Status>,
    pub(crate) verdict: fn(Stage) -> Decision,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) environments: Vec<&'static str>,
    pub(crate) deployments: BTreeMap<Digest, Vec<u8>>,
    pub(crate) connectors: BTreeMap<Digest, (Vec<u8>, Vec<u8>)>,
    /// A download ends after so many bytes.
    pub(crate) cut: Option<usize>,
    pub(crate) offsets: Vec<u64>,
    /// A download says nothing more after so many bytes, and breaks off once it is told to.
    pub(crate) stall: Option<usize>,
    pub(crate) resume: Arc<Notify>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            token: None,
            invite: Vec::new(),
            identity_key: None,
            expired: false,
            renew_after: Duration::from_secs(12 * 3_600),
            generation: 0,
            epoch: 1,
            lease: LeaseTerms::default(),
            heartbeat: Duration::from_millis(200),
            acks: true,
            beats: true,
            refusal: None,
            verdict: |stage| match stage {
                Stage::Accepted | Stage::Started => Decision::Keep,
                Stage::Interrupted | Stage::Finished => Decision::Report,
            },
            publishers: Vec::new(),
            environments: vec!["prod"],
            deployments: BTreeMap::new(),
            connectors: BTreeMap::new(),
            cut: None,
            offsets: Vec::new(),
            stall: None,
            resume: Arc::default(),
        }
    }
}

impl Script {
    /// What the organisation wants now.
    pub(crate) fn desired(&self) -> Desired {
        let environments = self.environments.iter().map(|name| name.parse().unwrap()).collect();
        Desired { publishers: self.publishers.clone(), environments, ..Desired::default() }
    }
}
