//! Whose deployments run here: the agent's owner may demand that an operator signed them.

use std::sync::{Arc, Mutex, PoisonError};

use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    project::Snapshot,
};
use wherry_trust::{deployment::Statement, keys::PublicKey};

/// The owner runs signed deployments alone, and this is none.
const UNSIGNED: Code = Code::new("agent_policy.deployment_unsigned");

/// The operators of whom one has to have signed; nothing while the owner demands no signature. Asked for each run, so
/// that a demand holds from the moment it is made.
pub type Demand = Arc<dyn Fn() -> Option<Arc<[PublicKey]>> + Send + Sync>;

/// The envelope that came with a deployment, and what was found out about it.
#[derive(Debug)]
pub(super) struct Signed {
    envelope: Vec<u8>,
    signer: Mutex<Option<PublicKey>>,
}

impl Signed {
    pub(super) const fn new(envelope: Vec<u8>) -> Self {
        Self { envelope, signer: Mutex::new(None) }
    }

    pub(super) const fn is_missing(&self) -> bool {
        self.envelope.is_empty()
    }

    /// Whether one of `operators` signed this very document.
    pub(super) fn admit(&self, snapshot: &Snapshot, digest: Digest, operators: &[PublicKey]) -> Result<(), Failure> {
        let mut signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        // A signature once verified holds as long as its key counts: verifying costs more than all else of a warm run.
        if signer.is_some_and(|signer| operators.contains(&signer)) {
            return Ok(());
        }
        let Snapshot { environment, number, project, .. } = snapshot;
        let redeploy = format!("deploy it with wherry project deploy --environment {environment} --sign");
        if self.is_missing() {
            let message = format!(
                "the owner of this agent runs signed deployments alone, and nobody signed {} number {number}: {redeploy}",
                project.name
            );
            return Err(Failure::permanent(UNSIGNED, message));
        }
        let statement = Statement::new(environment.clone(), project.name.clone(), *number, digest);
        let verified = statement.signed_by(&self.envelope, operators).map_err(|error| {
            let message = format!(
                "the owner of this agent runs deployments alone that an operator of its choice signed: {error} ({}); \
                 {redeploy} and a key that the agent's policy names",
                error.code()
            );
            Failure::permanent(UNSIGNED, message)
        })?;
        *signer = Some(verified);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wherry_trust::keys::{SigningKey, sha256};

    use super::*;

    const DOCUMENT: &[u8] = b"the document";

    fn snapshot() -> Snapshot {
        let project = json!({ "name": "desk", "connections": {}, "operations": {} });
        let snapshot = json!({
            "environment": "prod", "number": 3, "project": project, "connectors": {}, "side_effects": {},
        });
        serde_json::from_value(snapshot).unwrap()
    }

    fn signed(by: &SigningKey, number: u64) -> Signed {
        let (environment, project) = ("prod".parse().unwrap(), "desk".parse().unwrap());
        let statement = Statement::new(environment, project, number, sha256(DOCUMENT));
        Signed::new(statement.sign(by).unwrap().to_json())
    }

    fn admitted(signed: &Signed, operators: &[PublicKey]) -> Result<(), Code> {
        signed.admit(&snapshot(), sha256(DOCUMENT), operators).map_err(|failure| failure.code)
    }

    #[test]
    fn an_operator_whom_the_owner_names_has_to_have_signed_this_very_document() {
        let (operator, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (ours, theirs) = ([operator.public()], [other.public()]);
        let good = signed(&operator, 3);
        assert_eq!(admitted(&good, &ours), Ok(()));
        assert_eq!(admitted(&good, &ours), Ok(()), "remembered");
        assert_eq!(admitted(&good, &theirs), Err(UNSIGNED), "what was remembered is no longer named");
        assert_eq!(admitted(&signed(&other, 3), &ours), Err(UNSIGNED));
        assert_eq!(admitted(&signed(&operator, 2), &ours), Err(UNSIGNED), "another number");
        assert_eq!(admitted(&Signed::new(Vec::new()), &ours), Err(UNSIGNED), "nobody signed");
        assert_eq!(admitted(&Signed::new(b"garbage".to_vec()), &ours), Err(UNSIGNED));
    }
}
