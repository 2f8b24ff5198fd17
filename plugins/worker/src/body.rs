//! Bodies that come from the other process, part by part, and the way of bodies to it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::sync::{Semaphore, mpsc};
use wherry_host::{Body, EgressError, REQUEST_HEADERS};

use crate::{
    frame::{BodyHead, Headers, PARTS, Part},
    wire::CHUNK,
};

/// What a body from the other process has to say to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// A part was taken.
    Room(u32),
    /// Nobody reads it any more.
    Left(u32),
}

/// A body that is fed with what arrives.
pub(crate) struct Fed {
    exchange: u32,
    parts: mpsc::Receiver<Part>,
    /// Never full: no more parts may be under way than it has room for.
    notes: mpsc::Sender<Note>,
    length: Option<u64>,
    /// Whether dropping it is to be told.
    leaves: bool,
    ended: bool,
}

impl Fed {
    /// The body, and where its parts go.
    pub(crate) fn new(
        exchange: u32,
        length: Option<u64>,
        leaves: bool,
        notes: mpsc::Sender<Note>,
    ) -> (Self, mpsc::Sender<Part>) {
        // One more than may be under way, for the end.
        let (feed, parts) = mpsc::channel(PARTS + 1);
        (Self { exchange, parts, notes, length, leaves, ended: false }, feed)
    }

    pub(crate) fn boxed(self) -> Body {
        self.boxed_unsync()
    }
}

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = ready!(self.parts.poll_recv(cx));
        let _ = self.notes.try_send(Note::Room(self.exchange));
        self.ended = !matches!(part, Some(Part::Data(_)));
        Poll::Ready(match part {
            Some(Part::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Part::Trailers(headers)) => Some(headers_of(headers).map(Frame::trailers)),
            Some(Part::End) => None,
            Some(Part::Failed(error)) => Some(Err(error)),
            // Whoever feeds it is gone without having come to the end.
            None => Some(Err(EgressError::RequestAborted)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        if self.leaves {
            let _ = self.notes.try_send(Note::Left(self.exchange));
        }
    }
}

/// A body that is about to go to the other process.
pub(crate) enum Gathered {
    Whole(Bytes),
    /// How long it says that it is.
    Parts(Option<u64>, Body),
}

impl Gathered {
    /// What the head says of it, and what is to be handed on after that.
    pub(crate) fn announced(self) -> (BodyHead, Option<Body>) {
        match self {
            Self::Whole(data) => (BodyHead::Whole(data), None),
            Self::Parts(length, body) => (BodyHead::Parts(length), Some(body)),
        }
    }
}

/// Takes in a short body whole, so that it need not travel in parts. `waits` for one that says that it is short;
/// otherwise only what is there already counts.
pub(crate) async fn gather(mut body: Body, waits: bool) -> Gathered {
    let length = body.size_hint().exact();
    let is_long = |bytes: usize| bytes > CHUNK;
    let says_short = length.is_some_and(|length| !usize::try_from(length).is_ok_and(is_long));
    let (mut first, mut bytes) = (Vec::new(), 0);
    while !is_long(bytes) && length.is_none_or(|_| says_short) {
        let frame = match body.frame().now_or_never() {
            Some(frame) => frame,
            None if waits && says_short => body.frame().await,
            None => break,
        };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            None => return Gathered::Whole(joined(first)),
            Some(Ok(Ok(data))) => {
                bytes += data.len();
                first.push(data);
            }
            Some(Ok(Err(other))) => return begun(length, first, Some(Ok(other)), body),
            Some(Err(error)) => return begun(length, first, Some(Err(error)), body),
        }
    }
    begun(length, first, None, body)
}

fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 => Bytes::new(),
        1 => parts.swap_remove(0),
        _ => parts.concat().into(),
    }
}

type Taken = Result<Frame<Bytes>, EgressError>;

fn begun(length: Option<u64>, first: Vec<Bytes>, last: Option<Taken>, rest: Body) -> Gathered {
    let taken = first.into_iter().map(|data| Ok(Frame::data(data))).chain(last);
    let body = Begun { taken: taken.collect(), rest };
    Gathered::Parts(length, body.boxed_unsync())
}

/// A body of which something was taken already.
struct Begun {
    taken: VecDeque<Taken>,
    rest: Body,
}

impl HttpBody for Begun {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        match self.taken.pop_front() {
            Some(taken) => Poll::Ready(Some(taken)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }
}

/// Hands a body on to the other process, as it makes room for it.
pub(crate) async fn hand_on(
    mut body: Body,
    room: Arc<Semaphore>,
    mut send: impl FnMut(Part) -> BoxFuture<'static, bool>,
) {
    loop {
        let frame = body.frame().await;
        let mut last = true;
        let parts = match frame {
            None => vec![Part::End],
            Some(Err(error)) => vec![Part::Failed(error)],
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    last = false;
                    split(data)
                }
                Err(frame) => vec![trailing(&frame.into_trailers().unwrap_or_default())],
            },
        };
        for part in parts {
            let Ok(permit) = room.acquire().await else { return };
            permit.forget();
            if !send(part).await {
                return;
            }
        }
        if last {
            return;
        }
    }
}

/// Neither side takes more of them than that.
fn trailing(trailers: &HeaderMap) -> Part {
    if trailers.len() > REQUEST_HEADERS {
        let reason = format!("a body ends with more than {REQUEST_HEADERS} trailers");
        return Part::Failed(EgressError::Internal { reason });
    }
    Part::Trailers(headers_from(trailers))
}

fn split(mut data: Bytes) -> Vec<Part> {
    let mut parts = Vec::with_capacity(data.len() / CHUNK + 1);
    while !data.is_empty() {
        parts.push(Part::Data(data.split_to(data.len().min(CHUNK))));
    }
    parts
}

/// A body that came with its head.
pub(crate) fn whole(data: Bytes) -> Body {
    Full::new(data).map_err(|never| match never {}).boxed_unsync()
}

/// Headers as they travel.
pub(crate) fn headers_from(headers: &HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// Headers that arrived.
pub(crate) fn headers_of(headers: Headers) -> Result<HeaderMap, EgressError> {
    let invalid = || EgressError::InvalidRequest { reason: "it has a header that is none".to_owned() };
    let mut map = HeaderMap::try_with_capacity(headers.len()).map_err(|_| invalid())?;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| invalid())?;
        map.try_append(name, value).map_err(|_| invalid())?;
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    /// A body that does not say how long it is.
    fn streamed(frames: Vec<Taken>, ends: bool) -> Body {
        let (stream, more) = (stream::iter(frames), stream::pending());
        match ends {
            true => StreamBody::new(stream).boxed_unsync(),
            false => StreamBody::new(futures::StreamExt::chain(stream, more)).boxed_unsync(),
        }
    }

    fn data(bytes: usize) -> Taken {
        Ok(Frame::data(vec![7; bytes].into()))
    }

    /// What is left to be handed on: bytes of each part, and whether it fails.
    async fn parts(mut body: Body, most: usize) -> (Vec<usize>, bool) {
        let mut seen = Vec::new();
        while seen.len() < most {
            match body.frame().await {
                None => break,
                Some(Err(_)) => return (seen, true),
                Some(Ok(frame)) => seen.push(frame.data_ref().map_or(0, Bytes::len)),
            }
        }
        (seen, false)
    }

    #[tokio::test]
    async fn a_short_body_that_is_there_is_taken_whole_in_one_piece_or_several() {
        for (frames, length) in [(vec![], 0), (vec![data(5)], 5), (vec![data(1), data(CHUNK - 1)], CHUNK)] {
            let gathered = gather(streamed(frames, true), false).await;
            assert!(matches!(gathered, Gathered::Whole(data) if data.len() == length), "{length}");
        }
    }

    #[tokio::test]
    async fn what_was_taken_of_a_body_that_is_long_late_or_broken_goes_before_the_rest() {
        let late = gather(streamed(vec![data(3)], false), true).await;
        let Gathered::Parts(None, body) = late else { panic!("it was not there, and did not say that it is short") };
        assert_eq!(parts(body, 1).await, (vec![3], false));
        let long = gather(streamed(vec![data(CHUNK), data(9), data(4)], true), true).await;
        let Gathered::Parts(None, body) = long else { panic!("too long for one frame") };
        assert_eq!(parts(body, 9).await, (vec![CHUNK, 9, 4], false));
        let broken = gather(streamed(vec![data(2), Err(EgressError::RequestAborted)], true), true).await;
        let Gathered::Parts(None, body) = broken else { panic!("it is not whole") };
        assert_eq!(parts(body, 9).await, (vec![2], true));
        let mut trailers = HeaderMap::new();
        trailers.insert("checksum", HeaderValue::from_static("1"));
        let trailed = gather(streamed(vec![data(2), Ok(Frame::trailers(trailers))], true), true).await;
        let Gathered::Parts(None, body) = trailed else { panic!("its trailers would be lost") };
        assert_eq!(parts(body, 9).await, (vec![2, 0], false));
    }

    #[tokio::test]
    async fn a_body_that_says_that_it_is_short_is_waited_for_and_a_long_one_is_not_touched() {
        let (notes, _heard) = mpsc::channel(8);
        let (fed, feed) = Fed::new(0, Some(4), false, notes.clone());
        let gathering = gather(fed.boxed(), true);
        tokio::pin!(gathering);
        assert!(gathering.as_mut().now_or_never().is_none());
        feed.send(Part::Data(Bytes::from_static(b"late"))).await.unwrap();
        feed.send(Part::End).await.unwrap();
        assert!(matches!(gathering.await, Gathered::Whole(data) if data == "late"));
        let length = CHUNK as u64 + 1;
        let (fed, feed) = Fed::new(0, Some(length), false, notes);
        feed.send(Part::Data(Bytes::from_static(b"first"))).await.unwrap();
        let Gathered::Parts(Some(said), body) = gather(fed.boxed(), true).await else { panic!("it is long") };
        assert_eq!((said, parts(body, 1).await), (length, (vec![5], false)));
    }
}
