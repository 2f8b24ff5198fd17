//! Memory of a controller per connected agent: a thousand sessions of simulated agents, each with
//! its own certificate and TLS connection.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use hyper::Method;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use wherry_domain::id::InstanceId;
use wherry_proto::{
    frame::{FromAgent, Hello},
    wire::{self, agent_service_client::AgentServiceClient, enrollment_service_client::EnrollmentServiceClient},
};
use wherry_trust::{
    keys::SigningKey,
    token::{EnrolmentToken, SpkiPin},
};

use crate::bed::{Api, Bed};

const AGENTS: u128 = 1_000;
/// Enrolments at once.
const AT_ONCE: usize = 16;

/// Measures the controller before and after the agents connect.
///
/// # Errors
/// If an agent cannot connect.
pub(crate) async fn measure() -> anyhow::Result<Map<String, Value>> {
    let (bed, _) = Bed::start().await?;
    bed.wherry(&["environment", "create", "bench", "--group", "bench"])?;
    let (_, status) = bed.api.call(Method::GET, "/v1/status", None).await?;
    let pin: SpkiPin = status["ca_pin"].as_str().context("no pin")?.parse()?;
    let address = status["agent_endpoint"].as_str().and_then(|url| url.rsplit_once(':')).context("no endpoint")?.1;
    let address = format!("127.0.0.1:{address}");
    let before = bed.controller.pss_kib()?;
    let agents = futures::stream::iter(0..AGENTS).map(|number| connect(&bed.api, &pin, &address, number));
    let sessions: Vec<Session> = agents.buffer_unordered(AT_ONCE).try_collect().await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let after = bed.controller.pss_kib()?;
    let mut figures = Map::new();
    figures.insert("agents".to_owned(), json!(sessions.len()));
    figures.insert("controller_pss_before_mib".to_owned(), json!(before / 1_024));
    figures.insert("controller_pss_after_mib".to_owned(), json!(after / 1_024));
    figures.insert("kib_per_agent".to_owned(), json!((after.saturating_sub(before)) as f64 / sessions.len() as f64));
    Ok(figures)
}

/// A session that stays open until it is dropped.
struct Session {
    _frames: mpsc::Sender<wire::AgentFrame>,
    _answers: tonic::Streaming<wire::ControllerFrame>,
}

async fn connect(api: &Api, pin: &SpkiPin, address: &str, number: u128) -> anyhow::Result<Session> {
    let token = EnrolmentToken::generate(pin.clone())?;
    let body = json!({ "token_id": token.id().as_str(), "auth_hash": token.auth_hash(), "expires_in_s": 600 });
    let (status, answer) = api.call(Method::POST, "/v1/groups/bench/enrolment-tokens", Some(&body)).await?;
    anyhow::ensure!(status == 201, "no token: {answer}");
    let key = KeyPair::generate()?;
    let csr = CertificateParams::default().serialize_request(&key)?;
    let stranger = channel(address, client_config(None)?).await?;
    let request = wire::EnrollRequest {
        token_id: token.id().as_str().to_owned(),
        auth_part: token.auth_part().as_bytes().to_vec(),
        csr: csr.der().to_vec(),
        identity_key: SigningKey::generate()?.public().as_bytes().to_vec(),
        name: format!("agent-{number}"),
        version: "0.1.0".to_owned(),
    };
    let enrolled = EnrollmentServiceClient::new(stranger).enroll(request).await?.into_inner();
    let certificate = enrolled.certificate.context("no certificate")?;
    let channel = channel(address, client_config(Some((certificate.chain, key)))?).await?;
    let (frames, outbound) = mpsc::channel(4);
    let hello = Hello {
        protocol_min: 1,
        protocol_max: 1,
        version: "0.1.0".to_owned(),
        instance: InstanceId::from_u128(number + 1),
        in_flight: Vec::new(),
        next_seq: 1,
        slots: 8,
        free_slots: 8,
        secret_names: Vec::new(),
        connectors: Vec::new(),
        journal_lost: false,
        asks: false,
        oauth: false,
        catalogue: false,
    };
    frames.send(FromAgent::Hello(hello).into_wire()).await?;
    let mut answers = AgentServiceClient::new(channel).connect(ReceiverStream::new(outbound)).await?.into_inner();
    answers.message().await?.context("no welcome")?;
    Ok(Session { _frames: frames, _answers: answers })
}

async fn channel(address: &str, config: Arc<ClientConfig>) -> anyhow::Result<Channel> {
    let address = address.to_owned();
    let connector = tower::service_fn(move |_| {
        let (connector, address) = (TlsConnector::from(Arc::clone(&config)), address.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = "localhost".try_into().map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    Ok(Endpoint::from_static("http://localhost").connect_with_connector(connector).await?)
}

/// Accepts any server: what is measured is the controller, and it runs on this machine.
fn client_config(identity: Option<(Vec<Vec<u8>>, KeyPair)>) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(RootCertStore::empty());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = chain.into_iter().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.dangerous().set_certificate_verifier(Arc::new(trusting::Anyone::default()));
    Ok(Arc::new(config))
}

mod trusting {
    //! A verifier for servers on this machine.

    use rustls::{
        DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{
            WebPkiSupportedAlgorithms, aws_lc_rs::default_provider, verify_tls12_signature, verify_tls13_signature,
        },
    };
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    #[derive(Debug)]
    pub(super) struct Anyone(WebPkiSupportedAlgorithms);

    impl Default for Anyone {
        fn default() -> Self {
            Self(default_provider().signature_verification_algorithms)
        }
    }

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, dss, &self.0)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &self.0)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_schemes()
        }
    }
}
