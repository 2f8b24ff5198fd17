//! Why a release is not believed, where the key that signed it was revoked: a code of its own, for nobody can trust
//! that key again.

use wherry_domain::{
    failure::{Code, Failure},
    lock::Locked,
    name::Name,
};
use wherry_trust::{
    chain::{ChainError, PublishersList},
    dsse::{DsseError, Envelope, Limits},
    release::{PAYLOAD_TYPE, ReleaseError},
};

/// The key that signed a release was revoked.
const KEY_REVOKED: Code = Code::new("publisher.key_revoked");

/// A release that was judged, and the publishers that it was judged by.
pub(super) struct Judged<'a> {
    pub(super) name: &'a Name,
    pub(super) locked: &'a Locked,
    pub(super) list: Option<&'a PublishersList>,
    pub(super) envelope: Option<&'a Envelope>,
}

impl Judged<'_> {
    /// What is wrong with it.
    pub(super) fn failure(&self, error: &ChainError) -> Failure {
        let Self { name, locked, .. } = self;
        let unknown = matches!(error, ChainError::Release { error, .. }
            if matches!(**error, ReleaseError::Envelope(DsseError::TooFewSigners { .. })));
        if unknown && self.is_of_revoked_key() {
            let message = format!(
                "the key of the publisher who signed connector {name} {} is revoked: upgrade it to a version \
                 that another key signed",
                locked.version
            );
            return Failure::permanent(KEY_REVOKED, message);
        }
        Failure::permanent(error.code(), error.to_string())
    }

    fn is_of_revoked_key(&self) -> bool {
        let (Some(list), Some(envelope)) = (self.list, self.envelope) else { return false };
        let keys = Vec::from_iter(list.revoked_keys.iter().copied());
        envelope.verify(PAYLOAD_TYPE, &keys, &Limits::default()).is_ok()
    }
}
