//! Deployments under an operator's signature.

use wherry_controller::engine::{Asked, Deployed, Kind, Refusal, Signature};
use wherry_domain::{
    policy::Policy,
    project::{Mapping, Project},
};
use wherry_trust::{
    deployment::Statement,
    keys::{SigningKey, sha256},
};

use crate::support::{Bench, Crew, Disk, desk, name, on_each_store};

on_each_store!(
    what_an_operator_signed_is_deployed_and_handed_to_agents_with_the_signature,
    a_signature_counts_for_the_document_it_was_made_for_alone,
    under_the_policy_an_operator_of_the_group_has_to_sign,
);

async fn ask(bench: &Bench, project: Project, signature: Signature, trial: bool) -> Result<Deployed, Refusal> {
    let asked = Asked { project, mapping: Mapping::default(), signature, trial };
    bench.ledger.deploy_as("ada".to_owned(), name("prod"), asked).await
}

fn described(text: &str) -> Project {
    Project { description: text.to_owned(), ..desk() }
}

fn wanted(key: &SigningKey) -> Signature {
    Signature::Wanted(key.public().key_id().to_string())
}

/// What the tool does: it has the document made and signs that.
async fn sign(bench: &Bench, project: Project, key: &SigningKey) -> String {
    let planned = ask(bench, project, wanted(key), true).await.unwrap();
    let document = planned.to_sign.unwrap();
    assert_eq!(sha256(&document), planned.deployment.digest);
    let number = planned.snapshot.number;
    let statement = Statement::new(name("prod"), name("desk"), number, sha256(&document));
    String::from_utf8(statement.sign(key).unwrap().to_json()).unwrap()
}

async fn what_an_operator_signed_is_deployed_and_handed_to_agents_with_the_signature(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut crew = Crew::of(&bench).await;
    let mut hand = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut hand).await;
    let (agent, key) = (&hand.agent, &crew.operator);
    // The same project as before, without a signature: signing it is a change.
    let envelope = sign(&bench, desk(), key).await;
    let deployed = ask(&bench, desk(), Signature::Given(envelope.clone()), false).await.unwrap();
    assert!(deployed.changed);
    let handed = bench.ledger.document_for(agent.identity.clone(), deployed.deployment.digest).await.unwrap();
    assert_eq!((sha256(&handed.0), handed.1), (deployed.deployment.digest, Some(envelope)));
    let again = ask(&bench, desk(), wanted(key), true).await.unwrap();
    assert!(!again.changed && again.to_sign.is_none(), "what is signed needs no second signature");

    // Somebody else may sign the same: an agent's owner may believe them alone.
    let anew = ask(&bench, desk(), wanted(&SigningKey::generate().unwrap()), true).await.unwrap();
    assert!(anew.changed && anew.to_sign.is_some());
}

async fn a_signature_counts_for_the_document_it_was_made_for_alone(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let key = SigningKey::generate().unwrap();
    let envelope = sign(&bench, described("first"), &key).await;
    let other = ask(&bench, described("second"), Signature::Given(envelope.clone()), false).await.unwrap_err();
    assert_eq!((other.kind, other.code.as_str()), (Kind::Conflict, "deployment.signature_foreign"));
    ask(&bench, described("between"), Signature::None, false).await.unwrap();
    let late = ask(&bench, described("first"), Signature::Given(envelope), false).await.unwrap_err();
    assert_eq!(late.code.as_str(), "deployment.signature_foreign", "the number went to another deployment");
    let garbage = ask(&bench, described("third"), Signature::Given("{}".to_owned()), false).await.unwrap_err();
    assert_eq!((garbage.kind, garbage.code.as_str()), (Kind::Invalid, "envelope.malformed"));
}

async fn under_the_policy_an_operator_of_the_group_has_to_sign(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut crew = Crew::of(&bench).await;
    let mut hand = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut hand).await;
    let policy = Policy::RequireSignedDeployments;
    bench.ledger.set_policy("ada".to_owned(), None, policy, "true".to_owned()).await.unwrap();

    let unsigned = ask(&bench, described("new"), Signature::None, false).await.unwrap_err();
    assert_eq!((unsigned.kind, unsigned.code.as_str()), (Kind::Forbidden, "policy.deployment_unsigned"));
    let trial = ask(&bench, described("new"), Signature::None, true).await.unwrap();
    assert!(trial.signature_needed, "a dry run says so");

    let stranger = SigningKey::generate().unwrap();
    let envelope = sign(&bench, described("new"), &stranger).await;
    let refused = ask(&bench, described("new"), Signature::Given(envelope), false).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "envelope.signer_unknown");

    let envelope = sign(&bench, described("new"), &crew.operator).await;
    assert!(ask(&bench, described("new"), Signature::Given(envelope), false).await.unwrap().changed);
}
