//! The services of a controller, over TLS, as its script says.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

use std::{
    pin::Pin,
    sync::{Arc, MutexGuard},
};

use futures::{Stream, StreamExt};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wherry_domain::digest::Digest;
use wherry_proto::{
    MAX_FETCH, MAX_FRAME, RECOVER_CONTEXT,
    convert::wire_publishers,
    frame::{FromAgent, FromController, Hello, Welcome},
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
    token::AuthPart,
};

use super::{AGENT, Frames, Inner, Script, Seen};

pub(super) async fn serve(inner: Arc<Inner>, listener: TcpListener, year: i32) {
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
        let publishers = wire_publishers(self.script().publishers.clone());
        let (agent_id, group) = (AGENT.to_string(), "berlin".to_owned());
        let invite = self.script().invite.clone();
        Ok(Response::new(wire::EnrollResponse { agent_id, group, certificate, publishers, invite }))
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
        let (resume, (envelope, component, cut, stall)) = {
            let mut script = self.script();
            let resume = Arc::clone(&script.resume);
            let digest: Digest = request.digest.parse().unwrap();
            let (envelope, component) = script.connectors.get(&digest).cloned().ok_or(Status::not_found("unknown"))?;
            // Asked for by the digest of the release, it is the release that is wanted.
            let whole = digest == sha256(&component) || !script.connectors.contains_key(&sha256(&component));
            let sent = if !whole {
                (envelope, Vec::new(), None, None)
            } else {
                script.offsets.push(request.offset);
                (envelope, component, script.cut.take(), script.stall.take())
            };
            (resume, sent)
        };
        let rest = component.get(usize::try_from(request.offset).unwrap()..).unwrap_or_default().to_vec();
        let sent = cut.or(stall).map_or(rest.len(), |cut| cut.min(rest.len()));
        let release = Part::Release(envelope.into());
        let pieces = rest[..sent].chunks(wherry_proto::CHUNK).map(|piece| Part::Data(piece.to_vec().into()));
        let parts = std::iter::once(release).chain(pieces);
        let mut parts: Vec<_> = parts.map(|part| Ok(wire::FetchConnectorResponse { part: Some(part) })).collect();
        if cut.is_some() {
            parts.push(Err(Status::unavailable("the line broke")));
        }
        let parts = futures::stream::iter(parts);
        match stall {
            Some(_) => {
                let broken = async move {
                    resume.notified().await;
                    Err(Status::unavailable("the line broke"))
                };
                Ok(Response::new(parts.chain(futures::stream::once(broken)).boxed()))
            }
            None => Ok(Response::new(parts.boxed())),
        }
    }

    async fn fetch_deployment(
        &self,
        request: Request<wire::FetchDeploymentRequest>,
    ) -> Result<Response<wire::FetchDeploymentResponse>, Status> {
        let digest: Digest = request.into_inner().digest.parse().unwrap();
        let document = self.script().deployments.get(&digest).cloned().ok_or(Status::not_found("unknown"))?;
        Ok(Response::new(wire::FetchDeploymentResponse { document, signature: Vec::new() }))
    }
}

impl Service {
    fn welcome(&self, hello: &Hello) -> Welcome {
        let script = self.script();
        Welcome {
            protocol: 1,
            epoch: script.epoch,
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
                | FromAgent::Answer(_)
                | FromAgent::Keyring(_)
                | FromAgent::OAuth(_)
                | FromAgent::Inventory(_)
                | FromAgent::Goodbye { .. } => None,
            };
            self.0.seen.send(Seen::Frame(frame)).await.unwrap();
            if let Some(answer) = answer {
                let _gone = frames.send(Ok(answer.into_wire())).await;
            }
        }
    }
}
