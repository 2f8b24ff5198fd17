//! A controller that does what a test tells it, and remembers what agents said.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::{Stream, StreamExt};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wherry_domain::{digest::Digest, id::AgentId, lease::LeaseTerms};
use wherry_proto::{
    MAX_FETCH, MAX_FRAME, RECOVER_CONTEXT,
    frame::{
        Attempt, Decision, Desired, FromAgent, FromController, Heartbeat, Hello, Publisher, Report, Stage, Welcome,
    },
    wire::{
        self,
        agent_service_server::{AgentService, AgentServiceServer},
        enrollment_service_server::{EnrollmentService, EnrollmentServiceServer},
        fetch_connector_response::Part,
        recover_response::Answer,
    },
};
use wherry_trust::{
    keys::{PublicKey, sha256},
    token::{AuthPart, EnrolmentToken},
};

use super::{pki::Authority, soon};

/// The agent that every enrolment makes.
pub(crate) const AGENT: AgentId = AgentId::from_u128(0x4711);

/// What an agent did.
#[derive(Debug)]
pub(crate) enum Seen {
    Hello(Hello),
    Frame(FromAgent),
}

/// What the controller does; tests change it at will.
pub(crate) struct Script {
    pub(crate) token: Option<Digest>,
    pub(crate) identity_key: Option<PublicKey>,
    /// The next certificates have run out already.
    pub(crate) expired: bool,
    pub(crate) renew_after: Duration,
    pub(crate) generation: u64,
    pub(crate) lease: LeaseTerms,
    pub(crate) heartbeat: Duration,
    /// Results are acknowledged as they come.
    pub(crate) acks: bool,
    /// Heartbeats are acknowledged as they come.
    pub(crate) beats: bool,
    /// Said instead of a welcome.
    pub(crate) refusal: Option<Status>,
    pub(crate) verdict: fn(Stage) -> Decision,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) environments: Vec<&'static str>,
    pub(crate) deployments: BTreeMap<Digest, Vec<u8>>,
    pub(crate) connectors: BTreeMap<Digest, (Vec<u8>, Vec<u8>)>,
    /// A download ends after so many bytes.
    pub(crate) cut: Option<usize>,
    pub(crate) offsets: Vec<u64>,
}

type Frames = mpsc::Sender<Result<wire::ControllerFrame, Status>>;

struct Inner {
    authority: Authority,
    script: Mutex<Script>,
    session: Mutex<Option<Frames>>,
    seen: mpsc::Sender<Seen>,
}

pub(crate) struct Controller {
    inner: Arc<Inner>,
    address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Controller {
    pub(crate) async fn start() -> Self {
        Self::with_certificate_until(2090).await
    }

    pub(crate) async fn with_certificate_until(year: i32) -> Self {
        let (seen, events) = mpsc::channel(10_000);
        let script = Mutex::new(Script::default());
        let inner = Arc::new(Inner { authority: Authority::new(), script, session: Mutex::default(), seen });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(Arc::clone(&inner), listener, year));
        Self { inner, address, seen: events, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.inner.script.lock().unwrap()
    }

    /// A token that this controller takes once.
    pub(crate) fn token(&self) -> String {
        let token = EnrolmentToken::generate(self.inner.authority.pin()).unwrap();
        self.script().token = Some(token.auth_hash());
        token.reveal().to_string()
    }

    /// Says something on the present session.
    pub(crate) async fn say(&self, frame: FromController) {
        let session = self.inner.session.lock().unwrap().clone().expect("no agent is connected");
        session.send(Ok(frame.into_wire())).await.expect("the agent is gone");
    }

    /// Ends the present session with a status.
    pub(crate) async fn end_session(&self, status: Status) {
        let session = self.inner.session.lock().unwrap().take().expect("no agent is connected");
        session.send(Err(status)).await.expect("the agent is gone");
    }

    /// The next thing an agent did that `wanted` picks; everything before it is skipped.
    pub(crate) async fn next<T>(&mut self, what: &str, wanted: impl Fn(Seen) -> Option<T>) -> T {
        soon(what, async {
            loop {
                let seen = self.seen.recv().await.expect("the controller stopped");
                if let Some(found) = wanted(seen) {
                    return found;
                }
            }
        })
        .await
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        self.next("a hello", |seen| if let Seen::Hello(hello) = seen { Some(hello) } else { None }).await
    }

    pub(crate) async fn frame<T>(&mut self, what: &str, wanted: impl Fn(FromAgent) -> Option<T>) -> T {
        self.next(what, |seen| if let Seen::Frame(frame) = seen { wanted(frame) } else { None }).await
    }

    pub(crate) async fn result(&mut self) -> Report {
        self.frame("a result", |frame| if let FromAgent::Result(report) = frame { Some(report) } else { None }).await
    }
}

impl Controller {
    /// A heartbeat that fits.
    pub(crate) async fn beat(&mut self, what: &str, fits: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        let wanted = |frame| if let FromAgent::Heartbeat(beat) = frame { Some(beat).filter(&fits) } else { None };
        self.frame(what, wanted).await
    }

    /// The next attempt that is given back, and the code with it.
    pub(crate) async fn declined(&mut self) -> (Attempt, String) {
        let wanted = |frame| match frame {
            FromAgent::Declined { attempt, failure } => Some((attempt, failure.code.as_str().to_owned())),
            FromAgent::Result(report) => panic!("{report:?}"),
            FromAgent::Hello(_)
            | FromAgent::Heartbeat(_)
            | FromAgent::Progress { .. }
            | FromAgent::Checkpoint { .. }
            | FromAgent::Log { .. }
            | FromAgent::Goodbye { .. } => None,
        };
        self.frame("a refusal", wanted).await
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            token: None,
            identity_key: None,
            expired: false,
            renew_after: Duration::from_secs(12 * 3_600),
            generation: 0,
            lease: LeaseTerms::default(),
            heartbeat: Duration::from_millis(200),
            acks: true,
            beats: true,
            refusal: None,
            verdict: |stage| match stage {
                Stage::Accepted | Stage::Started => Decision::Keep,
                Stage::Interrupted | Stage::Finished => Decision::Report,
            },
            publishers: Vec::new(),
            environments: vec!["prod"],
            deployments: BTreeMap::new(),
            connectors: BTreeMap::new(),
            cut: None,
            offsets: Vec::new(),
        }
    }
}

impl Script {
    /// What the organisation wants now.
    pub(crate) fn desired(&self) -> Desired {
        let environments = self.environments.iter().map(|name| name.parse().unwrap()).collect();
        Desired { publishers: self.publishers.clone(), environments }
    }
}

async fn serve(inner: Arc<Inner>, listener: TcpListener, year: i32) {
    let acceptor = TlsAcceptor::from(inner.authority.server(year));
    let (streams, incoming) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, streams) = (acceptor.clone(), streams.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _gone = streams.send(Ok::<_, std::io::Error>(stream)).await;
                }
            });
        }
    });
    let service = Service(inner);
    let agents = AgentServiceServer::new(service.clone())
        .max_decoding_message_size(MAX_FRAME)
        .max_encoding_message_size(MAX_FETCH);
    tonic::transport::Server::builder()
        .add_service(EnrollmentServiceServer::new(service))
        .add_service(agents)
        .serve_with_incoming(ReceiverStream::new(incoming))
        .await
        .unwrap();
}

#[derive(Clone)]
struct Service(Arc<Inner>);

impl Service {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap()
    }

    fn certificate(&self, csr: &[u8]) -> wire::Certificate {
        let mut script = self.script();
        script.generation += 1;
        wire::Certificate {
            chain: vec![self.0.authority.certify(csr, AGENT, script.expired)],
            roots: vec![self.0.authority.root().to_vec()],
            renew_after_ms: u64::try_from(script.renew_after.as_millis()).unwrap(),
            generation: script.generation,
        }
    }
}

fn wire_publishers(list: &[Publisher]) -> Vec<wire::Publisher> {
    wherry_proto::convert::wire_publishers(list.to_vec())
}

#[tonic::async_trait]
impl EnrollmentService for Service {
    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        let request = request.into_inner();
        let part = AuthPart::from_slice(&request.auth_part).map_err(|_| Status::unauthenticated("no"))?;
        let invited = self.script().token.take().is_some_and(|hash| part.matches(&hash));
        if !invited {
            return Err(Status::unauthenticated("the token or proof is not valid"));
        }
        let key: [u8; 32] = request.identity_key.as_slice().try_into().unwrap();
        self.script().identity_key = Some(PublicKey::from_bytes(key));
        let certificate = Some(self.certificate(&request.csr));
        let publishers = wire_publishers(&self.script().publishers);
        let (agent_id, group) = (AGENT.to_string(), "berlin".to_owned());
        Ok(Response::new(wire::EnrollResponse { agent_id, group, certificate, publishers }))
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let request = request.into_inner();
        if request.generation != self.script().generation {
            return Err(Status::permission_denied("another generation"));
        }
        Ok(Response::new(wire::RenewResponse { certificate: Some(self.certificate(&request.csr)) }))
    }

    async fn recover(&self, request: Request<wire::RecoverRequest>) -> Result<Response<wire::RecoverResponse>, Status> {
        let request = request.into_inner();
        if request.challenge.is_empty() {
            let answer = Some(Answer::Challenge(b"prove it".to_vec()));
            return Ok(Response::new(wire::RecoverResponse { answer }));
        }
        let signed = [RECOVER_CONTEXT, &request.challenge, &request.csr].concat();
        let key = self.script().identity_key.unwrap();
        if request.challenge != b"prove it" || !key.verify(&signed, &request.signature) {
            return Err(Status::unauthenticated("no proof"));
        }
        self.script().expired = false;
        let answer = Some(Answer::Certificate(self.certificate(&request.csr)));
        Ok(Response::new(wire::RecoverResponse { answer }))
    }
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for Service {
    type ConnectStream = Boxed<wire::ControllerFrame>;
    type FetchConnectorStream = Boxed<wire::FetchConnectorResponse>;

    async fn connect(
        &self,
        request: Request<Streaming<wire::AgentFrame>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut inbound = request.into_inner();
        let first = FromAgent::from_wire(inbound.message().await?.unwrap()).unwrap().unwrap();
        let FromAgent::Hello(hello) = first else { panic!("{first:?} came first") };
        if let Some(refusal) = self.script().refusal.clone() {
            return Err(refusal);
        }
        let (frames, outbound) = mpsc::channel(1_000);
        frames.try_send(Ok(FromController::Welcome(self.welcome(&hello)).into_wire())).unwrap();
        *self.0.session.lock().unwrap() = Some(frames.clone());
        self.0.seen.send(Seen::Hello(hello)).await.unwrap();
        tokio::spawn(self.clone().listen(inbound, frames));
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }

    async fn fetch_connector(
        &self,
        request: Request<wire::FetchConnectorRequest>,
    ) -> Result<Response<Self::FetchConnectorStream>, Status> {
        let request = request.into_inner();
        let (envelope, component, cut) = {
            let mut script = self.script();
            script.offsets.push(request.offset);
            let digest: Digest = request.digest.parse().unwrap();
            let (envelope, component) = script.connectors.get(&digest).cloned().ok_or(Status::not_found("unknown"))?;
            (envelope, component, script.cut.take())
        };
        let rest = component[usize::try_from(request.offset).unwrap()..].to_vec();
        let sent = cut.map_or(rest.len(), |cut| cut.min(rest.len()));
        let release = Part::Release(envelope.into());
        let pieces = rest[..sent].chunks(wherry_proto::CHUNK).map(|piece| Part::Data(piece.to_vec().into()));
        let parts = std::iter::once(release).chain(pieces);
        let mut parts: Vec<_> = parts.map(|part| Ok(wire::FetchConnectorResponse { part: Some(part) })).collect();
        if cut.is_some() {
            parts.push(Err(Status::unavailable("the line broke")));
        }
        Ok(Response::new(futures::stream::iter(parts).boxed()))
    }

    async fn fetch_deployment(
        &self,
        request: Request<wire::FetchDeploymentRequest>,
    ) -> Result<Response<wire::FetchDeploymentResponse>, Status> {
        let digest: Digest = request.into_inner().digest.parse().unwrap();
        let document = self.script().deployments.get(&digest).cloned().ok_or(Status::not_found("unknown"))?;
        Ok(Response::new(wire::FetchDeploymentResponse { document }))
    }
}

impl Service {
    fn welcome(&self, hello: &Hello) -> Welcome {
        let script = self.script();
        Welcome {
            protocol: 1,
            epoch: 1,
            lease: script.lease,
            heartbeat: script.heartbeat,
            verdicts: hello.in_flight.iter().map(|item| (item.attempt, (script.verdict)(item.stage))).collect(),
            desired: script.desired(),
        }
    }

    async fn listen(self, mut inbound: Streaming<wire::AgentFrame>, frames: Frames) {
        while let Ok(Some(frame)) = inbound.message().await {
            let frame = FromAgent::from_wire(frame).unwrap().unwrap();
            let answer = match &frame {
                FromAgent::Heartbeat(beat) if self.script().beats => {
                    Some(FromController::HeartbeatAck { number: beat.number })
                }
                FromAgent::Result(report) if self.script().acks => Some(FromController::Ack { up_to: report.seq }),
                FromAgent::Hello(_)
                | FromAgent::Heartbeat(_)
                | FromAgent::Result(_)
                | FromAgent::Declined { .. }
                | FromAgent::Progress { .. }
                | FromAgent::Checkpoint { .. }
                | FromAgent::Log { .. }
                | FromAgent::Goodbye { .. } => None,
            };
            self.0.seen.send(Seen::Frame(frame)).await.unwrap();
            if let Some(answer) = answer {
                let _gone = frames.send(Ok(answer.into_wire())).await;
            }
        }
    }
}

/// The digest under which a document is asked for.
pub(crate) fn digest(document: &[u8]) -> Digest {
    sha256(document)
}
