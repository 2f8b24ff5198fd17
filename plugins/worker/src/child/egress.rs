//! The way out of a worker: every exchange is asked of the agent, which carries it out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use futures::FutureExt;
use http::{HeaderName, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::AbortHandle,
};
use wherry_host::{Body, Egress, EgressError, EgressFuture};

use super::ToAgent;
use crate::{
    body::{Fed, Note, hand_on, headers_from, headers_of},
    frame::{AnswerHead, ENDING, FromWorker, PARTS, Part, RequestHead},
    wire,
};

/// The exchanges of one invocation.
pub(super) struct Exchanges {
    call: u32,
    to_agent: ToAgent,
    protected: Vec<HeaderName>,
    notes: mpsc::Sender<Note>,
    /// Places are free again when the agent says that an exchange is over.
    places: Arc<Semaphore>,
    next: AtomicU32,
    open: Mutex<BTreeMap<u32, Open>>,
}

struct Open {
    answer: Option<oneshot::Sender<Result<Response<Body>, EgressError>>>,
    feed: Option<mpsc::Sender<Part>>,
    room: Arc<Semaphore>,
    sending: Option<AbortHandle>,
    _place: OwnedSemaphorePermit,
}

/// Tells the agent when nobody waits for the answer any more.
struct Waiting {
    exchange: u32,
    notes: mpsc::Sender<Note>,
    answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            let _ = self.notes.try_send(Note::Left(self.exchange));
        }
    }
}

/// Notes that can wait at once: all parts of all bodies, and every end.
pub(super) fn notes(parallel: usize) -> usize {
    (parallel + ENDING) * (PARTS + 4)
}

impl Exchanges {
    pub(super) fn new(
        call: u32,
        to_agent: ToAgent,
        protected: &[String],
        parallel: usize,
        notes: mpsc::Sender<Note>,
    ) -> Self {
        Self {
            call,
            to_agent,
            protected: protected.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect(),
            notes,
            places: Arc::new(Semaphore::new(parallel + ENDING)),
            next: AtomicU32::new(0),
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u32, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self, exchange: u32, answer: Result<AnswerHead, EgressError>) {
        let mut open = self.open();
        let Some(known) = open.get_mut(&exchange) else { return };
        let answer = answer.and_then(|head| {
            let (fed, feed) = Fed::new(exchange, head.length, true, self.notes.clone());
            known.feed = Some(feed);
            let mut response = Response::new(fed.boxed());
            *response.headers_mut() = headers_of(head.headers)?;
            *response.status_mut() = StatusCode::from_u16(head.status)
                .map_err(|_| EgressError::Internal { reason: "an answer without a status".to_owned() })?;
            Ok(response)
        });
        if let Some(waiting) = known.answer.take() {
            // Whoever gave up has said so.
            drop(waiting.send(answer));
        }
    }

    pub(super) fn part(&self, exchange: u32, part: Part) {
        if let Some(feed) = self.open().get(&exchange).and_then(|known| known.feed.as_ref()) {
            // A body that was dropped takes nothing.
            drop(feed.try_send(part));
        }
    }

    pub(super) fn room(&self, exchange: u32) {
        if let Some(known) = self.open().get(&exchange) {
            known.room.add_permits(1);
        }
    }

    /// The agent has done with it.
    pub(super) fn over(&self, exchange: u32) {
        if let Some(known) = self.open().remove(&exchange)
            && let Some(sending) = known.sending
        {
            sending.abort();
        }
    }
}

/// What connectors of a worker see of it.
pub(super) struct Outside(pub(super) Arc<Exchanges>);

impl Egress for Outside {
    fn send(&self, request: Request<Body>) -> EgressFuture {
        let exchanges = Arc::clone(&self.0);
        Box::pin(async move {
            let place = Arc::clone(&exchanges.places).acquire_owned().await;
            let place = place.map_err(|_| EgressError::RequestAborted)?;
            exchange(&exchanges, place, request).await
        })
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &self.0.protected
    }
}

async fn exchange(
    all: &Arc<Exchanges>,
    place: OwnedSemaphorePermit,
    request: Request<Body>,
) -> Result<Response<Body>, EgressError> {
    let (call, exchange) = (all.call, all.next.fetch_add(1, Ordering::Relaxed));
    let (answer, answered) = oneshot::channel();
    let room = Arc::new(Semaphore::new(PARTS));
    let (parts, body) = request.into_parts();
    let ended = body.is_end_stream();
    let head = RequestHead {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: headers_from(&parts.headers),
        ended,
        length: body.size_hint().exact(),
    };
    let open = Open { answer: Some(answer), feed: None, room: Arc::clone(&room), sending: None, _place: place };
    let gone = || EgressError::RequestAborted;
    let frame = wire::encode(&FromWorker::Request { call, exchange, head }).map_err(|_| gone())?;
    // Nothing may be given up between here and the frame on its way: the agent would never hear of it.
    let way = all.to_agent.0.reserve().await.map_err(|_| gone())?;
    all.open().insert(exchange, open);
    way.send(frame);
    let mut waiting = Waiting { exchange, notes: all.notes.clone(), answered: false };
    if !ended {
        let to_agent = all.to_agent.clone();
        let sending = tokio::runtime::Handle::current().spawn(hand_on(body, room, move |part| {
            let to_agent = to_agent.clone();
            async move { to_agent.send(&FromWorker::Part { call, exchange, part }).await }.boxed()
        }));
        if let Some(known) = all.open().get_mut(&exchange) {
            known.sending = Some(sending.abort_handle());
        }
    }
    let answer = answered.await.map_err(|_| gone())?;
    waiting.answered = true;
    answer
}
