//! The way out of a worker: every exchange is asked of the agent, which carries it out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::FutureExt;
use http::{HeaderName, Request, Response, StatusCode};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::AbortHandle,
};
use wherry_host::{Body, Egress, EgressError, EgressFuture};

use super::ToAgent;
use crate::{
    body::{Fed, Note, gather, hand_on, headers_from, headers_of, whole},
    frame::{AnswerHead, BodyHead, ENDING, FromWorker, PARTS, Part, RequestHead},
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
    all: Mutex<All>,
}

/// Those under way, and the number of the next.
#[derive(Default)]
struct All {
    next: u32,
    open: BTreeMap<u32, Open>,
}

type Answered = oneshot::Sender<Result<Response<Body>, EgressError>>;

struct Open {
    answer: Option<Answered>,
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
            all: Mutex::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers an exchange and puts its frame on the way. The agent takes a number that is not higher than the last for
    /// a foul, so both happen at once, whoever waited for room the longest.
    fn begin(&self, head: RequestHead, open: Open, send: impl FnOnce(Vec<u8>)) -> Option<u32> {
        let mut all = self.all();
        let exchange = all.next;
        let frame = wire::encode(&FromWorker::Request { call: self.call, exchange, head }).ok()?;
        all.next = exchange.saturating_add(1);
        all.open.insert(exchange, open);
        send(frame);
        Some(exchange)
    }

    pub(super) fn answered(&self, exchange: u32, answer: Result<AnswerHead, EgressError>) {
        let mut feed = None;
        let answer = answer.and_then(|AnswerHead { status, headers, body }| {
            let body = match body {
                BodyHead::Whole(data) => whole(data),
                BodyHead::Parts(length) => {
                    let (fed, parts) = Fed::new(exchange, length, true, self.notes.clone());
                    feed = Some(parts);
                    fed.boxed()
                }
            };
            let mut response = Response::new(body);
            *response.headers_mut() = headers_of(headers)?;
            *response.status_mut() = StatusCode::from_u16(status)
                .map_err(|_| EgressError::Internal { reason: "an answer without a status".to_owned() })?;
            Ok(response)
        });
        if let Some(waiting) = self.take_answer(exchange, feed) {
            // Whoever gave up has said so.
            drop(waiting.send(answer));
        }
    }

    /// Who waits for the answer. Without parts that follow, the exchange is over.
    fn take_answer(&self, exchange: u32, feed: Option<mpsc::Sender<Part>>) -> Option<Answered> {
        if feed.is_none() {
            return self.close(exchange)?.answer;
        }
        let mut all = self.all();
        let known = all.open.get_mut(&exchange)?;
        known.feed = feed;
        known.answer.take()
    }

    pub(super) fn part(&self, exchange: u32, part: Part) {
        if let Some(feed) = self.all().open.get(&exchange).and_then(|known| known.feed.as_ref()) {
            // A body that was dropped takes nothing.
            drop(feed.try_send(part));
        }
    }

    pub(super) fn room(&self, exchange: u32) {
        if let Some(known) = self.all().open.get(&exchange) {
            known.room.add_permits(1);
        }
    }

    /// The agent has done with it.
    pub(super) fn over(&self, exchange: u32) {
        drop(self.close(exchange));
    }

    fn close(&self, exchange: u32) -> Option<Open> {
        let known = self.all().open.remove(&exchange)?;
        if let Some(sending) = &known.sending {
            sending.abort();
        }
        Some(known)
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
    let call = all.call;
    let (answer, answered) = oneshot::channel();
    let room = Arc::new(Semaphore::new(PARTS));
    let (parts, body) = request.into_parts();
    let (announced, rest) = gather(body, false).await.announced();
    let head = RequestHead {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: headers_from(&parts.headers),
        body: announced,
    };
    let open = Open { answer: Some(answer), feed: None, room: Arc::clone(&room), sending: None, _place: place };
    let gone = || EgressError::RequestAborted;
    // Nothing may be given up between here and the frame on its way: the agent would never hear of it.
    let way = all.to_agent.0.reserve().await.map_err(|_| gone())?;
    let exchange = all.begin(head, open, |frame| way.send(frame)).ok_or_else(gone)?;
    let mut waiting = Waiting { exchange, notes: all.notes.clone(), answered: false };
    if let Some(rest) = rest {
        let to_agent = all.to_agent.clone();
        let sending = tokio::runtime::Handle::current().spawn(hand_on(rest, room, move |part| {
            let to_agent = to_agent.clone();
            async move { to_agent.send(&FromWorker::Part { call, exchange, part }).await }.boxed()
        }));
        if let Some(known) = all.all().open.get_mut(&exchange) {
            known.sending = Some(sending.abort_handle());
        }
    }
    let answer = answered.await.map_err(|_| gone())?;
    waiting.answered = true;
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};

    use super::*;

    fn request() -> Request<Body> {
        Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync())
    }

    fn number(frame: &[u8]) -> u32 {
        let frame = wire::decode(&frame[size_of::<u32>()..]).unwrap();
        let FromWorker::Request { exchange, .. } = frame else { panic!("{frame:?}") };
        exchange
    }

    #[tokio::test]
    async fn whoever_waited_for_room_frames_leave_in_the_order_of_their_numbers() {
        let (to_agent, mut sent) = mpsc::channel(2);
        let (note, _notes) = mpsc::channel(notes(4));
        let outside = Outside(Arc::new(Exchanges::new(1, ToAgent(to_agent.clone()), &[], 4, note)));
        to_agent.try_send(Vec::new()).unwrap();
        to_agent.try_send(Vec::new()).unwrap();
        let (mut early, mut late) = (outside.send(request()), outside.send(request()));
        assert!((&mut early).now_or_never().is_none(), "there is no room");
        // The first of the two places is promised to it, and the other one is free for whoever comes.
        sent.recv().await.unwrap();
        sent.recv().await.unwrap();
        assert!((&mut late).now_or_never().is_none() && (&mut early).now_or_never().is_none());
        let numbers = [sent.recv().await.unwrap(), sent.recv().await.unwrap()].map(|frame| number(&frame));
        assert_eq!(numbers, [0, 1]);
    }
}
