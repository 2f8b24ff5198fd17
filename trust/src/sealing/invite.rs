//! Invitations: how a group comes to trust the keys of an agent that it never met.
//!
//! The operator's tool signs an invitation when it makes an enrolment token. It names a key that only the token's
//! holders can derive (the roster part never reaches the controller), and that key vouches in turn for the operator.
//! The agent proves with it that the keys it shows are its own. Both together stand in the roster as evidence, so
//! that everyone who reads the roster can check each admission, and nobody has to keep a secret for it.

use serde::{Deserialize, Serialize};
use wherry_domain::digest::Digest;
use wherry_domain::id::{AgentId, GroupId, OrganisationId};

use super::key::SealingPublic;
use super::{SealingError, base64url, framed};
use crate::checksum::TokenId;
use crate::derive::{CryptoUnavailable, derive};
use crate::keys::{PublicKey, SIGNATURE_LENGTH, SigningKey};
use crate::token::RosterPart;

/// Longest JSON of an invitation or a join; each has about 700 bytes.
pub const MAX_INVITE: usize = 1_024;
const VERSION: u8 = 1;
const KEY_INFO: &str = "wherry/join-key/v1";
const INVITE: &[u8] = b"wherry/invite/v1";
const VOUCHER: &[u8] = b"wherry/invite-voucher/v1";
const JOIN: &[u8] = b"wherry/join/v1";

/// An operator's word that the holder of an enrolment token may join a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    v: u8,
    token: String,
    organisation: OrganisationId,
    group: GroupId,
    expires_ms: u64,
    operator: PublicKey,
    join_key: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    founding: Option<Digest>,
    #[serde(with = "base64url")]
    voucher: [u8; SIGNATURE_LENGTH],
    #[serde(with = "base64url")]
    signature: [u8; SIGNATURE_LENGTH],
}

/// For which group an invitation is, and what the operator knows of its roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The group.
    pub group: GroupId,
    /// [`Roster::founding`](super::roster::Roster::founding) as the operator pinned it; none if the group has no
    /// roster yet.
    pub founding: Option<Digest>,
}

impl Invite {
    /// Invites the holder of a token.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn make(
        (token, part): (&TokenId, &RosterPart),
        to: Destination,
        expires_ms: u64,
        operator: &SigningKey,
    ) -> Result<Self, CryptoUnavailable> {
        let join_key = join_key(part)?;
        let mut invite = Self {
            v: VERSION,
            token: token.to_string(),
            organisation: to.organisation,
            group: to.group,
            expires_ms,
            operator: operator.public(),
            join_key: join_key.public(),
            founding: to.founding,
            voucher: [0; SIGNATURE_LENGTH],
            signature: [0; SIGNATURE_LENGTH],
        };
        invite.voucher = join_key.sign(&invite.message(VOUCHER));
        invite.signature = operator.sign(&invite.message(INVITE));
        Ok(invite)
    }

    /// Reads JSON; size and shape are checked, and nothing else.
    ///
    /// # Errors
    /// [`SealingError::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, SealingError> {
        let malformed = SealingError::Malformed("not an invitation");
        if json.len() > MAX_INVITE {
            return Err(malformed);
        }
        let read: Self = serde_json::from_slice(json).map_err(|_| malformed)?;
        if read.v == VERSION && read.token.parse::<TokenId>().is_ok() { Ok(read) } else { Err(malformed) }
    }

    /// The invitation as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and numbers: serialising into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether both signatures hold. Says nothing about whether the operator is one of the group.
    ///
    /// # Errors
    /// [`SealingError::InviteRefused`].
    pub fn check(&self) -> Result<(), SealingError> {
        let operator = self.operator.verify(&self.message(INVITE), &self.signature);
        let voucher = self.join_key.verify(&self.message(VOUCHER), &self.voucher);
        if operator && voucher { Ok(()) } else { Err(SealingError::InviteRefused("its signatures do not hold")) }
    }

    /// Whether it was made together with the token that this agent was given, for the group it now belongs to. Then
    /// the operator it names is the one who made the token, whoever passed the invitation on.
    ///
    /// # Errors
    /// [`SealingError::InviteRefused`].
    pub fn check_as_holder(
        &self,
        (token, part): (&TokenId, &RosterPart),
        organisation: OrganisationId,
        group: GroupId,
    ) -> Result<(), SealingError> {
        self.check()?;
        let mine = self.token == token.as_str() && self.join_key == join_key(part)?.public();
        if !mine {
            return Err(SealingError::InviteRefused("it belongs to another token"));
        }
        if self.organisation != organisation || self.group != group {
            return Err(SealingError::InviteRefused("it is for another group"));
        }
        Ok(())
    }

    /// The id of the token it belongs to.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// For which organisation.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        self.organisation
    }

    /// For which group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Until when it was meant, Unix milliseconds by the operator's clock.
    #[must_use]
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// Who invites.
    #[must_use]
    pub fn operator(&self) -> &PublicKey {
        &self.operator
    }

    /// The founding of the group's roster, if it had one when the token was made.
    #[must_use]
    pub fn founding(&self) -> Option<Digest> {
        self.founding
    }

    fn message(&self, purpose: &[u8]) -> Vec<u8> {
        let founding = self.founding.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
        framed(&[
            purpose,
            self.token.as_bytes(),
            &self.organisation.to_bytes(),
            &self.group.to_bytes(),
            &self.expires_ms.to_be_bytes(),
            self.operator.as_bytes(),
            self.join_key.as_bytes(),
            &founding,
        ])
    }
}

/// An agent's keys, with the proof that whoever holds the token chose them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    v: u8,
    token: String,
    agent: AgentId,
    agent_key: PublicKey,
    sealing_key: SealingPublic,
    #[serde(with = "base64url")]
    proof: [u8; SIGNATURE_LENGTH],
}

impl Join {
    /// States the keys of `agent`: that of its identity and that to which the group's key is to be wrapped.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn make(
        (token, part): (&TokenId, &RosterPart),
        agent: AgentId,
        agent_key: PublicKey,
        sealing_key: SealingPublic,
    ) -> Result<Self, CryptoUnavailable> {
        let mut join =
            Self { v: VERSION, token: token.to_string(), agent, agent_key, sealing_key, proof: [0; SIGNATURE_LENGTH] };
        join.proof = join_key(part)?.sign(&join.message());
        Ok(join)
    }

    /// Reads JSON; size and shape are checked, and nothing else.
    ///
    /// # Errors
    /// [`SealingError::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, SealingError> {
        let malformed = SealingError::Malformed("not a request to join");
        if json.len() > MAX_INVITE {
            return Err(malformed);
        }
        let read: Self = serde_json::from_slice(json).map_err(|_| malformed)?;
        if read.v == VERSION { Ok(read) } else { Err(malformed) }
    }

    /// The join as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and numbers: serialising into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether it was made by the holder of the token that the invitation belongs to.
    ///
    /// # Errors
    /// [`SealingError::InviteRefused`].
    pub fn check(&self, invite: &Invite) -> Result<(), SealingError> {
        if self.token == invite.token && invite.join_key.verify(&self.message(), &self.proof) {
            Ok(())
        } else {
            Err(SealingError::InviteRefused("the agent's keys were not proven with its token"))
        }
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// Its identity key.
    #[must_use]
    pub fn agent_key(&self) -> &PublicKey {
        &self.agent_key
    }

    /// Its sealing key.
    #[must_use]
    pub fn sealing_key(&self) -> &SealingPublic {
        &self.sealing_key
    }

    fn message(&self) -> Vec<u8> {
        framed(&[
            JOIN,
            self.token.as_bytes(),
            &self.agent.to_bytes(),
            self.agent_key.as_bytes(),
            self.sealing_key.as_bytes(),
        ])
    }
}

/// The key that only the holders of a token can derive.
fn join_key(part: &RosterPart) -> Result<SigningKey, CryptoUnavailable> {
    SigningKey::from_seed(&*derive(part.as_bytes(), b"", KEY_INFO)?)
}
