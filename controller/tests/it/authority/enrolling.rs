//! Getting and renewing certificates.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use tonic::Code;
use wherry_proto::wire;
use wherry_trust::names::AgentIdentity;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::support::{Bench, Disk, Served, code, csr, enrolment, identity, new_key};

#[tokio::test]
async fn a_token_becomes_a_certificate_with_our_name_and_our_usages_only() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let token = served.token().await;
    let key = new_key();
    // Whatever the request asks for beside its key is ignored.
    let mut asked = CertificateParams::new(vec!["controller.example".to_owned()]).unwrap();
    asked.subject_alt_names.push(SanType::URI("spiffe://evil/org/x".try_into().unwrap()));
    asked.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let request = asked.serialize_request(&*key).unwrap().der().to_vec();
    let mut client = served.enrolling(None).await;
    let answer = client.enroll(enrolment(&token, "pier-1", request)).await.unwrap().into_inner();
    assert_eq!((answer.group.as_str(), answer.publishers.len()), ("berlin", 1));
    let certificate = answer.certificate.unwrap();
    assert_eq!((certificate.generation, certificate.renew_after_ms), (1, 12 * 3_600_000));
    assert_eq!(certificate.roots, [served.authority.root().to_vec()]);
    assert_eq!(certificate.chain.len(), 2);

    let (_, leaf) = X509Certificate::from_der(&certificate.chain[0]).unwrap();
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    let [GeneralName::URI(uri)] = names.as_slice() else { panic!("{names:?}") };
    let named = AgentIdentity::from_uri(uri).unwrap();
    assert_eq!((named.agent().to_string(), named.domain()), (answer.agent_id.clone(), "wherry.local"));
    assert!(!leaf.is_ca());
    let usages = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usages.client_auth && !usages.server_auth && !usages.any);
    let seen = served.bench.ledger.agent(answer.agent_id).await.unwrap().agent;
    assert_eq!(seen.certificate_ends_ms / 1_000, u64::try_from(leaf.validity().not_after.timestamp()).unwrap());
}

#[tokio::test]
async fn a_wrong_or_used_token_gives_nothing_and_too_many_tries_have_to_wait() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let token = served.token().await;
    let key = new_key();
    let mut client = served.enrolling(None).await;
    let good = enrolment(&token, "pier-1", csr(&key));
    let first = client.enroll(good.clone()).await.unwrap().into_inner();
    let again = client.enroll(good.clone()).await.unwrap().into_inner();
    assert_eq!(again.agent_id, first.agent_id, "the answer was lost: the same key asks again");

    let used = enrolment(&token, "pier-2", csr(&new_key()));
    let fresh = served.token().await;
    let wrong = wire::EnrollRequest { auth_part: vec![9; 32], ..enrolment(&fresh, "pier-2", csr(&new_key())) };
    let short = wire::EnrollRequest { auth_part: vec![9; 3], ..wrong.clone() };
    let unknown = wire::EnrollRequest { token_id: "aaaaaaaaaa".to_owned(), ..wrong.clone() };
    let mut texts = Vec::new();
    for request in [used, wrong, short, unknown.clone(), unknown.clone()] {
        let refused = client.enroll(request).await.unwrap_err();
        assert_eq!((refused.code(), code(&refused)), (Code::Unauthenticated, "enrolment.token_invalid"));
        texts.push(refused.message().to_owned());
    }
    let patience = enrolment(&fresh, "pier-2", csr(&new_key()));
    let refused = client.enroll(patience.clone()).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::ResourceExhausted, "enrolment.too_many_attempts"));
    served.bench.hand.advance(Duration::from_secs(61));
    client.enroll(patience).await.unwrap();
    texts.dedup();
    assert_eq!(texts.len(), 1, "the answers tell apart why: {texts:?}");
}

#[tokio::test]
async fn a_request_that_is_not_one_of_ours_is_refused_before_the_token_is_touched() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let token = served.token().await;
    let mut client = served.enrolling(None).await;
    let good = enrolment(&token, "pier-1", csr(&new_key()));
    let mut forged = good.csr.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let other_curve = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    for request in [Vec::new(), b"not a request".to_vec(), forged, csr(&other_curve), vec![0x30; 9_000]] {
        let refused = client.enroll(wire::EnrollRequest { csr: request, ..good.clone() }).await.unwrap_err();
        assert_eq!((refused.code(), code(&refused)), (Code::InvalidArgument, "enrolment.csr_rejected"));
    }
    let named = wire::EnrollRequest { name: "../Pier".to_owned(), ..good.clone() };
    assert_eq!(code(&client.enroll(named).await.unwrap_err()), "agent.name_invalid");
    let keyless = wire::EnrollRequest { identity_key: vec![1; 31], ..good.clone() };
    assert_eq!(code(&client.enroll(keyless).await.unwrap_err()), "enrolment.identity_key_invalid");
    let endless = wire::EnrollRequest { version: "x".repeat(1 << 20), ..good.clone() };
    assert_eq!(client.enroll(endless).await.unwrap_err().code(), Code::OutOfRange);
    client.enroll(good).await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_renewed_by_itself_and_an_old_one_locks_the_agent() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (answer, first) = served.enrol("pier-1").await;
    let (key, request) = (new_key(), |key: &KeyPair, generation| wire::RenewRequest { csr: csr(key), generation });
    let mut client = served.enrolling(Some(&first)).await;
    let renewed = client.renew(request(&key, 1)).await.unwrap().into_inner().certificate.unwrap();
    assert_eq!(renewed.generation, 2);
    let second = identity(&renewed, key);
    let repeated = client.renew(request(&second.key, 1)).await.unwrap().into_inner().certificate.unwrap();
    assert_eq!(repeated.generation, 2, "the answer was lost");
    let mut client = served.enrolling(Some(&second)).await;
    assert_eq!(client.renew(request(&new_key(), 2)).await.unwrap().into_inner().certificate.unwrap().generation, 3);

    let mut thief = served.enrolling(Some(&first)).await;
    let refused = thief.renew(request(&new_key(), 1)).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::PermissionDenied, "agent.locked"));
    let refused = client.renew(request(&new_key(), 3)).await.unwrap_err();
    assert_eq!(code(&refused), "agent.locked", "the owner learns that something is wrong");
    assert_eq!(served.bench.ledger.agent(answer.agent_id).await.unwrap().state, "locked");
    let nobody = served.enrolling(None).await.renew(request(&new_key(), 3)).await.unwrap_err();
    assert_eq!((nobody.code(), code(&nobody)), (Code::Unauthenticated, "agent.certificate_missing"));
}
