//! How an answer continues: which request follows which, and when there is none.

mod page;
mod pager;
mod pages;
mod watch;

pub use page::Page;
pub use pages::{Pages, Summary};
pub use watch::PageWatch;

use crate::json::JsonPath;

/// How a system hands out pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paging {
    pub(crate) style: Style,
    pub(crate) place: Place,
    pub(crate) last: Option<JsonPath>,
    pub(crate) total: Option<JsonPath>,
    pub(crate) max_pages: Option<u64>,
}

/// What tells one page from the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Single,
    Page {
        parameter: String,
        start: u64,
        size: Option<(Option<String>, u64)>,
    },
    Offset {
        parameter: String,
        size_parameter: String,
        size: u64,
    },
    Token {
        parameter: String,
        from: Source,
    },
    Cursor {
        parameter: String,
        field: JsonPath,
    },
    Link {
        from: Option<JsonPath>,
    },
}

/// Where a token stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Body(JsonPath),
    Header(String),
}

/// Where paging parameters go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Place {
    #[default]
    Query,
    Body,
}

impl Paging {
    fn of(style: Style) -> Self {
        Self { style, ..Self::default() }
    }

    /// There is one page.
    pub fn single() -> Self {
        Self::default()
    }

    /// Pages are numbered, from 1 unless [`Paging::starting_at`] says otherwise. An empty page is the last one. The same
    /// page twice in a row is an error (`http.page_repeated`), here and with [`Paging::offset`]: the system ignores the
    /// parameter.
    pub fn page(parameter: &str) -> Self {
        Self::of(Style::Page { parameter: parameter.to_owned(), start: 1, size: None })
    }

    /// Records are skipped. A page with fewer than `size` records is the last one, so `size` must not exceed what the
    /// system gives at most.
    pub fn offset(parameter: &str, size_parameter: &str, size: u64) -> Self {
        let (parameter, size_parameter) = (parameter.to_owned(), size_parameter.to_owned());
        Self::of(Style::Offset { parameter, size_parameter, size })
    }

    /// The answer's body holds a token for the next page at `from`; without one, the page is the last.
    pub fn token(parameter: &str, from: &str) -> Self {
        Self::of(Style::Token { parameter: parameter.to_owned(), from: Source::Body(JsonPath::parse(from)) })
    }

    /// The same in a header of the answer.
    pub fn token_header(parameter: &str, header: &str) -> Self {
        Self::of(Style::Token { parameter: parameter.to_owned(), from: Source::Header(header.to_ascii_lowercase()) })
    }

    /// The next page begins behind the `field` of the last record, such as its id or the time of its change. An empty
    /// page is the last one.
    pub fn cursor(parameter: &str, field: &str) -> Self {
        Self::of(Style::Cursor { parameter: parameter.to_owned(), field: JsonPath::parse(field) })
    }

    /// The header `Link` names the next page with `rel=next`.
    pub fn link_header() -> Self {
        Self::of(Style::Link { from: None })
    }

    /// The answer's body holds the address of the next page at `from`.
    pub fn link(from: &str) -> Self {
        Self::of(Style::Link { from: Some(JsonPath::parse(from)) })
    }

    /// The number of the first page.
    #[must_use]
    pub fn starting_at(mut self, first: u64) -> Self {
        if let Style::Page { start, .. } = &mut self.style {
            *start = first;
        }
        self
    }

    /// Asks for pages of a size; with numbered pages, one with fewer records is then the last.
    #[must_use]
    pub fn size(mut self, parameter: &str, records: u64) -> Self {
        if let Style::Page { size, .. } = &mut self.style {
            *size = Some((Some(parameter.to_owned()), records));
        }
        self
    }

    /// Says how many records a full page has where no parameter asks for it.
    #[must_use]
    pub fn full_at(mut self, records: u64) -> Self {
        if let Style::Page { size, .. } = &mut self.style {
            *size = Some((None, records));
        }
        self
    }

    /// Puts the parameters into the JSON body instead of the query.
    #[must_use]
    pub fn in_body(mut self) -> Self {
        self.place = Place::Body;
        self
    }

    /// The answer says at this path whether it is the last page: `true`, as in `isLast`.
    #[must_use]
    pub fn last_at(mut self, path: &str) -> Self {
        self.last = Some(JsonPath::parse(path));
        self
    }

    /// The answer says at this path how many records there are in all.
    #[must_use]
    pub fn total_at(mut self, path: &str) -> Self {
        self.total = Some(JsonPath::parse(path));
        self
    }

    /// Stops after so many pages, those of earlier attempts included.
    #[must_use]
    pub const fn max_pages(mut self, pages: Option<u64>) -> Self {
        self.max_pages = pages;
        self
    }
}
