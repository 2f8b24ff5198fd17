//! Exchanges that a worker asks for: checked again, then carried out through the connection's own way out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::{HeaderName, Method, Request, Response, Uri};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Empty};
use tokio::sync::{Semaphore, mpsc, oneshot};
use wherry_host::{Body, Egress, EgressError, admit_request};

use crate::{
    body::{Fed, Note, hand_on, headers_from, headers_of},
    frame::{AnswerHead, ENDING, PARTS, Part, RequestHead, ToWorker},
    wire,
};

/// The last failure of an invocation's exchanges; one that succeeds erases it.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<EgressError>>>);

impl Last {
    fn set(&self, failure: Option<EgressError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

/// All of one invocation. Dropping them ends them.
pub(super) struct Exchanges {
    call: u32,
    egress: Arc<dyn Egress>,
    frames: mpsc::Sender<Vec<u8>>,
    notes: mpsc::Sender<Note>,
    most: usize,
    next: u32,
    open: BTreeMap<u32, Open>,
    work: FuturesUnordered<BoxFuture<'static, u32>>,
    last: Last,
}

struct Open {
    feed: Option<mpsc::Sender<Part>>,
    room: Arc<Semaphore>,
    /// Dropping it ends the exchange.
    _stay: oneshot::Sender<()>,
}

impl Exchanges {
    pub(super) fn new(
        call: u32,
        egress: Arc<dyn Egress>,
        parallel: usize,
        frames: mpsc::Sender<Vec<u8>>,
    ) -> (Self, mpsc::Receiver<Note>) {
        let most = parallel + ENDING;
        let (notes, heard) = mpsc::channel(most * (PARTS + 4));
        let (open, work, last) = (BTreeMap::new(), FuturesUnordered::new(), Last::default());
        (Self { call, egress, frames, notes, most, next: 0, open, work, last }, heard)
    }

    /// Names of headers that only the agent may set or see.
    pub(super) fn protected(&self) -> &[HeaderName] {
        self.egress.protected_headers()
    }

    /// What failed last.
    pub(super) fn last(&self) -> Option<EgressError> {
        self.last.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins one; gives the host that it goes to.
    pub(super) fn begin(&mut self, exchange: u32, head: RequestHead) -> Result<String, &'static str> {
        if exchange < self.next || self.open.len() >= self.most {
            return Err("it has more exchanges under way than a connector may");
        }
        self.next = exchange.saturating_add(1);
        let (fed, feed) = match head.ended {
            true => (Empty::new().map_err(|never| match never {}).boxed_unsync(), None),
            false => {
                let (fed, feed) = Fed::new(exchange, head.length, false, self.notes.clone());
                (fed.boxed(), Some(feed))
            }
        };
        let request = request(head, fed).and_then(|request| {
            admit_request(&request, self.egress.protected_headers())?;
            Ok(request)
        });
        let host = request.as_ref().ok().and_then(|request| request.uri().host()).unwrap_or_default().to_owned();
        let (stay, left) = oneshot::channel::<()>();
        let room = Arc::new(Semaphore::new(PARTS));
        let work = self.carry_out(exchange, request, Arc::clone(&room));
        self.open.insert(exchange, Open { feed, room, _stay: stay });
        let frames = self.frames.clone();
        let over = ToWorker::Over { call: self.call, exchange };
        self.work.push(
            async move {
                tokio::select! {
                    biased;
                    _ = left => {}
                    () = work => {}
                }
                tell(&frames, &over).await;
                exchange
            }
            .boxed(),
        );
        Ok(host)
    }

    /// A part of a request's body.
    pub(super) fn part(&mut self, exchange: u32, part: Part) -> Result<(), &'static str> {
        let Some(feed) = self.open.get(&exchange).and_then(|open| open.feed.as_ref()) else {
            return self.known(exchange);
        };
        match feed.try_send(part) {
            // A system that answers early needs no more of it.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err("it sends more of a request than there is room for"),
        }
    }

    /// It took a part of an answer.
    pub(super) fn room(&mut self, exchange: u32) -> Result<(), &'static str> {
        let Some(open) = self.open.get(&exchange) else { return self.known(exchange) };
        if open.room.available_permits() >= PARTS {
            return Err("it makes room for more than was sent");
        }
        open.room.add_permits(1);
        Ok(())
    }

    /// It has lost interest in one.
    pub(super) fn leave(&mut self, exchange: u32) -> Result<(), &'static str> {
        match self.open.remove(&exchange) {
            Some(_) => Ok(()),
            None => self.known(exchange),
        }
    }

    /// Works on all of them until one is over; for ever, if there is none.
    pub(super) async fn work(&mut self) {
        match self.work.next().await {
            Some(exchange) => drop(self.open.remove(&exchange)),
            None => std::future::pending().await,
        }
    }

    /// The last words on an exchange that is over may still arrive.
    fn known(&self, exchange: u32) -> Result<(), &'static str> {
        if exchange < self.next { Ok(()) } else { Err("it speaks of an exchange that it never began") }
    }

    fn carry_out(
        &self,
        exchange: u32,
        request: Result<Request<Body>, EgressError>,
        room: Arc<Semaphore>,
    ) -> BoxFuture<'static, ()> {
        let (call, frames, last) = (self.call, self.frames.clone(), self.last.clone());
        let egress = Arc::clone(&self.egress);
        async move {
            let answer = match request {
                Ok(request) => egress.send(request).await,
                Err(refused) => Err(refused),
            };
            last.set(answer.as_ref().err().cloned());
            let (answer, body) = match answer {
                Ok(response) => {
                    let (head, body) = head_of(response, egress.protected_headers());
                    (Ok(head), Some(body))
                }
                Err(error) => (Err(error), None),
            };
            if !tell(&frames, &ToWorker::Answer { call, exchange, answer }).await {
                return;
            }
            let Some(body) = body else { return };
            hand_on(body, room, move |part| {
                if let Part::Failed(error) = &part {
                    last.set(Some(error.clone()));
                }
                let frames = frames.clone();
                async move { tell(&frames, &ToWorker::Part { call, exchange, part }).await }.boxed()
            })
            .await;
        }
        .boxed()
    }
}

async fn tell(frames: &mpsc::Sender<Vec<u8>>, frame: &ToWorker) -> bool {
    match wire::encode(frame) {
        Ok(bytes) => frames.send(bytes).await.is_ok(),
        Err(_) => false,
    }
}

fn request(head: RequestHead, body: Body) -> Result<Request<Body>, EgressError> {
    let invalid = |what: &str| EgressError::InvalidRequest { reason: format!("it has no proper {what}") };
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(head.method.as_bytes()).map_err(|_| invalid("method"))?;
    *request.uri_mut() = head.uri.parse::<Uri>().map_err(|_| invalid("address"))?;
    *request.headers_mut() = headers_of(head.headers)?;
    Ok(request)
}

/// What the worker sees of an answer: no header that carries a credential.
fn head_of(response: Response<Body>, protected: &[HeaderName]) -> (AnswerHead, Body) {
    let (mut parts, body) = response.into_parts();
    for name in protected {
        parts.headers.remove(name);
    }
    let length = HttpBody::size_hint(&body).exact();
    (AnswerHead { status: parts.status.as_u16(), headers: headers_from(&parts.headers), length }, body)
}
