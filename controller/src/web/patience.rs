//! How long the port waits for people who are slow, or only pretend to be.
//!
//! ```text
//! connection ─first bytes─► protocol known ─headers─► request ─body: each piece, and all of it─► handler
//! ```
//!
//! A place among the connections is worth something, so whoever keeps one has to use it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::{Stream, StreamExt, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4). Nothing in HTTP/1 begins like it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The limits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the first bytes, and for all headers of a request over HTTP/1.
    pub headers: Duration,
    /// From one piece of a body to the next.
    pub body_pause: Duration,
    /// For a whole body: the largest package at half a megabit per second.
    pub body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (headers, body_pause) = (Duration::from_secs(10), Duration::from_secs(15));
        Self { headers, body_pause, body: Duration::from_secs(600) }
    }
}

/// The sender of a body took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body came too slowly")]
pub(super) struct TooSlow;

/// Gives up on bodies that come too slowly.
pub(super) async fn bodies(State(patience): State<Patience>, request: Request, next: Next) -> Response {
    let slow = |body: Body| Body::from_stream(timed(body.into_data_stream(), patience));
    next.run(request.map(slow)).await
}

/// The same pieces, or an error in place of one that does not come.
fn timed(body: BodyDataStream, patience: Patience) -> impl Stream<Item = Result<bytes::Bytes, axum::BoxError>> {
    // Counted from when somebody wants to read it: before, nobody waits.
    stream::unfold(Some((body, None)), move |state| async move {
        let (mut body, whole) = state?;
        let mut whole = whole.unwrap_or_else(|| Box::pin(sleep(patience.body)));
        let piece = tokio::select! {
            // First, or a body whose next piece is always there would never be over.
            biased;
            () = &mut whole => Err(TooSlow),
            piece = body.next() => Ok(piece),
            () = sleep(patience.body_pause) => Err(TooSlow),
        };
        match piece {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some((body, Some(whole))))),
            Ok(Some(Err(error))) => Some((Err(error.into()), None)),
            Ok(None) => None,
            Err(slow) => Some((Err(slow.into()), None)),
        }
    })
}

/// A connection that has to say within a time which protocol it speaks; from then on HTTP has limits of its own.
pub(super) struct Opening<S> {
    stream: S,
    seen: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Opening<S> {
    pub(super) fn new(stream: S, patience: Patience) -> Self {
        Self { stream, seen: 0, until: Some(Box::pin(sleep(patience.headers))) }
    }

    fn saw(&mut self, bytes: &[u8]) {
        let expected = PREFACE.get(self.seen..).unwrap_or_default();
        self.seen += bytes.len();
        if bytes.is_empty() || bytes.len() >= expected.len() || !expected.starts_with(bytes) {
            self.until = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some(until) = this.until.as_mut() else { return read };
        if read.is_pending() {
            ready!(until.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        this.saw(buffer.filled().get(before..).unwrap_or_default());
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
