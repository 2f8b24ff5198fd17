//! Walks through pages: knows what to ask for next, remembers it across attempts, and refuses to walk in circles.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::watch::{self, PAGES, PageWatch};
use super::{Paging, Style};
use crate::error::{Error, Result};

/// What the next request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Position {
    /// The first page.
    Start,
    /// The page of that number.
    Page(u64),
    /// The page after so many records.
    Offset(u64),
    /// The page of that token, a text or a number.
    Token(Value),
    /// The page at that address.
    Url(String),
    /// Nothing: the last page has been read.
    Done,
}

/// What a page says about the next one.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Its records.
    pub(super) records: u64,
    /// A digest of them.
    pub(super) content: Option<u64>,
    /// The token it holds, or that of its last record.
    pub(super) token: Option<Value>,
    /// The link it holds.
    pub(super) link: Option<String>,
    /// Whether it says that it is the last.
    pub(super) is_last: bool,
    /// How many records it says there are.
    pub(super) total: Option<u64>,
}

/// What the host stores after a page, so that a retry goes on behind it.
#[derive(Serialize, Deserialize)]
struct Bookmark {
    pages: u64,
    next: Position,
    /// Records so far, where the system counts them all.
    #[serde(default, skip_serializing_if = "is_zero")]
    records: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

pub(super) struct Pager {
    paging: Paging,
    pages: u64,
    records: u64,
    next: Position,
    seen: HashSet<u64>,
    watch: PageWatch,
}

impl Pager {
    /// Begins at the start, or where the bookmark of an earlier attempt says.
    pub(super) fn new(paging: Paging, bookmark: Option<&str>) -> Result<Self> {
        let Bookmark { pages, next, records } = match bookmark {
            None => Bookmark { pages: 0, next: Position::Start, records: 0 },
            Some(json) => serde_json::from_str(json).map_err(|error| {
                let message = format!("the stored cursor is not one of this connector: {error}");
                Error::config("connector.cursor_invalid", message)
            })?,
        };
        Ok(Self { paging, pages, records, next, seen: HashSet::new(), watch: PageWatch::default() })
    }

    pub(super) const fn paging(&self) -> &Paging {
        &self.paging
    }

    /// What to ask for next; `None` at the end.
    pub(super) fn next(&self) -> Option<&Position> {
        let stopped = self.paging.max_pages.is_some_and(|max| self.pages >= max);
        (self.next != Position::Done && !stopped).then_some(&self.next)
    }

    /// Pages read so far, those of earlier attempts included.
    pub(super) const fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether `max_pages` ended the walk before the system did.
    pub(super) fn is_cut(&self) -> bool {
        self.next != Position::Done
    }

    /// The bookmark behind the page that was noted last.
    pub(super) fn bookmark(&self) -> String {
        let records = if self.paging.total.is_some() { self.records } else { 0 };
        let bookmark = Bookmark { pages: self.pages, next: self.next.clone(), records };
        serde_json::to_string(&bookmark).unwrap_or_default()
    }

    /// Name and value of the next request's parameters; values are texts or numbers.
    pub(super) fn parameters(&self) -> Vec<(&str, Value)> {
        let at = |start: u64| match self.next {
            Position::Page(at) | Position::Offset(at) => Value::from(at),
            Position::Start | Position::Token(_) | Position::Url(_) | Position::Done => start.into(),
        };
        match &self.paging.style {
            Style::Single | Style::Link { .. } => vec![],
            Style::Page { parameter, start, size } => {
                let mut values = vec![(parameter.as_str(), at(*start))];
                if let Some((Some(name), records)) = size {
                    values.push((name, (*records).into()));
                }
                values
            }
            Style::Offset { parameter, size_parameter, size } => {
                vec![(parameter, at(0)), (size_parameter, (*size).into())]
            }
            Style::Token { parameter, .. } | Style::Cursor { parameter, .. } => match &self.next {
                Position::Token(token) => vec![(parameter, token.clone())],
                Position::Start | Position::Page(_) | Position::Offset(_) | Position::Url(_) | Position::Done => {
                    vec![]
                }
            },
        }
    }

    /// Notes a page that has been read, and finds out what follows.
    pub(super) fn note(&mut self, seen: &Seen) -> Result<()> {
        self.pages += 1;
        self.records += seen.records;
        if self.pages >= PAGES {
            return Err(watch::too_many());
        }
        self.refuse_same_content(seen)?;
        let is_over = seen.is_last || seen.total.is_some_and(|total| self.records >= total);
        self.next = if is_over { Position::Done } else { self.following(seen) };
        self.refuse_repetition()
    }

    fn following(&self, seen: &Seen) -> Position {
        // A system that says when it is over may give short pages before.
        let says = self.paging.last.is_some() || seen.total.is_some();
        let is_last = |full: Option<u64>| seen.records == 0 || (!says && full.is_some_and(|full| seen.records < full));
        match &self.paging.style {
            Style::Single => Position::Done,
            Style::Page { start, size, .. } => match self.next {
                _ if is_last(size.as_ref().map(|(_, records)| *records)) => Position::Done,
                Position::Page(at) => Position::Page(at + 1),
                Position::Start | Position::Offset(_) | Position::Token(_) | Position::Url(_) | Position::Done => {
                    Position::Page(start + 1)
                }
            },
            // What came counts, and not what was asked for: a system may give more than the limit.
            Style::Offset { size, .. } => match self.next {
                _ if is_last(Some(*size)) => Position::Done,
                Position::Offset(at) => Position::Offset(at + seen.records),
                Position::Start | Position::Page(_) | Position::Token(_) | Position::Url(_) | Position::Done => {
                    Position::Offset(seen.records)
                }
            },
            // An empty page may be followed by full ones where a system filters after it has cut pages.
            Style::Token { .. } => seen.token.clone().map_or(Position::Done, Position::Token),
            Style::Cursor { .. } if seen.records == 0 => Position::Done,
            Style::Cursor { .. } => seen.token.clone().map_or(Position::Done, Position::Token),
            Style::Link { .. } => seen.link.clone().map_or(Position::Done, Position::Url),
        }
    }

    /// What is asked for by number or offset has nothing in the answer that would tell, but the records.
    fn refuse_same_content(&mut self, seen: &Seen) -> Result<()> {
        match &self.paging.style {
            Style::Page { .. } | Style::Offset { .. } => self.watch.note_content(seen.content),
            Style::Single | Style::Token { .. } | Style::Cursor { .. } | Style::Link { .. } => Ok(()),
        }
    }

    /// A system that names a page again would keep the run busy for ever.
    fn refuse_repetition(&mut self) -> Result<()> {
        let named = match &self.next {
            Position::Token(token) => token.to_string(),
            Position::Url(url) => url.clone(),
            Position::Start | Position::Page(_) | Position::Offset(_) | Position::Done => return Ok(()),
        };
        let mut hasher = DefaultHasher::new();
        named.hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            return Ok(());
        }
        let message = "the system names a page as the next one that has been read already; check the paging parameters";
        Err(Error::data("http.page_repeated", message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pager(paging: Paging) -> Pager {
        Pager::new(paging, None).unwrap()
    }

    /// The values of each request, while pages of the given sizes come.
    fn walk(pager: &mut Pager, sizes: &[u64]) -> Vec<Vec<(String, Value)>> {
        let mut requests = Vec::new();
        for records in sizes {
            if pager.next().is_none() {
                break;
            }
            requests.push(pager.parameters().into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
            pager.note(&Seen { records: *records, ..Seen::default() }).unwrap();
        }
        requests
    }

    fn values(pairs: &[(&str, u64)]) -> Vec<(String, Value)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }

    #[test]
    fn numbered_pages_end_with_an_empty_one() {
        let mut pager = pager(Paging::page("p").starting_at(0));
        let requests = walk(&mut pager, &[3, 1, 0, 9]);
        assert_eq!(requests, [values(&[("p", 0)]), values(&[("p", 1)]), values(&[("p", 2)])]);
        assert!(!pager.is_cut());
    }

    #[test]
    fn numbered_pages_of_known_size_end_with_a_short_one() {
        let mut asking = pager(Paging::page("p").size("n", 3));
        let requests = walk(&mut asking, &[3, 2, 9]);
        assert_eq!(requests, [values(&[("p", 1), ("n", 3)]), values(&[("p", 2), ("n", 3)])]);
        assert_eq!(walk(&mut pager(Paging::page("p").full_at(3)), &[3, 2, 9]).len(), 2);
    }

    #[test]
    fn offsets_advance_by_what_came() {
        let mut pager = pager(Paging::offset("o", "l", 2));
        let requests = walk(&mut pager, &[2, 3, 1, 9]);
        let expected = [values(&[("o", 0), ("l", 2)]), values(&[("o", 2), ("l", 2)]), values(&[("o", 5), ("l", 2)])];
        assert_eq!(requests, expected);
    }

    #[test]
    fn a_system_that_says_when_it_is_over_may_give_short_pages() {
        let mut last = pager(Paging::offset("o", "l", 50).last_at("isLast"));
        for (records, is_last) in [(20, false), (50, false), (50, true)] {
            assert!(last.next().is_some());
            last.note(&Seen { records, is_last, ..Seen::default() }).unwrap();
        }
        assert!(last.next().is_none());
        let mut total = pager(Paging::offset("o", "l", 50).total_at("total"));
        let seen = |records| Seen { records, total: Some(60), ..Seen::default() };
        total.note(&seen(40)).unwrap();
        let mut retried = Pager::new(Paging::offset("o", "l", 50).total_at("total"), Some(&total.bookmark())).unwrap();
        assert_eq!(retried.parameters(), [("o", json!(40)), ("l", json!(50))]);
        retried.note(&seen(20)).unwrap();
        assert!(retried.next().is_none(), "records of the earlier attempt count");
    }

    #[test]
    fn tokens_are_followed_past_empty_pages_until_there_is_none() {
        let mut pager = pager(Paging::token("c", "next").in_body());
        assert_eq!(pager.parameters(), []);
        pager.note(&Seen { records: 0, token: Some("t1".into()), ..Seen::default() }).unwrap();
        assert_eq!(pager.parameters(), [("c", json!("t1"))]);
        pager.note(&Seen { records: 5, ..Seen::default() }).unwrap();
        assert_eq!(pager.next(), None);
    }

    #[test]
    fn a_token_or_link_that_comes_again_is_an_error() {
        let seen = |token: &str| Seen {
            records: 1,
            token: Some(token.into()),
            link: Some(token.to_owned()),
            ..Seen::default()
        };
        for paging in [Paging::token("c", "next"), Paging::cursor("c", "id"), Paging::link_header()] {
            let mut pager = pager(paging);
            pager.note(&seen("a")).unwrap();
            pager.note(&seen("b")).unwrap();
            assert_eq!(pager.note(&seen("a")).unwrap_err().code, "http.page_repeated");
        }
    }

    #[test]
    fn a_retry_goes_on_behind_the_last_bookmark() {
        let mut first = pager(Paging::page("p"));
        walk(&mut first, &[3, 3]);
        assert_eq!(first.bookmark(), r#"{"pages":2,"next":{"page":3}}"#);
        let mut second = Pager::new(Paging::page("p").max_pages(Some(3)), Some(&first.bookmark())).unwrap();
        assert_eq!(walk(&mut second, &[3, 3]), [values(&[("p", 3)])], "max_pages counts over attempts");
        assert!(second.is_cut());
        assert_eq!(Pager::new(Paging::page("p"), Some("{}")).err().unwrap().code, "connector.cursor_invalid");
    }

    #[test]
    fn a_finished_walk_stays_finished() {
        let mut pager = pager(Paging::single());
        walk(&mut pager, &[3]);
        let again = Pager::new(Paging::single(), Some(&pager.bookmark())).unwrap();
        assert_eq!(again.next(), None);
    }
}
