//! The port for agents on a loopback address, and a client for it that can be told to misbehave.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use wherry_controller::{
    agents::{self, Port},
    ca::Authority,
    config::Config,
};
use wherry_daemon::{exit::Exit, shutdown::Shutdown, tasks::Tasks};
use wherry_proto::wire::{self, enrollment_service_client::EnrollmentServiceClient};
use wherry_trust::token::EnrolmentToken;

use super::{Bench, soon};

/// A controller that agents can reach.
pub(crate) struct Served {
    pub(crate) bench: Bench,
    pub(crate) authority: Arc<Authority>,
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
    pub(crate) shutdown: Shutdown,
    server: JoinSet<anyhow::Result<()>>,
    _folder: TempDir,
}

/// What an agent shows of itself.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<KeyPair>,
}

impl Served {
    pub(crate) async fn open(bench: Bench) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wall_ms = bench.clock.wall_unix_millis();
        let authority = Arc::new(Authority::open(&folder.path().join("ca"), wall_ms).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new(Duration::from_secs(1));
        let tasks = Tasks::new(shutdown.clone());
        let port = Port {
            listener,
            ledger: bench.ledger.clone(),
            authority: Arc::clone(&authority),
            clock: bench.clock.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        let mut server = JoinSet::new();
        server.spawn(async move { agents::serve(port, &Config::default()).await });
        Self { bench, authority, address, tasks, shutdown, server, _folder: folder }
    }

    /// A token for group `berlin`, registered.
    pub(crate) async fn token(&self) -> EnrolmentToken {
        let token = EnrolmentToken::generate(self.authority.pin().clone()).unwrap();
        super::invite(&self.bench, &token, 600).await;
        token
    }

    /// Enrols an agent over the network.
    pub(crate) async fn enrol(&self, called: &str) -> (wire::EnrollResponse, Identity) {
        let token = self.token().await;
        let key = new_key();
        let asked = enrolment(&token, called, csr(&key));
        let answer = self.enrolling(None).await.enroll(asked).await.unwrap().into_inner();
        let identity = identity(answer.certificate.as_ref().unwrap(), key);
        (answer, identity)
    }

    pub(crate) async fn enrolling(&self, identity: Option<&Identity>) -> EnrollmentServiceClient<Channel> {
        EnrollmentServiceClient::new(self.channel(identity).await)
    }

    pub(crate) async fn channel(&self, identity: Option<&Identity>) -> Channel {
        self.try_channel(identity).await.unwrap()
    }

    pub(crate) async fn try_channel(&self, identity: Option<&Identity>) -> Result<Channel, tonic::transport::Error> {
        let (address, config) = (self.address, self.tls(&[&rustls::version::TLS13], &[b"h2"], identity));
        let dial = tower::service_fn(move |_| {
            let config = Arc::clone(&config);
            async move { handshake(address, config).await.map(TokioIo::new) }
        });
        soon(Endpoint::from_static("https://localhost").connect_with_connector(dial)).await
    }

    /// How a client of these abilities would speak TLS; it trusts the authority and nothing else.
    pub(crate) fn tls(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&[u8]],
        identity: Option<&Identity>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.root().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(wherry_daemon::tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { chain, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(chain.clone(), key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// Stops the port as a process that ends does; whatever does not let go is named.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.shutdown.stop("test", Exit::Success);
        soon(self.server.join_next()).await.unwrap().unwrap().unwrap();
        soon(self.tasks.finish()).await
    }
}

/// A connection to the port.
pub(crate) async fn handshake(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

pub(crate) fn new_key() -> Arc<KeyPair> {
    Arc::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
}

/// A certificate request for the key.
pub(crate) fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

pub(crate) fn enrolment(token: &EnrolmentToken, called: &str, csr: Vec<u8>) -> wire::EnrollRequest {
    wire::EnrollRequest {
        token_id: token.id().as_str().to_owned(),
        auth_part: token.auth_part().as_bytes().to_vec(),
        csr,
        identity_key: vec![7; 32],
        name: called.to_owned(),
        version: "0.1.0".to_owned(),
    }
}

pub(crate) fn identity(certificate: &wire::Certificate, key: Arc<KeyPair>) -> Identity {
    Identity { chain: certificate.chain.iter().map(|der| CertificateDer::from(der.clone())).collect(), key }
}

/// The stable code of a refusal.
pub(crate) fn code(status: &Status) -> &str {
    status.metadata().get("wherry-code").map_or("none", |code| code.to_str().unwrap())
}
