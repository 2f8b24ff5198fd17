//! A request that can be sent a second time: its head, and its body if that was small enough to be kept while it was sent.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, header::CONTENT_LENGTH, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use wherry_host::{Body, EgressError};

/// Largest body that is kept. Records go out in requests of a few KiB; an attachment does not have to be sent twice
/// because a token ended meanwhile.
pub(super) const MAX_KEPT: usize = 256 << 10;

/// What is left of a request that was sent.
pub(super) struct Kept {
    head: Parts,
    copy: Option<Arc<Mutex<Copied>>>,
}

enum Copied {
    Going(BytesMut),
    Whole(Bytes),
    TooMuch,
}

impl Kept {
    /// The request as it is to be sent, and what is kept of it.
    pub(super) fn of(request: Request<Body>) -> (Request<Body>, Self) {
        let (head, body) = request.into_parts();
        // Of a GET or HEAD that announces no body, hyper sends none, whatever stands there, and asks for none.
        let bodiless = matches!(head.method, Method::GET | Method::HEAD) && !head.headers.contains_key(CONTENT_LENGTH);
        if bodiless || is_over(&body) {
            return (Request::from_parts(head.clone(), body), Self { head, copy: None });
        }
        let copy = Arc::new(Mutex::new(Copied::Going(BytesMut::new())));
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let tee = Tee { inner: body, announced, copy: Arc::clone(&copy) };
        (Request::from_parts(head.clone(), tee.boxed_unsync()), Self { head, copy: Some(copy) })
    }

    /// The same request once more, if its body was kept whole.
    pub(super) fn again(self) -> Option<Request<Body>> {
        let body = match &self.copy {
            None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Some(copy) => match &*copy.lock().unwrap_or_else(PoisonError::into_inner) {
                Copied::Whole(bytes) => Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync(),
                Copied::Going(_) | Copied::TooMuch => return None,
            },
        };
        Some(Request::from_parts(self.head, body))
    }
}

/// A body that is copied while it is sent.
struct Tee {
    inner: Body,
    /// Its length, if the request says so. Whoever sends stops asking when so many bytes were given.
    announced: Option<usize>,
    copy: Arc<Mutex<Copied>>,
}

impl Tee {
    fn note(&self, frame: Option<&Frame<Bytes>>) {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let Copied::Going(kept) = &mut *copy else { return };
        match frame.map(Frame::data_ref) {
            None => *copy = Copied::Whole(std::mem::take(kept).freeze()),
            Some(Some(data)) if kept.len() + data.len() <= MAX_KEPT => kept.extend_from_slice(data),
            Some(Some(_) | None) => *copy = Copied::TooMuch,
        }
        if let Copied::Going(kept) = &mut *copy
            && Some(kept.len()) == self.announced
        {
            *copy = Copied::Whole(std::mem::take(kept).freeze());
        }
    }
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Ok(frame) = frame.as_ref().map(Result::as_ref).transpose() {
            self.note(frame);
        }
        // Whoever sends may never ask again after the last frame.
        if is_over(&self.inner) {
            self.note(None);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether nothing more comes, as far as the body knows before it is asked.
fn is_over(body: &Body) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, stream};
    use http_body_util::StreamBody;

    use super::*;

    fn request(chunks: &[usize]) -> Request<Body> {
        let frames: Vec<_> = chunks.iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; *size])))).collect();
        Request::post("https://h/p")
            .header("x-own", "1")
            .body(StreamBody::new(stream::iter(frames)).boxed_unsync())
            .unwrap()
    }

    fn sent_again(chunks: &[usize]) -> Option<usize> {
        let (request, kept) = Kept::of(request(chunks));
        block_on(request.into_body().collect()).unwrap();
        let again = kept.again()?;
        assert_eq!((again.uri().path(), &again.headers()["x-own"]), ("/p", &"1".parse().unwrap()));
        Some(block_on(again.into_body().collect()).unwrap().to_bytes().len())
    }

    #[test]
    fn a_small_body_is_kept_and_a_large_one_is_not() {
        assert_eq!(sent_again(&[]), Some(0));
        assert_eq!(sent_again(&[10, 20]), Some(30));
        assert_eq!(sent_again(&[MAX_KEPT - 1, 1]), Some(MAX_KEPT));
        assert_eq!(sent_again(&[MAX_KEPT, 1]), None);
        assert_eq!(sent_again(&[MAX_KEPT + 1]), None);
    }

    #[test]
    fn a_get_whose_body_nobody_asks_for_can_be_repeated() {
        let mut get = request(&[]);
        *get.method_mut() = Method::GET;
        assert!(Kept::of(get).1.again().is_some());
        assert!(Kept::of(request(&[1])).1.again().is_none());
    }

    #[test]
    fn a_body_of_announced_length_is_whole_when_so_many_bytes_were_sent_though_nobody_asked_for_its_end() {
        let (mut first, second) = (request(&[10, 20]), request(&[10, 20, 1]));
        first.headers_mut().insert(CONTENT_LENGTH, 30.into());
        for (request, whole) in [(first, true), (second, false)] {
            let (request, kept) = Kept::of(request);
            let mut body = request.into_body();
            for _ in 0..2 {
                block_on(body.frame()).unwrap().unwrap();
            }
            assert_eq!(kept.again().is_some(), whole);
        }
    }

    #[test]
    fn a_body_that_was_not_sent_to_its_end_is_not_sent_again() {
        let (request, kept) = Kept::of(request(&[10, 20]));
        let mut body = request.into_body();
        block_on(body.frame()).unwrap().unwrap();
        assert!(kept.again().is_none());
    }
}
