//! Exchanges that a worker asks for: checked again, then carried out through the connection's own way out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::{HeaderName, Method, Request, Response, Uri};
use tokio::sync::{Semaphore, mpsc, oneshot};
use wherry_host::{Body, Egress, EgressError, admit_request};

use crate::{
    body::{Fed, Note, gather, hand_on, headers_from, headers_of, whole},
    frame::{AnswerHead, BodyHead, ENDING, Headers, PARTS, Part, RequestHead, ToWorker},
    wire::{self, CHUNK},
};

/// Bytes of one request's method, address and headers, and of its trailers: more than the sandbox lets a connector write.
const HEAD_BYTES: usize = 256 << 10;
/// It sends more than was agreed.
const TOO_MUCH: &str = "it sends more of a request than there is room for";

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
    /// With those that were left, until they have ended.
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
        // Those that were left still hold what was sent, and their place, until the worker hears that they are over.
        if exchange < self.next || self.work.len() >= self.most {
            return Err("it has more exchanges under way than a connector may");
        }
        self.next = exchange.saturating_add(1);
        let RequestHead { method, uri, headers, body } = head;
        let (body, feed) = match body {
            BodyHead::Whole(data) if data.len() > CHUNK => return Err(TOO_MUCH),
            BodyHead::Whole(data) => (whole(data), None),
            BodyHead::Parts(length) => {
                let (fed, feed) = Fed::new(exchange, length, false, self.notes.clone());
                (fed.boxed(), Some(feed))
            }
        };
        let request = request((&method, &uri), headers, body).and_then(|request| {
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
                let known = tokio::select! {
                    biased;
                    _ = left => false,
                    known = work => known,
                };
                if !known {
                    tell(&frames, &over).await;
                }
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
        let part = match part {
            Part::Data(data) if data.len() > CHUNK => return Err(TOO_MUCH),
            Part::Trailers(trailers) if bytes_of(&trailers) > HEAD_BYTES => return Err(TOO_MUCH),
            // Why is not for a worker to say: what a request fails with becomes the agent's own words.
            Part::Failed(_) => Part::Failed(EgressError::RequestAborted),
            Part::Data(_) | Part::Trailers(_) | Part::End => part,
        };
        match feed.try_send(part) {
            // A system that answers early needs no more of it.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(TOO_MUCH),
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

    /// Whether the worker knows by then that it is over.
    fn carry_out(
        &self,
        exchange: u32,
        request: Result<Request<Body>, EgressError>,
        room: Arc<Semaphore>,
    ) -> BoxFuture<'static, bool> {
        let (call, frames, last) = (self.call, self.frames.clone(), self.last.clone());
        let egress = Arc::clone(&self.egress);
        async move {
            let answer = match request {
                Ok(request) => egress.send(request).await,
                Err(refused) => Err(refused),
            };
            last.set(answer.as_ref().err().cloned());
            let (answer, rest) = match answer {
                Ok(response) => {
                    let (head, rest) = head_of(response, egress.protected_headers()).await;
                    (Ok(head), rest)
                }
                Err(error) => (Err(error), None),
            };
            let told = tell(&frames, &ToWorker::Answer { call, exchange, answer }).await;
            let Some(rest) = rest.filter(|_| told) else { return true };
            hand_on(rest, room, move |part| {
                if let Part::Failed(error) = &part {
                    last.set(Some(error.clone()));
                }
                let frames = frames.clone();
                async move { tell(&frames, &ToWorker::Part { call, exchange, part }).await }.boxed()
            })
            .await;
            false
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

fn request((method, uri): (&str, &str), headers: Headers, body: Body) -> Result<Request<Body>, EgressError> {
    let invalid = |what: &str| EgressError::InvalidRequest { reason: format!("it has no proper {what}") };
    if method.len() + uri.len() + bytes_of(&headers) > HEAD_BYTES {
        return Err(EgressError::InvalidRequest { reason: "its method, address and headers are too long".to_owned() });
    }
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| invalid("method"))?;
    *request.uri_mut() = uri.parse::<Uri>().map_err(|_| invalid("address"))?;
    *request.headers_mut() = headers_of(headers)?;
    Ok(request)
}

fn bytes_of(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// What the worker sees of an answer, no header that carries a credential, and what follows the head.
async fn head_of(response: Response<Body>, protected: &[HeaderName]) -> (AnswerHead, Option<Body>) {
    let (mut parts, body) = response.into_parts();
    for name in protected {
        parts.headers.remove(name);
    }
    let (body, rest) = gather(body, true).await.announced();
    (AnswerHead { status: parts.status.as_u16(), headers: headers_from(&parts.headers), body }, rest)
}

#[cfg(test)]
mod tests {
    use wherry_host::EgressFuture;

    use super::*;

    /// A system that answers at once.
    struct Echo;

    impl Egress for Echo {
        fn send(&self, request: Request<Body>) -> EgressFuture {
            Box::pin(async move { Ok(Response::new(request.into_body())) })
        }

        fn protected_headers(&self) -> &[HeaderName] {
            &[]
        }
    }

    fn post(bytes: usize) -> RequestHead {
        let body = BodyHead::Whole(vec![7; bytes].into());
        RequestHead { method: "POST".to_owned(), uri: "https://a.example/".to_owned(), headers: Vec::new(), body }
    }

    #[tokio::test]
    async fn a_short_exchange_takes_one_frame_each_way() {
        let (frames, mut sent) = mpsc::channel(8);
        let (mut exchanges, _notes) = Exchanges::new(1, Arc::new(Echo), 4, frames);
        assert_eq!(exchanges.begin(0, post(CHUNK)), Ok("a.example".to_owned()));
        exchanges.work().await;
        let frame = wire::decode(&sent.try_recv().unwrap()[size_of::<u32>()..]).unwrap();
        let ToWorker::Answer { exchange: 0, answer: Ok(AnswerHead { status: 200, body, .. }), .. } = frame else {
            panic!("{frame:?}")
        };
        assert!(matches!(body, BodyHead::Whole(data) if data == vec![7; CHUNK]));
        assert!(sent.try_recv().is_err() && exchanges.open.is_empty());
        assert_eq!(exchanges.leave(0), Ok(()), "it left before it heard");
    }

    #[tokio::test]
    async fn a_worker_that_puts_more_into_a_frame_than_was_agreed_is_foul() {
        let (frames, _sent) = mpsc::channel(8);
        let (mut exchanges, _notes) = Exchanges::new(1, Arc::new(Echo), 4, frames);
        assert_eq!(exchanges.begin(0, post(CHUNK + 1)), Err(TOO_MUCH));
        assert!(exchanges.begin(1, RequestHead { body: BodyHead::Parts(None), ..post(0) }).is_ok());
        assert_eq!(exchanges.part(1, Part::Data(vec![7; CHUNK].into())), Ok(()));
        assert_eq!(exchanges.part(1, Part::Data(vec![7; CHUNK + 1].into())), Err(TOO_MUCH));
        let trailers = vec![("a".to_owned(), vec![b'x'; HEAD_BYTES])];
        assert_eq!(exchanges.part(1, Part::Trailers(trailers)), Err(TOO_MUCH));
    }

    #[tokio::test]
    async fn exchanges_that_were_left_count_until_they_are_over() {
        let (frames, mut sent) = mpsc::channel(64);
        let (mut exchanges, _notes) = Exchanges::new(1, Arc::new(Echo), 4, frames);
        for n in 0..exchanges.most as u32 {
            assert!(exchanges.begin(n, post(CHUNK)).is_ok(), "{n}");
            assert_eq!(exchanges.leave(n), Ok(()));
        }
        let next = exchanges.most as u32;
        assert!(exchanges.begin(next, post(CHUNK)).is_err());
        exchanges.work().await;
        assert!(sent.try_recv().is_ok(), "now the worker can know that there is room again");
        assert!(exchanges.begin(next, post(CHUNK)).is_ok());
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused_and_not_kept() {
        let (frames, _sent) = mpsc::channel(8);
        let (mut exchanges, _notes) = Exchanges::new(1, Arc::new(Echo), 4, frames);
        let headers = vec![("a".to_owned(), vec![b'x'; HEAD_BYTES])];
        assert!(exchanges.begin(0, RequestHead { headers, ..post(0) }).is_ok());
        exchanges.work().await;
        assert!(matches!(exchanges.last(), Some(EgressError::InvalidRequest { .. })));
    }

    /// A system that takes the whole body before it answers, and tells how that failed.
    struct Reader;

    impl Egress for Reader {
        fn send(&self, request: Request<Body>) -> EgressFuture {
            let read = http_body_util::BodyExt::collect(request.into_body());
            Box::pin(read.map(|read| read.map(|_| Response::new(whole(bytes::Bytes::new())))))
        }

        fn protected_headers(&self) -> &[HeaderName] {
            &[]
        }
    }

    #[tokio::test]
    async fn a_worker_has_no_words_for_how_its_own_request_failed() {
        let (frames, _sent) = mpsc::channel(8);
        let (mut exchanges, _notes) = Exchanges::new(1, Arc::new(Reader), 4, frames);
        assert!(exchanges.begin(0, RequestHead { body: BodyHead::Parts(None), ..post(0) }).is_ok());
        let lie = EgressError::Internal { reason: "record 4711: Ada".to_owned() };
        assert_eq!(exchanges.part(0, Part::Failed(lie)), Ok(()));
        exchanges.work().await;
        assert_eq!(exchanges.last(), Some(EgressError::RequestAborted));
    }
}
