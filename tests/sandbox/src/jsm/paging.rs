//! Pages of the service desk (`start`, `limit`, `isLastPage`) and of the platform (`startAt`, `maxResults`, `total`).

use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::denial::Denial;
use super::input::Parameters;

/// Most items on a page of the service desk.
const DESK_LIMIT: usize = 100;
const DEFAULT: usize = 50;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) start: usize,
    pub(crate) limit: usize,
}

impl Window {
    /// In the words of the service desk. Whoever asks for more than there can be on a page gets less, and is told so.
    pub(crate) fn desk(query: &Parameters) -> Result<Self, Denial> {
        let limit = query.number("limit")?.unwrap_or(DEFAULT).clamp(1, DESK_LIMIT);
        Ok(Self { start: query.number("start")?.unwrap_or(0), limit })
    }

    /// In the words of the platform.
    pub(crate) fn platform(query: &Parameters, default: usize, most: usize) -> Result<Self, Denial> {
        let limit = query.number("maxResults")?.unwrap_or(default).min(most);
        Ok(Self { start: query.number("startAt")?.unwrap_or(0), limit })
    }

    /// The part of a list.
    pub(crate) fn of<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let start = self.start.min(all.len());
        all.get(start..start.saturating_add(self.limit).min(all.len())).unwrap_or_default()
    }
}

/// A page of the service desk, written without building a tree first.
pub(crate) struct DeskPage<'a> {
    pub(crate) base: &'a str,
    pub(crate) uri: &'a Uri,
    pub(crate) query: &'a Parameters,
    pub(crate) window: Window,
}

impl DeskPage<'_> {
    /// The part of `all` that is asked for, each item written by `write`.
    pub(crate) fn answer<T>(&self, all: &[T], write: impl FnMut(&T, &mut Vec<u8>)) -> Response {
        json_bytes(self.body(all, write))
    }

    /// The page as a tree, for answers that hold one.
    pub(crate) fn tree<T: Serialize>(&self, all: &[T]) -> Value {
        let body = self.body(all, |item, out| push(out, item));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    fn body<T>(&self, all: &[T], mut write: impl FnMut(&T, &mut Vec<u8>)) -> Vec<u8> {
        let part = self.window.of(all);
        let end = self.window.start.saturating_add(part.len());
        let is_last = end >= all.len();
        let mut out = Vec::with_capacity(part.len() * 1_500 + 512);
        out.extend_from_slice(b"{\"_expands\":[],\"values\":[");
        for (nth, item) in part.iter().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            write(item, &mut out);
        }
        let frame = json!({
            "size": part.len(),
            "start": self.window.start,
            "limit": self.window.limit,
            "isLastPage": is_last,
            "_links": self.links(is_last, end),
        });
        out.extend_from_slice(b"],");
        out.extend_from_slice(frame.to_string().get(1..).unwrap_or_default().as_bytes());
        out
    }

    fn links(&self, is_last: bool, end: usize) -> Map<String, Value> {
        let Window { start, limit } = self.window;
        let mut links = Map::new();
        links.insert("self".to_owned(), json!(self.link(None)));
        links.insert("base".to_owned(), json!(self.base));
        links.insert("context".to_owned(), json!(""));
        if !is_last {
            links.insert("next".to_owned(), json!(self.link(Some(end))));
        }
        if start > 0 {
            links.insert("prev".to_owned(), json!(self.link(Some(start.saturating_sub(limit)))));
        }
        links
    }

    fn link(&self, start: Option<usize>) -> String {
        let mut link = format!("{}{}", self.base, self.uri.path());
        let Some(start) = start else {
            return format!("{link}{}", self.uri.query().map(|query| format!("?{query}")).unwrap_or_default());
        };
        link.push('?');
        for (key, value) in self.query.without(&["start", "limit"]) {
            link.push_str(&format!("{}={}&", escaped(key), escaped(value)));
        }
        format!("{link}start={start}&limit={}", self.window.limit)
    }
}

/// A text as it stands in a query.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Writes a value as JSON.
pub(crate) fn push(out: &mut Vec<u8>, value: &impl Serialize) {
    let before = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"null");
    }
}

/// An answer of JSON that is written already.
pub(crate) fn json_bytes(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json;charset=UTF-8")], body).into_response()
}
