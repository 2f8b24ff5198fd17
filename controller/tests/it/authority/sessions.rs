//! Sessions and fetches over the wire.

use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Streaming};
use wherry_domain::{id::InstanceId, run::Outcome};
use wherry_proto::{
    CHUNK,
    frame::{Attempt, Counts, Ending, FromAgent, FromController, GoAwayReason, Hello, Offer, Report},
    wire::{self, agent_service_client::AgentServiceClient, fetch_connector_response::Part},
};
use wherry_trust::keys::sha256;

use crate::support::{Bench, Disk, Identity, Served, code, name, package, publisher_key, soon};

#[tokio::test]
async fn an_enrolled_agent_does_a_run_and_a_lock_ends_its_stream() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (_, identity) = served.enrol("pier-1").await;
    let mut line = Line::open(&served, &identity).await;
    assert!(matches!(line.next().await, FromController::Welcome(welcome) if welcome.epoch == 1));
    let run = served.bench.submit("post").await;
    let FromController::Offer(Offer { attempt, deployment, .. }) = line.next().await else { panic!("no offer") };
    assert_eq!(attempt.run, run);
    let mut client = AgentServiceClient::new(served.channel(Some(&identity)).await);
    let fetch = wire::FetchDeploymentRequest { digest: deployment.to_string() };
    let document = client.fetch_deployment(fetch.clone()).await.unwrap().into_inner().document;
    assert_eq!(sha256(&document), deployment);
    line.say(FromAgent::Result(succeeded(attempt))).await;
    assert_eq!(line.next().await, FromController::Ack { up_to: 1 });
    assert_eq!(served.bench.state(run).await, "succeeded");

    served.bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), Some("stolen".to_owned())).await.unwrap();
    assert!(matches!(line.next().await, FromController::GoAway { reason: GoAwayReason::Locked, .. }));
    assert!(soon(line.frames.next()).await.is_none(), "the stream goes on");
    let refused = client.fetch_deployment(fetch).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::PermissionDenied, "agent.locked"));
    let refused = Line::try_open(&served, &identity, FromAgent::Hello(hello(1)).into_wire()).await.unwrap_err();
    assert_eq!(code(&refused), "agent.locked");
}

#[tokio::test]
async fn a_stream_that_begins_or_goes_on_with_nonsense_ends() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (_, identity) = served.enrol("pier-1").await;
    let goodbye = FromAgent::Goodbye { reason: String::new() }.into_wire();
    let refused = Line::try_open(&served, &identity, goodbye).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::InvalidArgument, "session.hello_required"));
    let empty = wire::AgentFrame { kind: None };
    let refused = Line::try_open(&served, &identity, empty.clone()).await.unwrap_err();
    assert_eq!(code(&refused), "session.hello_required");
    let wire::AgentFrame { kind: Some(wire::agent_frame::Kind::Hello(mut broken)) } =
        FromAgent::Hello(hello(1)).into_wire()
    else {
        panic!("a hello is a hello")
    };
    broken.instance = "none".to_owned();
    let broken = wire::AgentFrame { kind: Some(wire::agent_frame::Kind::Hello(broken)) };
    let refused = Line::try_open(&served, &identity, broken).await.unwrap_err();
    assert_eq!(code(&refused), "session.frame_invalid");

    let mut line = Line::open(&served, &identity).await;
    line.next().await;
    // A kind of a later version is passed over; a frame that means nothing ends the stream.
    line.frames_out.send(empty).await.unwrap();
    line.say(FromAgent::Heartbeat(wherry_proto::frame::Heartbeat { number: 1, in_flight: vec![], free_slots: 1 }))
        .await;
    assert_eq!(line.next().await, FromController::HeartbeatAck { number: 1 });
    let large = wire::AgentFrame {
        kind: Some(wire::agent_frame::Kind::Goodbye(wire::Goodbye { reason: "x".repeat(2 << 20) })),
    };
    line.frames_out.send(large).await.unwrap();
    line.ends().await;
    served.bench.settle().await;
    assert_ne!(served.bench.ledger.agent("pier-1".to_owned()).await.unwrap().state, "live");
    let mut line = Line::open(&served, &identity).await;
    assert!(matches!(line.next().await, FromController::Welcome(_)), "others are not affected");
}

#[tokio::test]
async fn a_connector_is_fetched_whole_or_from_where_the_last_try_ended() {
    let served = Served::open(Bench::ready(Disk::memory()).await).await;
    let (_, identity) = served.enrol("pier-1").await;
    let key = publisher_key();
    let trusted = wherry_trust::release::Publisher {
        name: "large".to_owned(),
        key: key.public(),
        prefix: wherry_trust::release::Prefix::all(),
    };
    served.bench.ledger.trust_publisher("ada".to_owned(), trusted).await.unwrap();
    let wasm: Vec<u8> = (0..CHUNK * 2 + 77).map(|n| (n % 251) as u8).collect();
    let release = crate::support::release("large", "2.0.0", &wasm);
    let envelope = wherry_trust::release::sign_release(&release, &key).unwrap().to_json();
    let large = served.bench.ledger.publish("ada".to_owned(), envelope.clone(), wasm.clone()).await.unwrap().0;
    let mut client = AgentServiceClient::new(served.channel(Some(&identity)).await);
    let mut fetch = async |digest: String, offset: u64| {
        let mut parts = client.fetch_connector(wire::FetchConnectorRequest { digest, offset }).await?.into_inner();
        let (mut release, mut data) = (Vec::new(), Vec::new());
        while let Some(part) = soon(parts.next()).await {
            match part?.part.unwrap() {
                Part::Release(bytes) => release.extend(bytes),
                Part::Data(bytes) => {
                    assert!(bytes.len() <= CHUNK);
                    data.extend(bytes);
                }
            }
        }
        Ok::<_, tonic::Status>((release, data))
    };
    let digest = large.digest.to_string();
    let unused = fetch(digest.clone(), 0).await.unwrap_err();
    assert_eq!((unused.code(), code(&unused)), (Code::NotFound, "connector.not_found"), "no lock names it");
    let mut project = crate::support::desk();
    project.connections.get_mut(&name("tracker")).unwrap().connector = name("large");
    served.bench.ledger.deploy("ada".to_owned(), name("prod"), project, false).await.unwrap();
    assert_eq!(fetch(digest.clone(), 0).await.unwrap(), (envelope.clone(), wasm.clone()));
    assert_eq!(fetch(digest.clone(), 300_000).await.unwrap(), (envelope.clone(), wasm[300_000..].to_vec()));
    assert_eq!(fetch(digest.clone(), wasm.len() as u64).await.unwrap(), (envelope, Vec::new()));
    let behind = fetch(digest, wasm.len() as u64 + 1).await.unwrap_err();
    assert_eq!((behind.code(), code(&behind)), (Code::InvalidArgument, "connector.offset_invalid"));
    for nothing in ["", "sha256:1", "../../etc/passwd"] {
        assert_eq!(code(&fetch(nothing.to_owned(), 0).await.unwrap_err()), "request.invalid");
    }
    let (_, unpublished) = package("http", "9.9.9", &key);
    let missing = fetch(sha256(&unpublished).to_string(), 0).await.unwrap_err();
    assert_eq!(code(&missing), "connector.not_found");
}

/// The stream of a session, seen from the agent.
struct Line {
    frames_out: mpsc::Sender<wire::AgentFrame>,
    frames: Streaming<wire::ControllerFrame>,
}

impl Line {
    async fn open(served: &Served, identity: &Identity) -> Self {
        // The controller answers once it has seen a hello, so the call is made with one under way.
        let (frames_out, frames) = mpsc::channel(8);
        let mut client = AgentServiceClient::new(served.channel(Some(identity)).await);
        frames_out.send(FromAgent::Hello(hello(1)).into_wire()).await.unwrap();
        let frames = soon(client.connect(ReceiverStream::new(frames))).await.unwrap().into_inner();
        Self { frames_out, frames }
    }

    async fn try_open(served: &Served, identity: &Identity, first: wire::AgentFrame) -> Result<(), tonic::Status> {
        let mut client = AgentServiceClient::new(served.channel(Some(identity)).await);
        let frames = tokio_stream::once(first).chain(tokio_stream::pending());
        soon(client.connect(frames)).await.map(drop)
    }

    async fn say(&self, frame: FromAgent) {
        self.frames_out.send(frame.into_wire()).await.unwrap();
    }

    async fn next(&mut self) -> FromController {
        let frame = soon(self.frames.next()).await.expect("the stream ended").unwrap();
        FromController::from_wire(frame).unwrap().unwrap()
    }

    /// Nothing more comes; whether with or without a word about why.
    async fn ends(&mut self) {
        while let Some(Ok(_)) = soon(self.frames.next()).await {}
    }
}

fn hello(slots: u32) -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        version: "0.1.0".to_owned(),
        instance: InstanceId::from_u128(1),
        in_flight: Vec::new(),
        next_seq: 1,
        slots,
        free_slots: slots,
        secret_names: Vec::new(),
        connectors: Vec::new(),
        journal_lost: false,
        asks: true,
        oauth: false,
        catalogue: false,
    }
}

fn succeeded(attempt: Attempt) -> Report {
    Report {
        seq: 1,
        attempt,
        ending: Ending::Ended(Outcome::Succeeded),
        counts: Counts::default(),
        duration: std::time::Duration::from_secs(1),
        log: Vec::new(),
        earlier: Counts::default(),
        states: Vec::new(),
        trial: Vec::new(),
        answer: None,
        ran: None,
    }
}
