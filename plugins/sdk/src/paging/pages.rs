//! Reads page after page, the next one while the current one is handled.

use serde::Serialize;
use serde_json::Value;

use super::page::Page;
use super::pager::{Pager, Position};
use super::{Paging, Place};
use crate::context::Context;
use crate::error::Result;
use crate::http::{Pending, RequestBuilder};
use crate::json::JsonPath;
use crate::writer::Writer;

/// The pages of a query. It begins where an earlier attempt of the run stopped, if there was one.
///
/// The next page is requested as soon as the current one has said how to ask for it, before its records are handled.
pub struct Pages<'c, O, F> {
    cx: &'c Context<'c, O>,
    request: F,
    pager: Pager,
    records: JsonPath,
    ahead: bool,
    pending: Option<Result<Pending<'c>>>,
    total: u64,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records of this attempt.
    pub records: u64,
    /// Pages, those of earlier attempts included.
    pub pages: u64,
    /// Whether the system has no more.
    pub complete: bool,
}

impl<'c, O, F: FnMut() -> RequestBuilder<'c>> Pages<'c, O, F> {
    /// Pages of a query. `request` makes the request without its paging parameters, once for each page.
    pub fn of(cx: &'c Context<'_, O>, paging: Paging, request: F) -> Result<Self> {
        let pager = Pager::new(paging, cx.host().cursor().as_deref())?;
        Ok(Self { cx, request, pager, records: JsonPath::default(), ahead: true, pending: None, total: 0 })
    }

    /// Where an answer keeps its records: `data.items` or `/data/items`. By default the whole answer: an array of
    /// records, or one record.
    #[must_use]
    pub fn records(mut self, path: &str) -> Self {
        self.records = JsonPath::parse(path);
        self
    }

    /// Asks for a page only when the one before it has been handled.
    #[must_use]
    pub const fn one_by_one(mut self) -> Self {
        self.ahead = false;
        self
    }

    /// The next page; `None` at the end.
    pub fn next_page(&mut self) -> Result<Option<Page>> {
        let begun = self.pending.take().or_else(|| self.begin());
        let Some(pending) = begun else { return Ok(None) };
        let answer = pending?.wait()?;
        let (mut page, seen) = Page::cut(answer, &self.records, self.pager.paging())?;
        self.pager.note(&seen)?;
        page.set_bookmark(self.pager.bookmark());
        self.total += seen.records;
        if self.ahead {
            // What is wrong with the next request must not cost the records of this page.
            self.pending = self.begin();
        }
        Ok(Some(page))
    }

    /// Writes all pages. The bookmark travels with the last records of each, so that a retry neither misses nor
    /// repeats a page.
    pub fn write_to(mut self, out: &mut Writer<'_>) -> Result<Summary> {
        while let Some(page) = self.next_page()? {
            page.records().try_for_each(|record| out.push_json(record))?;
            out.mark_json(page.bookmark())?;
        }
        Ok(self.summary())
    }

    /// What has been read so far.
    pub fn summary(&self) -> Summary {
        Summary { records: self.total, pages: self.pager.pages(), complete: !self.pager.is_cut() }
    }

    fn begin(&mut self) -> Option<Result<Pending<'c>>> {
        let position = self.pager.next()?.clone();
        if let Err(stopped) = self.cx.stop_if_asked() {
            return Some(Err(stopped));
        }
        let mut request = (self.request)();
        for (name, value) in self.pager.parameters() {
            request = match (self.pager.paging().place, value) {
                (Place::Body, value) => request.json_field(name, value),
                (Place::Query, Value::String(text)) => request.set_query(name, text),
                (Place::Query, number) => request.set_query(name, number.to_string()),
            };
        }
        Some(match position {
            Position::Url(url) => request.follow(&url).start(),
            Position::Start | Position::Page(_) | Position::Offset(_) | Position::Token(_) | Position::Done => {
                request.start()
            }
        })
    }
}
