//! A controller that does what a test tells it, and remembers what agents said.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

mod script;
mod service;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{net::TcpListener, sync::mpsc};
use tonic::Status;
use wherry_domain::{digest::Digest, id::AgentId};
use wherry_proto::{
    frame::{Attempt, FromAgent, FromController, Heartbeat, Hello, Report},
    wire,
};
use wherry_trust::{keys::sha256, token::EnrolmentToken};

pub(crate) use self::script::Script;
use super::{pki::Authority, soon};

/// The agent that every enrolment makes.
pub(crate) const AGENT: AgentId = AgentId::from_u128(0x4711);

/// What an agent did.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a test keeps a few of them")]
pub(crate) enum Seen {
    Hello(Hello),
    Frame(FromAgent),
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
        let server = tokio::spawn(service::serve(Arc::clone(&inner), listener, year));
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
            FromAgent::Declined { attempt, failure, .. } => Some((attempt, failure.code.as_str().to_owned())),
            FromAgent::Result(report) => panic!("{report:?}"),
            FromAgent::Hello(_)
            | FromAgent::Heartbeat(_)
            | FromAgent::Progress { .. }
            | FromAgent::Checkpoint { .. }
            | FromAgent::Log { .. }
            | FromAgent::Answer(_)
            | FromAgent::Keyring(_)
            | FromAgent::OAuth(_)
            | FromAgent::Inventory(_)
            | FromAgent::Goodbye { .. } => None,
        };
        self.frame("a refusal", wanted).await
    }
}

/// The digest under which a document is asked for.
pub(crate) fn digest(document: &[u8]) -> Digest {
    sha256(document)
}
