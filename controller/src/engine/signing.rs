//! Deployments under an operator's signature: what is to be signed, and whether the right one was.

use wherry_domain::{id::GroupId, name::Name};
use wherry_trust::deployment::{Statement, StatementError};

use super::{Kind, Refusal, Turn};

/// Who answers for a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// The controller alone.
    #[default]
    None,
    /// An operator is going to sign it.
    Wanted,
    /// An operator signed it: the envelope as JSON.
    Given(String),
}

impl Signature {
    /// The envelope.
    pub(super) fn envelope(&self) -> Option<&str> {
        match self {
            Self::None | Self::Wanted => None,
            Self::Given(envelope) => Some(envelope),
        }
    }
}

impl Turn<'_> {
    /// Whether an environment takes signed deployments alone.
    pub(super) fn wants_signature(&self, environment: &Name) -> bool {
        self.policies(environment).require_signed_deployments
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
            (Signature::None, false) | (Signature::Wanted, _) => Ok(()),
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
