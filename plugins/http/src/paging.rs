//! How an answer continues: which request follows which, and when there is none.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Failure, Kind};

/// Pages of one run. Whoever needs more has most likely found a system that never says stop.
const PAGES: u64 = 100_000;

/// The `paging` parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// There is one page.
    #[default]
    None,
    /// Pages are numbered.
    Page(PageNumber),
    /// Records are skipped.
    Offset(Offset),
    /// The answer holds a token for the next page.
    Cursor(Cursor),
    /// The answer holds a link to the next page.
    Link(Link),
}

/// Where a paging parameter goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Into the query of the URL.
    #[default]
    Query,
    /// Into the JSON object that is the body.
    Body,
}

/// Numbered pages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageNumber {
    /// The parameter for the number.
    pub parameter: String,
    /// The number of the first page.
    #[serde(default = "one")]
    pub start: u64,
    /// The parameter for the size.
    pub size_parameter: Option<String>,
    /// Records of a full page; a shorter page is then the last one.
    pub size: Option<u64>,
    /// Where the parameters go.
    #[serde(default, rename = "in")]
    pub place: Place,
}

/// Skipped records.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    /// The parameter for the number of records to skip.
    pub parameter: String,
    /// The parameter for the size.
    pub limit_parameter: String,
    /// Records of a full page; a shorter page is the last one.
    pub limit: u64,
    /// Where the parameters go.
    #[serde(default, rename = "in")]
    pub place: Place,
}

/// A token for the next page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The parameter for the token.
    pub parameter: String,
    /// Where the answer holds the token of the next page.
    pub from: String,
    /// Where the parameter goes.
    #[serde(default, rename = "in")]
    pub place: Place,
}

/// A link to the next page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where the answer holds the link; the `Link` header, if missing.
    pub from: Option<String>,
}

const fn one() -> u64 {
    1
}

/// What the next request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
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
pub struct Seen {
    /// Its records.
    pub records: u64,
    /// The token it holds.
    pub token: Option<Value>,
    /// The link it holds, resolved.
    pub link: Option<String>,
}

/// What the host stores after a page, so that a retry goes on behind it.
#[derive(Serialize, Deserialize)]
struct Bookmark {
    pages: u64,
    next: Position,
}

/// Walks through the pages.
#[derive(Debug)]
pub struct Pager {
    paging: Paging,
    max_pages: Option<u64>,
    pages: u64,
    next: Position,
    seen: HashSet<u64>,
}

/// Parameters for one page, and where they go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PageParameters {
    /// Where.
    pub place: Place,
    /// Name and value; values are text or numbers.
    pub values: Vec<(String, Value)>,
}

impl Pager {
    /// Begins at the start, or where the bookmark of an earlier attempt says.
    pub fn new(paging: Paging, max_pages: Option<u64>, bookmark: Option<&str>) -> Result<Self, Failure> {
        let Bookmark { pages, next } = match bookmark {
            None => Bookmark { pages: 0, next: Position::Start },
            Some(json) => serde_json::from_str(json).map_err(|error| {
                let message = format!("the stored cursor is not one of this connector: {error}");
                Failure::new(Kind::Config, "http.cursor_invalid", message)
            })?,
        };
        Ok(Self { paging, max_pages, pages, next, seen: HashSet::new() })
    }

    /// What to ask for next; `None` at the end.
    pub fn next(&self) -> Option<&Position> {
        let stopped = self.max_pages.is_some_and(|max| self.pages >= max);
        (self.next != Position::Done && !stopped).then_some(&self.next)
    }

    /// Pages read so far, those of earlier attempts included.
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether `max_pages` ended the walk before the system did.
    pub fn is_cut(&self) -> bool {
        self.next != Position::Done
    }

    /// The bookmark behind the page that was noted last.
    pub fn bookmark(&self) -> String {
        let bookmark = Bookmark { pages: self.pages, next: self.next.clone() };
        serde_json::to_string(&bookmark).unwrap_or_default()
    }

    /// The parameters of the next request.
    pub fn parameters(&self) -> PageParameters {
        let at = |start: u64, position: &Position| match position {
            Position::Page(at) | Position::Offset(at) => *at,
            Position::Start | Position::Token(_) | Position::Url(_) | Position::Done => start,
        };
        match &self.paging {
            Paging::None | Paging::Link(_) => PageParameters::default(),
            Paging::Page(page) => {
                let mut values = vec![(page.parameter.clone(), at(page.start, &self.next).into())];
                let size = page.size_parameter.clone().zip(page.size);
                values.extend(size.map(|(name, size)| (name, size.into())));
                PageParameters { place: page.place, values }
            }
            Paging::Offset(offset) => {
                let skip = (offset.parameter.clone(), at(0, &self.next).into());
                let limit = (offset.limit_parameter.clone(), offset.limit.into());
                PageParameters { place: offset.place, values: vec![skip, limit] }
            }
            Paging::Cursor(cursor) => {
                let token = match &self.next {
                    Position::Token(token) => Some((cursor.parameter.clone(), token.clone())),
                    Position::Start | Position::Page(_) | Position::Offset(_) | Position::Url(_) | Position::Done => {
                        None
                    }
                };
                PageParameters { place: cursor.place, values: token.into_iter().collect() }
            }
        }
    }

    /// Notes a page that has been read, and finds out what follows.
    pub fn note(&mut self, seen: &Seen) -> Result<(), Failure> {
        self.pages += 1;
        if self.pages >= PAGES {
            let message = format!("the system answered with {PAGES} pages and more; narrow the query");
            return Err(Failure::new(Kind::Data, "http.too_many_pages", message));
        }
        self.next = self.following(seen);
        self.refuse_repetition()
    }

    fn following(&self, seen: &Seen) -> Position {
        let is_last = |full: Option<u64>| seen.records == 0 || full.is_some_and(|full| seen.records < full);
        match &self.paging {
            Paging::None => Position::Done,
            Paging::Page(page) if is_last(page.size) => Position::Done,
            Paging::Page(page) => match self.next {
                Position::Page(at) => Position::Page(at + 1),
                Position::Start | Position::Offset(_) | Position::Token(_) | Position::Url(_) | Position::Done => {
                    Position::Page(page.start + 1)
                }
            },
            Paging::Offset(offset) if is_last(Some(offset.limit)) => Position::Done,
            // What came counts, and not what was asked for: a system may give more than the limit.
            Paging::Offset(_) => match self.next {
                Position::Offset(at) => Position::Offset(at + seen.records),
                Position::Start | Position::Page(_) | Position::Token(_) | Position::Url(_) | Position::Done => {
                    Position::Offset(seen.records)
                }
            },
            // An empty page may be followed by full ones where a system filters after it has cut pages.
            Paging::Cursor(_) => seen.token.clone().map_or(Position::Done, Position::Token),
            Paging::Link(_) => seen.link.clone().map_or(Position::Done, Position::Url),
        }
    }

    /// A system that names a page again would keep the run busy for ever.
    fn refuse_repetition(&mut self) -> Result<(), Failure> {
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
        Err(Failure::new(Kind::Data, "http.page_repeated", message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pager(paging: Value) -> Pager {
        Pager::new(serde_json::from_value(paging).unwrap(), None, None).unwrap()
    }

    /// The values of each request, while pages of the given sizes come.
    fn walk(pager: &mut Pager, sizes: &[u64]) -> Vec<Vec<(String, Value)>> {
        let mut requests = Vec::new();
        for records in sizes {
            if pager.next().is_none() {
                break;
            }
            requests.push(pager.parameters().values);
            pager.note(&Seen { records: *records, ..Seen::default() }).unwrap();
        }
        requests
    }

    fn values(pairs: &[(&str, u64)]) -> Vec<(String, Value)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }

    #[test]
    fn numbered_pages_end_with_an_empty_one() {
        let mut pager = pager(json!({"page": {"parameter": "p", "start": 0}}));
        let requests = walk(&mut pager, &[3, 1, 0, 9]);
        assert_eq!(requests, [values(&[("p", 0)]), values(&[("p", 1)]), values(&[("p", 2)])]);
        assert!(!pager.is_cut());
    }

    #[test]
    fn numbered_pages_of_known_size_end_with_a_short_one() {
        let mut pager = pager(json!({"page": {"parameter": "p", "size_parameter": "n", "size": 3}}));
        let requests = walk(&mut pager, &[3, 2, 9]);
        assert_eq!(requests, [values(&[("p", 1), ("n", 3)]), values(&[("p", 2), ("n", 3)])]);
    }

    #[test]
    fn offsets_advance_by_what_came() {
        let mut pager = pager(json!({"offset": {"parameter": "o", "limit_parameter": "l", "limit": 2}}));
        let requests = walk(&mut pager, &[2, 3, 1, 9]);
        let expected = [values(&[("o", 0), ("l", 2)]), values(&[("o", 2), ("l", 2)]), values(&[("o", 5), ("l", 2)])];
        assert_eq!(requests, expected);
    }

    #[test]
    fn tokens_are_followed_past_empty_pages_until_there_is_none() {
        let mut pager = pager(json!({"cursor": {"parameter": "c", "from": "next", "in": "body"}}));
        assert_eq!(pager.parameters(), PageParameters { place: Place::Body, values: vec![] });
        pager.note(&Seen { records: 0, token: Some("t1".into()), link: None }).unwrap();
        assert_eq!(pager.parameters().values, [("c".to_owned(), json!("t1"))]);
        pager.note(&Seen { records: 5, token: None, link: None }).unwrap();
        assert_eq!(pager.next(), None);
    }

    #[test]
    fn a_token_or_link_that_comes_again_is_an_error() {
        let mut tokens = pager(json!({"cursor": {"parameter": "c", "from": "next"}}));
        let seen = |token: &str| Seen { records: 1, token: Some(token.into()), link: Some(token.to_owned()) };
        tokens.note(&seen("a")).unwrap();
        tokens.note(&seen("b")).unwrap();
        assert_eq!(tokens.note(&seen("a")).unwrap_err().code, "http.page_repeated");
        let mut links = pager(json!({"link": {}}));
        links.note(&seen("https://h/2")).unwrap();
        assert_eq!(links.note(&seen("https://h/2")).unwrap_err().code, "http.page_repeated");
    }

    #[test]
    fn a_retry_goes_on_behind_the_last_bookmark() {
        let paging = json!({"page": {"parameter": "p"}});
        let mut first = pager(paging.clone());
        walk(&mut first, &[3, 3]);
        let paging: Paging = serde_json::from_value(paging).unwrap();
        let mut second = Pager::new(paging.clone(), Some(3), Some(&first.bookmark())).unwrap();
        assert_eq!(walk(&mut second, &[3, 3]), [values(&[("p", 3)])], "max_pages counts over attempts");
        assert!(second.is_cut());
        assert_eq!(Pager::new(paging, None, Some("{}")).unwrap_err().code, "http.cursor_invalid");
    }

    #[test]
    fn a_finished_walk_stays_finished() {
        let mut pager = pager(json!("none"));
        walk(&mut pager, &[3]);
        let again = Pager::new(Paging::None, None, Some(&pager.bookmark())).unwrap();
        assert_eq!(again.next(), None);
    }
}
