//! Bodies that come from the other process, part by part, and the way of bodies to it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, mpsc};
use wherry_host::{Body, EgressError};

use crate::{
    frame::{Headers, PARTS, Part},
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
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    vec![Part::Trailers(headers_from(&trailers))]
                }
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

fn split(mut data: Bytes) -> Vec<Part> {
    let mut parts = Vec::with_capacity(data.len() / CHUNK + 1);
    while !data.is_empty() {
        parts.push(Part::Data(data.split_to(data.len().min(CHUNK))));
    }
    parts
}

/// Headers as they travel.
pub(crate) fn headers_from(headers: &HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// Headers that arrived.
pub(crate) fn headers_of(headers: Headers) -> Result<HeaderMap, EgressError> {
    let invalid = || EgressError::InvalidRequest { reason: "it has a header that is none".to_owned() };
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| invalid())?;
        map.try_append(name, value).map_err(|_| invalid())?;
    }
    Ok(map)
}
