//! Who is refused at the door.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use wherry_proto::wire::{self, agent_service_client::AgentServiceClient};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::support::{Bench, Disk, Identity, Served, code, handshake, new_key, soon};

#[tokio::test]
async fn without_a_certificate_only_enrolment_answers() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let mut client = AgentServiceClient::new(served.channel(None).await);
    let connected = client.connect(tokio_stream::pending::<wire::AgentFrame>()).await.unwrap_err();
    let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000".to_owned();
    let fetch = wire::FetchConnectorRequest { digest: digest.clone(), offset: 0 };
    let fetched = client.fetch_connector(fetch).await.unwrap_err();
    let deployment = client.fetch_deployment(wire::FetchDeploymentRequest { digest }).await.unwrap_err();
    for refused in [connected, fetched, deployment] {
        assert_eq!((refused.code(), code(&refused)), (Code::Unauthenticated, "agent.certificate_missing"));
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_whatever_it_says() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (_, genuine) = served.enrol("pier-1").await;
    let uri = uri_of(&genuine);
    // Another authority that uses our names, down to those of its certificates.
    let root_key = new_key();
    let mut root = CertificateParams::default();
    root.distinguished_name.push(rcgen::DnType::CommonName, "Wherry root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = Issuer::from_params(&root, &*root_key);
    let key = new_key();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let forged = leaf.signed_by(&*key, &issuer).unwrap();
    let foreign =
        Identity { chain: vec![forged.der().clone(), root.self_signed(&*root_key).unwrap().der().clone()], key };
    let own_key = new_key();
    let own = Identity { chain: vec![leaf.self_signed(&*own_key).unwrap().der().clone()], key: own_key };
    // A forged leaf in front of our own issuing certificate, and a genuine chain without its key.
    let mixed = Identity { chain: vec![forged.der().clone(), genuine.chain[1].clone()], key: Arc::clone(&foreign.key) };
    for (what, identity) in [("foreign", foreign), ("own", own), ("mixed", mixed)] {
        refused(&served, &identity).await.unwrap_or_else(|()| panic!("{what} was let in"));
    }
    assert!(refused(&served, &genuine).await.is_err(), "the genuine one was not let in");
}

#[tokio::test]
async fn the_servers_own_kind_of_certificate_is_no_agents() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (chain, key) = served.authority.server("localhost", served.bench.clock.wall_unix_millis()).unwrap();
    let key = Arc::new(rcgen::KeyPair::try_from(key.secret_der()).unwrap());
    refused(&served, &Identity { chain, key }).await.unwrap();
}

#[tokio::test]
async fn older_tls_and_other_protocols_are_refused() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    handshake(served.address, served.tls(&[&TLS13], &[b"h2"], None)).await.unwrap();
    let old = handshake(served.address, served.tls(&[&TLS12], &[b"h2"], None)).await.unwrap_err();
    assert!(old.to_string().contains("ProtocolVersion"), "{old}");
    let http1 = handshake(served.address, served.tls(&[&TLS13], &[b"http/1.1"], None)).await.unwrap_err();
    assert!(http1.to_string().contains("NoApplicationProtocol"), "{http1}");
    // Plain text gets an alert and the end, and others are served meanwhile.
    let mut plain = tokio::net::TcpStream::connect(served.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(plain.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.len() < 10 && !answer.starts_with(b"HTTP"), "{answer:?}");
    served.enrol("pier-1").await;
}

#[tokio::test]
async fn the_certificate_of_the_port_is_pinned_by_the_root_it_shows() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let stream = handshake(served.address, served.tls(&[&TLS13], &[b"h2"], None)).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    let (_, root) = X509Certificate::from_der(shown.last().unwrap()).unwrap();
    assert!(served.authority.pin().matches(root.public_key().raw));
    drop(stream);
    assert_eq!(served.stop().await, [""; 0], "something does not let go");
}

/// Whether a call with this certificate fails in the handshake, however the client learns of it.
async fn refused(served: &Served, identity: &Identity) -> Result<(), ()> {
    let Ok(channel) = served.try_channel(Some(identity)).await else { return Ok(()) };
    let request = wire::FetchDeploymentRequest { digest: "none".to_owned() };
    let status = soon(AgentServiceClient::new(channel).fetch_deployment(request)).await.unwrap_err();
    // The ledger's own answers carry a code.
    if code(&status) == "none" { Ok(()) } else { Err(()) }
}

fn uri_of(identity: &Identity) -> String {
    let (_, leaf) = X509Certificate::from_der(&identity.chain[0]).unwrap();
    match leaf.subject_alternative_name().unwrap().unwrap().value.general_names.as_slice() {
        [GeneralName::URI(uri)] => (*uri).to_owned(),
        other => panic!("{other:?}"),
    }
}
