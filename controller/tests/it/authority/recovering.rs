//! Getting a certificate again with the identity key.

use std::time::Duration;

use tonic::{Code, transport::Channel};
use wherry_proto::{
    RECOVER_CONTEXT,
    wire::{self, enrollment_service_client::EnrollmentServiceClient, recover_response::Answer},
};
use wherry_trust::keys::SigningKey;

use crate::support::{Bench, Disk, Served, code, csr, enrolment, new_key};

#[tokio::test]
async fn the_identity_key_gets_a_certificate_within_fourteen_days_of_the_end_of_the_last() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (agent, key) = enrolled(&served, "pier-1").await;
    let mut client = served.enrolling(None).await;
    served.bench.hand.advance(Duration::from_secs(86_400 * 15 - 60));
    let certificate = recover(&mut client, &agent, &key).await.unwrap();
    assert_eq!((certificate.generation, certificate.chain.len()), (2, 2));
    served.bench.hand.advance(Duration::from_secs(86_400 * 15 + 60));
    let late = recover(&mut client, &agent, &key).await.unwrap_err();
    assert_eq!((late.code(), code(&late)), (Code::Unauthenticated, "enrolment.recovery_over"));
}

#[tokio::test]
async fn a_proof_of_something_else_is_worth_nothing() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (agent, key) = enrolled(&served, "pier-1").await;
    let (other, other_key) = enrolled(&served, "pier-2").await;
    let mut client = served.enrolling(None).await;
    let request = csr(&new_key());
    let challenge = challenge_of(&mut client, &agent).await;
    let of_other = challenge_of(&mut client, &other).await;
    let proof = |key: &SigningKey, challenge: &[u8], csr: &[u8]| {
        let signature = key.sign(&[RECOVER_CONTEXT, challenge, csr].concat()).to_vec();
        wire::RecoverRequest { agent_id: agent.clone(), csr: csr.to_vec(), challenge: challenge.to_vec(), signature }
    };
    let good = proof(&key, &challenge, &request);
    let mut altered = challenge.clone();
    altered[0] ^= 1;
    let wrong = [
        proof(&other_key, &challenge, &request),
        proof(&key, &of_other, &request),
        proof(&key, &altered, &request),
        wire::RecoverRequest { csr: csr(&new_key()), ..good.clone() },
        wire::RecoverRequest { agent_id: other.clone(), ..good.clone() },
    ];
    for request in wrong {
        let refused = client.recover(request).await.unwrap_err();
        assert_eq!((refused.code(), code(&refused)), (Code::Unauthenticated, "enrolment.token_invalid"));
    }
    let refused = client.recover(good.clone()).await.unwrap_err();
    assert_eq!(code(&refused), "enrolment.too_many_attempts");
    // After the pause the address may try again, but the challenge has become too old.
    served.bench.hand.advance(Duration::from_secs(61));
    assert_eq!(code(&client.recover(good).await.unwrap_err()), "enrolment.token_invalid");
    recover(&mut client, &agent, &key).await.unwrap();
}

#[tokio::test]
async fn a_locked_and_an_unknown_agent_recover_nothing() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (agent, key) = enrolled(&served, "pier-1").await;
    let mut client = served.enrolling(None).await;
    served.bench.ledger.lock("ada".to_owned(), agent.clone(), Some("stolen".to_owned())).await.unwrap();
    let locked = recover(&mut client, &agent, &key).await.unwrap_err();
    assert_eq!((locked.code(), code(&locked)), (Code::PermissionDenied, "agent.locked"));
    // Who asks cannot tell an agent that exists from one that does not.
    let nobody = "agt_00000000000000000000000000000001";
    assert_eq!(challenge_of(&mut client, nobody).await.len(), challenge_of(&mut client, &agent).await.len());
    assert_eq!(code(&recover(&mut client, nobody, &key).await.unwrap_err()), "enrolment.token_invalid");
}

/// An agent with an identity key of its own.
async fn enrolled(served: &Served, called: &str) -> (String, SigningKey) {
    let (token, key) = (served.token().await, SigningKey::generate().unwrap());
    let mut request = enrolment(&token, called, csr(&new_key()));
    request.identity_key = key.public().as_bytes().to_vec();
    let answer = served.enrolling(None).await.enroll(request).await.unwrap().into_inner();
    (answer.agent_id, key)
}

async fn recover(
    client: &mut EnrollmentServiceClient<Channel>,
    agent: &str,
    key: &SigningKey,
) -> Result<wire::Certificate, tonic::Status> {
    let (challenge, csr) = (challenge_of(client, agent).await, csr(&new_key()));
    let signature = key.sign(&[RECOVER_CONTEXT, &challenge, &csr].concat()).to_vec();
    let request = wire::RecoverRequest { agent_id: agent.to_owned(), csr, challenge, signature };
    match client.recover(request).await?.into_inner().answer.unwrap() {
        Answer::Certificate(certificate) => Ok(certificate),
        Answer::Challenge(_) => panic!("a proof was answered with a challenge"),
    }
}

async fn challenge_of(client: &mut EnrollmentServiceClient<Channel>, agent: &str) -> Vec<u8> {
    let request = wire::RecoverRequest { agent_id: agent.to_owned(), ..wire::RecoverRequest::default() };
    match client.recover(request).await.unwrap().into_inner().answer.unwrap() {
        Answer::Challenge(challenge) => challenge,
        Answer::Certificate(_) => panic!("a certificate without proof"),
    }
}
