//! Certificates as a test needs them, systems that show them, and the tools that write real stores.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use wherry_agent::{
    egress::{Destination, EgressSettings, Endpoint, Endpoints, TlsChoice},
    secrets::Secrets,
};
use wherry_daemon::tls;
use wherry_trust::seal_local::LocalKey;

/// An authority and what it signs.
pub(crate) struct Signer(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Leaf {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Signer {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = Vec::new();
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf { pem: certificate.pem(), certificate: certificate.der().clone(), key }
    }
}

impl Leaf {
    /// Key and certificate, as PEM.
    pub(crate) fn both(&self) -> String {
        format!("{}{}", self.key.serialize_pem(), self.pem)
    }
}

/// For `127.0.0.1` and `localhost`, for a long time.
pub(crate) fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A system with TLS that says who its clients are.
pub(crate) struct Secure {
    url: String,
    clients: Arc<Mutex<Vec<Option<CertificateDer<'static>>>>>,
    connections: Arc<AtomicUsize>,
}

impl Secure {
    /// `clients` says whose certificates are required.
    pub(crate) async fn start(leaf: &Leaf, clients: Option<&Signer>) -> Self {
        Self::with(leaf, clients, &[&rustls::version::TLS13, &rustls::version::TLS12]).await
    }

    pub(crate) async fn with(
        leaf: &Leaf,
        clients: Option<&Signer>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let config = ServerConfig::builder_with_provider(tls::provider()).with_protocol_versions(versions).unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(signer) => {
                let mut roots = RootCertStore::empty();
                roots.add(signer.root()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.serialize_der()));
        let config = config.with_single_cert(vec![leaf.certificate.clone()], key).unwrap();
        Self::serve(TlsAcceptor::from(Arc::new(config))).await
    }

    async fn serve(acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (clients, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (seen, count) = (Arc::clone(&clients), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                count.fetch_add(1, SeqCst);
                tokio::spawn(async move {
                    match acceptor.accept(stream).into_fallible().await {
                        Ok(mut stream) => {
                            let client = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                            seen.lock().unwrap().push(client.map(|client| client.clone().into_owned()));
                            let mut request = [0; 4096];
                            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
                                stream.flush().await.unwrap();
                            }
                        }
                        // Closed at once, the alert could be overtaken by a reset.
                        Err((_, mut stream)) => while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {},
                    }
                });
            }
        });
        Self { url, clients, connections }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// The certificate of each client so far.
    pub(crate) fn clients(&self) -> Vec<Option<CertificateDer<'static>>> {
        self.clients.lock().unwrap().clone()
    }
}

/// The secrets and files of an agent.
pub(crate) struct Vault {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) secrets: Arc<Secrets>,
}

impl Vault {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(folder.path().join("secrets"), LocalKey::generate().unwrap());
        Self { folder, secrets: Arc::new(secrets) }
    }

    pub(crate) fn set(&self, name: &str, value: impl AsRef<[u8]>) {
        self.secrets.set(&"prod".parse().unwrap(), &name.parse().unwrap(), value.as_ref()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An endpoint with these options under `tls`.
    pub(crate) fn endpoint(&self, url: &str, options: Value, settings: EgressSettings) -> Endpoint {
        let options = serde_json::from_value(options).unwrap();
        let choice = TlsChoice { environment: "prod".parse().unwrap(), options };
        let endpoints = Endpoints::new(settings).with_secrets(Arc::clone(&self.secrets));
        endpoints.secured("test", Destination::parse(url).unwrap(), choice).unwrap()
    }
}

/// Whether a program is there; if not, says which test could not run.
pub(crate) fn has(program: &str, test: &str) -> bool {
    let there = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("skipped: {test}, {program} is not installed");
    }
    there
}

/// Runs a program in a folder to its good end.
pub(crate) fn run(folder: &Path, program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
