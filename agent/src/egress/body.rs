//! Bodies that are watched while they stream: size and silence of answers, progress of requests.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use wherry_host::{Body, EgressError};

use super::client::{Limits, translate_body};

/// Fewer bytes than this within the longest silence count as silence: otherwise a byte now and then would hold a place
/// for as long as the operation may last. The slowest modem did more in the default of 30 s.
const LEAST: u64 = 1 << 10;

/// An answer's body within its limits.
pub(super) struct Answer {
    inner: Incoming,
    host: Arc<str>,
    limits: Limits,
    seen: u64,
    /// What came of the [`LEAST`] that end a silence.
    fresh: u64,
    /// How long it was waited for that, without the time in which nobody asked for more.
    waited: Duration,
    /// The wait that is under way. Made when nothing is there: most answers arrive whole with their head.
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Answer {
    /// # Errors
    /// If the announced length is beyond the limit already.
    pub(super) fn new(inner: Incoming, host: Arc<str>, limits: Limits) -> Result<Self, EgressError> {
        let body = Self { inner, host, limits, seen: 0, fresh: 0, waited: Duration::ZERO, wait: None };
        if body.inner.size_hint().lower() > limits.response_bytes { Err(body.too_large()) } else { Ok(body) }
    }

    fn too_large(&self) -> EgressError {
        EgressError::ResponseTooLarge { host: self.host.to_string(), limit: self.limits.response_bytes }
    }

    fn silent(&self) -> EgressError {
        let limit_ms = u64::try_from(self.limits.idle.as_millis()).unwrap_or(u64::MAX);
        EgressError::ResponseTimeout { host: self.host.to_string(), limit_ms }
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, EgressError> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.seen = self.seen.saturating_add(length);
        self.fresh = self.fresh.saturating_add(length);
        if let Some((since, _)) = self.wait.take() {
            self.waited += since.elapsed();
        }
        if self.fresh >= LEAST {
            (self.fresh, self.waited) = (0, Duration::ZERO);
        }
        if self.seen > self.limits.response_bytes { Err(self.too_large()) } else { Ok(frame) }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| match frame {
                Ok(frame) => self.count(frame),
                Err(error) => Err(translate_body(&self.host, &error)),
            }));
        }
        let left = self.limits.idle.saturating_sub(self.waited);
        let (_, silence) = self.wait.get_or_insert_with(|| (now(), Box::pin(tokio::time::sleep(left))));
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(Some(Err(self.silent())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[expect(clippy::disallowed_methods, reason = "compared with tokio's own timer only")]
fn now() -> Instant {
    Instant::now()
}

/// When a request's body last moved; the wait for the answer begins there.
#[derive(Clone)]
pub(super) struct Progress {
    began: Instant,
    moved_ms: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn begin() -> Self {
        Self { began: now(), moved_ms: Arc::new(AtomicU64::new(0)) }
    }

    pub(super) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.moved_ms.load(Relaxed))
    }

    fn moved(&self) {
        self.moved_ms.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// A request's body that notes its progress.
pub(super) struct Sent {
    pub(super) inner: Body,
    pub(super) progress: Progress,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.progress.moved();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
