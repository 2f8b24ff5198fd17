//! The floor's stream: the same service, the same frames, the same mutual TLS 1.3 as the product's.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Endpoint, Server},
};
use wherry_proto::wire::{
    self,
    agent_service_client::AgentServiceClient,
    agent_service_server::{AgentService, AgentServiceServer},
};

struct Stage {
    outbound: Mutex<Option<mpsc::Receiver<wire::ControllerFrame>>>,
    inbound: mpsc::Sender<wire::AgentFrame>,
}

type Frames = Pin<Box<dyn Stream<Item = Result<wire::ControllerFrame, Status>> + Send>>;
type Parts = Pin<Box<dyn Stream<Item = Result<wire::FetchConnectorResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for Stage {
    type ConnectStream = Frames;
    type FetchConnectorStream = Parts;

    async fn connect(&self, request: Request<Streaming<wire::AgentFrame>>) -> Result<Response<Frames>, Status> {
        let outbound = self.outbound.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outbound = outbound.ok_or_else(|| Status::already_exists("the floor has one agent"))?;
        let (inbound, mut frames) = (self.inbound.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(frame)) = frames.message().await {
                if inbound.send(frame).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound).map(Ok))))
    }

    async fn fetch_connector(&self, _: Request<wire::FetchConnectorRequest>) -> Result<Response<Parts>, Status> {
        Err(Status::unimplemented("the floor has no connectors"))
    }

    async fn fetch_deployment(
        &self,
        _: Request<wire::FetchDeploymentRequest>,
    ) -> Result<Response<wire::FetchDeploymentResponse>, Status> {
        Err(Status::unimplemented("the floor has no deployments"))
    }
}

/// Starts the controller's side; gives its address and what an agent needs to connect.
///
/// # Errors
/// If no port is free or a certificate cannot be made.
pub(crate) async fn controller(
    outbound: mpsc::Receiver<wire::ControllerFrame>,
    inbound: mpsc::Sender<wire::AgentFrame>,
) -> anyhow::Result<(SocketAddr, Arc<ClientConfig>)> {
    let (server, client) = configs()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(server);
    let streams = async_streams(listener, acceptor);
    let stage = Stage { outbound: Mutex::new(Some(outbound)), inbound };
    tokio::spawn(Server::builder().add_service(AgentServiceServer::new(stage)).serve_with_incoming(streams));
    Ok((address, client))
}

fn async_streams(
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> impl Stream<Item = std::io::Result<tokio_rustls::server::TlsStream<TcpStream>>> {
    futures::stream::unfold((listener, acceptor), |(listener, acceptor)| async {
        let accepted = async {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            acceptor.accept(stream).await
        };
        Some((accepted.await, (listener, acceptor)))
    })
}

/// Connects the agent's side.
///
/// # Errors
/// If the connection fails.
pub(crate) async fn agent(
    address: SocketAddr,
    client: Arc<ClientConfig>,
) -> anyhow::Result<AgentServiceClient<Channel>> {
    let connector = tower::service_fn(move |_| {
        let connector = TlsConnector::from(Arc::clone(&client));
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = "localhost".try_into().map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await?;
    Ok(AgentServiceClient::new(channel))
}

fn configs() -> anyhow::Result<(Arc<ServerConfig>, Arc<ClientConfig>)> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key)?.der().clone();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let mut roots = RootCertStore::empty();
    roots.add(root)?;
    let roots = Arc::new(roots);
    let leaf = || -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok((vec![certificate.der().clone()], key))
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
    let (chain, key) = leaf()?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    let (chain, key) = leaf()?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok((Arc::new(server), Arc::new(client)))
}
