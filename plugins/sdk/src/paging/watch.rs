//! Notices a system that ignores where a page is to begin, or that never says stop.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::{Error, Result};

/// Pages of one walk. Whoever needs more has most likely found a system that never says stop.
pub(super) const PAGES: u64 = 100_000;

/// Watches over a walk through pages that a connector makes by itself; [`Pages`](super::Pages) has its own.
///
/// Two pages in a row with the same records are one page given twice: the system does not know the parameter that says
/// where a page begins, and would give it for ever.
#[derive(Debug, Clone, Default)]
pub struct PageWatch {
    pages: u64,
    last: Option<u64>,
}

impl PageWatch {
    /// Notes the records of a page as they were written, before anything is made of them.
    ///
    /// # Errors
    /// `http.page_repeated` if they are those of the page before and not none; `http.too_many_pages`.
    pub fn note<'r>(&mut self, records: impl IntoIterator<Item = &'r str>) -> Result<()> {
        self.pages += 1;
        if self.pages >= PAGES {
            return Err(too_many());
        }
        self.note_content(content(records))
    }

    pub(super) fn note_content(&mut self, content: Option<u64>) -> Result<()> {
        let repeated = content.is_some() && content == self.last;
        self.last = content;
        if !repeated {
            return Ok(());
        }
        let message = "the system gives the same page again instead of the next one; it ignores where the page is to \
                       begin, check the paging parameters";
        Err(Error::data("http.page_repeated", message))
    }
}

/// A digest of records; `None` of none, because empty pages are alike.
pub(super) fn content<'r>(records: impl IntoIterator<Item = &'r str>) -> Option<u64> {
    let (mut hasher, mut any) = (DefaultHasher::new(), false);
    for record in records {
        record.hash(&mut hasher);
        any = true;
    }
    any.then(|| hasher.finish())
}

pub(super) fn too_many() -> Error {
    let message = format!("the system answered with {PAGES} pages and more; narrow the query");
    Error::data("http.too_many_pages", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_records_twice_in_a_row_are_one_page_given_twice() {
        let mut watch = PageWatch::default();
        for page in [vec!["1", "2"], vec!["2", "1"], vec!["1", "2"], vec!["12"], vec![], vec![], vec!["12"]] {
            watch.note(page).unwrap();
        }
        assert_eq!(watch.note(["12"]).unwrap_err().code, "http.page_repeated");
    }

    #[test]
    fn a_walk_without_an_end_is_ended() {
        let mut watch = PageWatch::default();
        let pages = (1..).take_while(|page: &u64| watch.note([&*page.to_string()]).is_ok()).count();
        assert_eq!(pages as u64, PAGES - 1);
    }
}
