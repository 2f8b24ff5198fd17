//! The four ways in which real systems page: by page number, by offset, by cursor, and by `Link` header.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Refusal;

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1_000;

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Window {
    page: Option<usize>,
    size: Option<usize>,
    offset: Option<usize>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A part of a list: `start..end` of `total`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: usize,
    pub(crate) end: usize,
    size: usize,
    total: usize,
}

impl Window {
    /// The part asked for; beyond the end it is empty.
    pub(crate) fn part(&self, total: usize) -> Result<Part, Refusal> {
        let size = self.size.or(self.limit).unwrap_or(DEFAULT_SIZE);
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(bad(format!("size is 1 to {MAX_SIZE}, not {size}")));
        }
        let start = match (&self.cursor, self.offset, self.page) {
            (Some(cursor), _, _) => {
                let digits = cursor.strip_prefix("after-").and_then(|digits| digits.parse().ok());
                digits.ok_or_else(|| bad("this cursor was not made here".to_owned()))?
            }
            (None, Some(offset), _) => offset,
            (None, None, Some(0)) => return Err(bad("pages are counted from 1".to_owned())),
            (None, None, page) => (page.unwrap_or(1) - 1).saturating_mul(size),
        };
        let start = start.min(total);
        Ok(Part { start, end: start.saturating_add(size).min(total), size, total })
    }
}

impl Part {
    /// The page as JSON: `items`, where it stands, and how to go on.
    pub(crate) fn answer(&self, path: &str, items: Vec<Value>) -> Response {
        let next = (self.end < self.total).then(|| format!("after-{}", self.end));
        let body = Json(json!({
            "items": items,
            "page": self.start / self.size + 1,
            "pages": self.total.div_ceil(self.size),
            "size": self.size,
            "offset": self.start,
            "total": self.total,
            "next_cursor": next,
        }));
        match next {
            Some(cursor) => {
                let link = format!("<{path}?cursor={cursor}&size={}>; rel=\"next\"", self.size);
                ([(LINK, link)], body).into_response()
            }
            None => body.into_response(),
        }
    }
}

fn bad(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "page_invalid", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_offsets_and_cursors_name_the_same_parts() {
        let page = Window { page: Some(3), size: Some(10), ..Window::default() };
        let offset = Window { offset: Some(20), limit: Some(10), ..Window::default() };
        let cursor = Window { cursor: Some("after-20".into()), size: Some(10), ..Window::default() };
        for window in [page, offset, cursor] {
            assert_eq!(window.part(25).unwrap(), Part { start: 20, end: 25, size: 10, total: 25 });
        }
    }

    #[test]
    fn a_part_beyond_the_end_is_empty_and_nonsense_is_refused() {
        let part = Window { page: Some(usize::MAX), ..Window::default() }.part(25).unwrap();
        assert_eq!((part.start, part.end), (25, 25));
        for window in [
            Window { page: Some(0), ..Window::default() },
            Window { size: Some(0), ..Window::default() },
            Window { size: Some(1_001), ..Window::default() },
            Window { cursor: Some("20".into()), ..Window::default() },
        ] {
            assert!(window.part(25).is_err(), "{window:?}");
        }
    }
}
