//! Answers that contain the secret which was put into the request.
//!
//! A connector decides where in a request some secrets go, so a system could be made to say them back. This is the second
//! line behind that: an answer that contains the secret is refused before the connector has seen one byte of it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use wherry_host::{Body, EgressError};
use zeroize::Zeroizing;

use super::soap::escape;

/// Shorter secrets turn up in answers by chance, and protect nothing anyway.
const LEAST: usize = 6;

/// The forms in which a secret would come back.
#[derive(Clone)]
pub(crate) struct Needles(Arc<[Zeroizing<Vec<u8>>]>);

impl Needles {
    /// As it is, and as XML, URLs and JSON write it.
    pub(super) fn of(secret: &str) -> Self {
        let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let json = serde_json::Value::from(secret).to_string();
        let xml = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let forms = [
            secret.to_owned(),
            escape(secret),
            xml,
            percent.replace('+', "%20"),
            percent,
            json.trim_matches('"').to_owned(),
        ];
        let mut needles: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for form in forms.into_iter().filter(|_| secret.len() >= LEAST) {
            let form = Zeroizing::new(form.into_bytes());
            if !needles.contains(&form) {
                needles.push(form);
            }
        }
        Self(needles.into())
    }

    fn found_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|needle| contains(bytes, needle))
    }

    /// Bytes at the end that may be the beginning of a secret.
    fn overlap(&self) -> usize {
        self.0.iter().map(|needle| needle.len().saturating_sub(1)).max().unwrap_or(0)
    }

    /// Asks for an answer that can be searched: whole, and not compressed.
    pub(crate) fn prepare(headers: &mut HeaderMap) {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(header::RANGE);
    }

    /// Refuses the answer if its head contains the secret or its body cannot be searched; else it breaks off where the
    /// body contains it.
    ///
    /// # Errors
    /// [`EgressError::Echoed`], [`EgressError::Protocol`].
    pub(crate) fn watch(&self, answer: Response<Body>, host: &Arc<str>) -> Result<Response<Body>, EgressError> {
        let headers = answer.headers();
        if headers.values().any(|value| self.found_in(value.as_bytes())) {
            return Err(echoed(host));
        }
        let coded = headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| coding != "identity");
        if coded && !self.0.is_empty() {
            let reason = "it compresses an answer that it was asked not to compress".to_owned();
            return Err(EgressError::Protocol { host: host.to_string(), reason });
        }
        let (needles, host) = (self.clone(), Arc::clone(host));
        Ok(answer.map(|inner| Watched { inner, needles, host, held: BytesMut::new(), over: false }.boxed_unsync()))
    }
}

fn echoed(host: &str) -> EgressError {
    EgressError::Echoed { host: host.to_owned() }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return false };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = left.get(at + 1..).unwrap_or_default();
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

/// A body that holds back what may be the beginning of a secret.
struct Watched {
    inner: Body,
    needles: Needles,
    host: Arc<str>,
    held: BytesMut,
    over: bool,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        while !self.over {
            match ready!(self.inner.frame_poll(cx)) {
                None => self.over = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    // Trailers say nothing that a connector needs; dropping them leaves no second place to look.
                    let Ok(data) = frame.into_data() else { continue };
                    self.held.extend_from_slice(&data);
                }
            }
            if self.needles.found_in(&self.held) {
                self.over = true;
                self.held.clear();
                return Poll::Ready(Some(Err(echoed(&self.host))));
            }
            let clear = self.held.len().saturating_sub(self.needles.overlap());
            if clear > 0 && !self.over {
                return Poll::Ready(Some(Ok(Frame::data(self.held.split_to(clear).freeze()))));
            }
        }
        let last = std::mem::take(&mut self.held);
        Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && (self.over || self.inner.is_end_stream())
    }
}

/// `poll_frame` of a boxed body, without the pinning at each call.
trait FramePoll {
    fn frame_poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>>;
}

impl FramePoll for Body {
    fn frame_poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        Pin::new(self).poll_frame(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "s3cr&t<\"pw\"";

    fn watch(head: Option<(&'static str, String)>, chunks: Vec<Vec<u8>>) -> Result<Vec<u8>, EgressError> {
        let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
        let mut answer = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
        if let Some((name, value)) = head {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        let watched = Needles::of(SECRET).watch(answer, &Arc::from("desk"))?;
        let body = futures::executor::block_on(watched.into_body().collect())?;
        Ok(body.to_bytes().to_vec())
    }

    #[test]
    fn the_secret_is_found_in_every_form_and_cut_at_every_place() {
        let forms = [
            SECRET,
            "s3cr&amp;t&lt;&quot;pw&quot;",
            "s3cr&amp;t&lt;\"pw\"",
            "s3cr%26t%3C%22pw%22",
            "s3cr&t<\\\"pw\\\"",
        ];
        for form in forms {
            let whole = format!("<a>{form}</a>").into_bytes();
            for cut in 0..=whole.len() {
                let (left, right) = whole.split_at(cut);
                let found = watch(None, vec![left.to_vec(), right.to_vec()]);
                assert_eq!(found, Err(echoed("desk")), "{form} cut at {cut}");
            }
            let bytewise = whole.iter().map(|byte| vec![*byte]).collect();
            assert_eq!(watch(None, bytewise), Err(echoed("desk")), "{form}");
        }
        assert_eq!(watch(Some(("location", format!("/x?k={}", forms[3]))), Vec::new()), Err(echoed("desk")));
    }

    #[test]
    fn a_compressed_answer_cannot_be_searched_and_is_refused() {
        let refused = watch(Some(("content-encoding", "gzip".to_owned())), Vec::new()).unwrap_err();
        assert!(matches!(refused, EgressError::Protocol { .. }));
        assert!(watch(Some(("content-encoding", "identity".to_owned())), Vec::new()).is_ok());
    }

    #[test]
    fn a_secret_that_is_too_short_to_mean_anything_is_not_looked_for() {
        assert!(Needles::of("admin").0.is_empty());
        assert!(!Needles::of("admin1").0.is_empty());
    }

    proptest! {
        #[test]
        fn every_other_answer_arrives_whole(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let whole = chunks.concat();
            prop_assert_eq!(watch(None, chunks), Ok(whole));
        }
    }
}
