//! One page: its records as they were written, and what it says about the next one.

use std::ops::Range;

use serde_json::value::RawValue;

use super::pager::Seen;
use super::{Paging, Source, Style, watch};
use crate::error::{Error, Result};
use crate::http::Answer;
use crate::json::{self, Json, JsonPath, Rows};

/// A page that was read.
pub struct Page {
    text: String,
    records: Vec<Range<usize>>,
    bookmark: String,
}

impl Page {
    /// How many records it has.
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Its records.
    pub fn records(&self) -> impl Iterator<Item = Json<'_>> {
        self.records.iter().filter_map(|range| self.text.get(range.clone())).map(Json::slice)
    }

    /// The cursor behind it, for [`Writer::mark_json`](crate::Writer::mark_json).
    pub fn bookmark(&self) -> String {
        self.bookmark.clone()
    }

    pub(super) fn set_bookmark(&mut self, bookmark: String) {
        self.bookmark = bookmark;
    }

    /// Cuts an answer into records; says what it tells about the next page.
    pub(super) fn cut(answer: Answer, records: &JsonPath, paging: &Paging) -> Result<(Self, Seen)> {
        let (ranges, seen) = slice(&answer, records, paging)?;
        let body = answer.into_body();
        // It was text a moment ago; a byte order mark is cut off so that the ranges fit.
        let body = body.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(body);
        let text = String::from_utf8(body).unwrap_or_default();
        Ok((Self { text, records: ranges, bookmark: String::new() }, seen))
    }
}

fn slice(answer: &Answer, records: &JsonPath, paging: &Paging) -> Result<(Vec<Range<usize>>, Seen)> {
    let mut seen = Seen { token: header_token(answer, paging), ..Seen::default() };
    if matches!(paging.style, Style::Link { from: None }) {
        seen.link = answer.next_link();
    }
    let Some(text) = answer.json_text()? else { return Ok((vec![], seen)) };
    let nowhere = JsonPath::default();
    let next = next_path(paging);
    let paths = [Some(records), next, paging.last.as_ref(), paging.total.as_ref()];
    let wanted: Vec<&JsonPath> = paths.iter().map(|path| path.unwrap_or(&nowhere)).collect();
    let asked = paths.iter().rposition(Option::is_some).map_or(1, |at| at + 1);
    let wanted = wanted.get(..asked).unwrap_or(&wanted);
    let (rows, found) = json::find_rows(text, wanted).map_err(|error| answer.not_json(&error))?;
    let at = |index: usize| {
        let is_asked = paths.get(index).is_some_and(Option::is_some);
        found.get(index).copied().flatten().filter(|_| is_asked)
    };
    let records = as_records(rows, at(0), text, records)?;
    seen.records = records.len() as u64;
    if matches!(paging.style, Style::Page { .. } | Style::Offset { .. }) {
        seen.content = watch::content(records.iter().map(|record| record.get()));
    }
    note_next(&mut seen, paging, at(1), records.last().copied());
    seen.is_last = at(2).is_some_and(|raw| raw.get() == "true");
    seen.total = at(3).and_then(|raw| raw.get().parse().ok());
    let start = text.as_ptr() as usize;
    let range = |record: &&RawValue| {
        let from = (record.get().as_ptr() as usize).saturating_sub(start);
        from..from + record.get().len()
    };
    Ok((records.iter().map(range).collect(), seen))
}

/// The records at the path: an array of them, or an object as the only one. `null` means none.
fn as_records<'a>(
    rows: Rows<'a>,
    value: Option<&'a RawValue>,
    text: &'a str,
    path: &JsonPath,
) -> Result<Vec<&'a RawValue>> {
    let not_records = || {
        let message = "the answer holds neither an array nor an object where its records should be; \
                       check where its records are";
        Error::data("http.records_missing", message)
    };
    match rows {
        Rows::Many(rows) => Ok(rows),
        Rows::Null => Ok(vec![]),
        Rows::Other => Err(not_records()),
        Rows::Missing => {
            let message = format!("the answer has no {path}; check where its records are");
            Err(Error::data("http.records_missing", message))
        }
        Rows::Whole => {
            let again = || json::find(text, &[path]).ok().and_then(|found| found.into_iter().next().flatten());
            let value = value.or_else(again).ok_or_else(not_records)?;
            match value.get().as_bytes().first() {
                Some(b'[') => serde_json::from_str(value.get()).map_err(|_| not_records()),
                Some(b'{') => Ok(vec![value]),
                Some(b'n') => Ok(vec![]),
                Some(_) | None => Err(not_records()),
            }
        }
    }
}

fn next_path(paging: &Paging) -> Option<&JsonPath> {
    match &paging.style {
        Style::Token { from: Source::Body(path), .. } | Style::Link { from: Some(path) } => Some(path),
        Style::Token { from: Source::Header(_), .. }
        | Style::Link { from: None }
        | Style::Single
        | Style::Page { .. }
        | Style::Offset { .. }
        | Style::Cursor { .. } => None,
    }
}

fn header_token(answer: &Answer, paging: &Paging) -> Option<serde_json::Value> {
    let Style::Token { from: Source::Header(name), .. } = &paging.style else { return None };
    answer.header(name).filter(|token| !token.is_empty()).map(|token| token.into_owned().into())
}

fn note_next(seen: &mut Seen, paging: &Paging, next: Option<&RawValue>, last: Option<&RawValue>) {
    match &paging.style {
        Style::Token { from: Source::Body(_), .. } => seen.token = next.and_then(json::token),
        Style::Link { from: Some(_) } => {
            seen.link = next.and_then(json::token).and_then(|link| link.as_str().map(str::to_owned));
        }
        Style::Cursor { field, .. } => {
            let found = last.and_then(|record| json::find(record.get(), &[field]).ok());
            seen.token = found.and_then(|found| found.into_iter().next().flatten()).and_then(json::token);
        }
        Style::Token { from: Source::Header(_), .. }
        | Style::Link { from: None }
        | Style::Single
        | Style::Page { .. }
        | Style::Offset { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &str, records: &str, paging: &Paging) -> Result<(Vec<String>, Seen)> {
        let answer = Answer::new(200, vec![], body.into());
        let (page, seen) = Page::cut(answer, &JsonPath::parse(records), paging)?;
        Ok((page.records().map(|record| record.get().to_owned()).collect(), seen))
    }

    #[test]
    fn records_are_cut_out_as_they_were_written() {
        let (records, seen) = cut("\u{feff}{\"items\": [ {\"a\": 1.50} , 2]}", "items", &Paging::single()).unwrap();
        assert_eq!((records, seen.records), (vec!["{\"a\": 1.50}".to_owned(), "2".to_owned()], 2));
        assert_eq!(cut("{\"a\": 1}", "", &Paging::single()).unwrap().0, ["{\"a\": 1}"]);
        assert!(cut("{\"items\": null}", "items", &Paging::single()).unwrap().0.is_empty());
        for bad in ["{\"data\": []}", "{\"items\": 5}"] {
            assert_eq!(cut(bad, "items", &Paging::single()).unwrap_err().code, "http.records_missing");
        }
    }

    #[test]
    fn a_page_says_how_it_continues() {
        let body = r#"{"items": [{"id": 1}, {"id": 17}], "next": "t", "isLast": true, "total": 9}"#;
        let paging = Paging::token("c", "next").last_at("isLast").total_at("total");
        let (_, seen) = cut(body, "items", &paging).unwrap();
        assert_eq!((seen.token, seen.is_last, seen.total), (Some("t".into()), true, Some(9)));
        assert_eq!(cut(body, "items", &Paging::cursor("after", "id")).unwrap().1.token, Some(17.into()));
        assert_eq!(cut(body, "items", &Paging::link("next")).unwrap().1.link.as_deref(), Some("t"));
        let only_total = cut(body, "items", &Paging::page("p").total_at("total")).unwrap().1;
        assert_eq!((only_total.token, only_total.is_last, only_total.total), (None, false, Some(9)));
    }

    #[test]
    fn a_token_may_stand_in_a_header() {
        let answer = Answer::new(200, vec![("x-next".into(), "h".into())], b"[]".to_vec());
        let (_, seen) = Page::cut(answer, &JsonPath::default(), &Paging::token_header("c", "X-Next")).unwrap();
        assert_eq!(seen.token, Some("h".into()));
    }
}
