//! Deployments under an operator's signature: what is to be signed, and whether the right one was.

use wherry_domain::{id::GroupId, name::Name};
use wherry_trust::{
    deployment::{Statement, StatementError},
    dsse::Envelope,
};

use super::{Kind, Refusal, Turn};
use crate::model::Deployment;

/// Who answers for a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// The controller alone.
    #[default]
    None,
    /// The operator with this key id is going to sign it.
    Wanted(String),
    /// An operator signed it: the envelope as JSON.
    Given(String),
}

impl Signature {
    /// The envelope.
    pub(super) fn envelope(&self) -> Option<&str> {
        match self {
            Self::None | Self::Wanted(_) => None,
            Self::Given(envelope) => Some(envelope),
        }
    }

    /// Whether an envelope names the same signer.
    fn is_by_signer_of(&self, envelope: &str) -> bool {
        match self {
            Self::None => true,
            Self::Wanted(signer) => signers(envelope).contains(signer),
            Self::Given(ours) => signers(ours).iter().any(|signer| signers(envelope).contains(signer)),
        }
    }
}

/// Ids of the keys that an envelope names as its signers. It proves nothing.
#[must_use]
pub fn signers(envelope: &str) -> Vec<String> {
    let envelope: Option<Envelope> = serde_json::from_str(envelope).ok();
    let signatures = envelope.map(|envelope| envelope.signatures).unwrap_or_default();
    signatures.into_iter().map(|signature| signature.keyid).collect()
}

impl Turn<'_> {
    /// Whether an environment takes signed deployments alone.
    pub(super) fn wants_signature(&self, environment: &Name) -> bool {
        self.policies(environment).require_signed_deployments
    }

    /// Whether a deployment has the signature that is asked for: the one of the same signer, and where the environment
    /// needs one, of somebody whose word counts now.
    pub(super) fn is_signed_enough(
        &self,
        (group, environment): (GroupId, &Name),
        deployment: &Deployment,
        signature: &Signature,
    ) -> bool {
        let needed = self.wants_signature(environment);
        let Some(envelope) = &deployment.signature else { return !needed && *signature == Signature::None };
        let Deployment { project, number, digest, .. } = deployment;
        let statement = Statement::new(environment.clone(), project.clone(), *number, *digest);
        let counts = || statement.signed_by(envelope.as_bytes(), &self.state.deployment_signers(group)).is_ok();
        signature.is_by_signer_of(envelope) && (!needed || counts())
    }

    /// Refuses what the environment takes only under another signature than this.
    pub(super) fn signed_enough(
        &self,
        group: GroupId,
        statement: &Statement,
        signature: &Signature,
    ) -> Result<(), Refusal> {
        let environment = &statement.environment;
        match (signature, self.wants_signature(environment)) {
            (Signature::None, false) | (Signature::Wanted(_), _) => Ok(()),
            (Signature::None, true) => {
                let message = format!(
                    "environment {environment} takes deployments that an operator signed (policy \
                     require_signed_deployments): wherry project deploy FOLDER --environment {environment} --sign"
                );
                Err(Refusal::new(Kind::Forbidden, "policy.deployment_unsigned", message))
            }
            (Signature::Given(envelope), false) => statement.is_in(envelope.as_bytes()).map_err(refused),
            (Signature::Given(envelope), true) => {
                let operators = self.state.deployment_signers(group);
                statement.signed_by(envelope.as_bytes(), &operators).map(drop).map_err(refused)
            }
        }
    }
}

fn refused(error: StatementError) -> Refusal {
    let kind = match &error {
        // Somebody deployed, or changed what is filled in, since the document was made.
        StatementError::Other { .. } => Kind::Conflict,
        StatementError::Malformed | StatementError::Envelope(_) => Kind::Invalid,
    };
    Refusal { code: error.code(), ..Refusal::new(kind, "deployment.signature_malformed", error.to_string()) }
}
