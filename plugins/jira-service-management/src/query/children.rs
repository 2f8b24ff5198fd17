//! What hangs on requests: for each request a list, or the request itself. Several requests are asked about at once.

use std::collections::VecDeque;

use serde_json::value::RawValue;
use wherry_sdk::http::{Answer, Method, Pending};
use wherry_sdk::json::Json;
use wherry_sdk::paging::PageWatch;
use wherry_sdk::prelude::*;
use wherry_sdk::warn;

use super::list::List;
use super::push_below;
use crate::Cx;
use crate::site::{self, Api};

/// Requests that are asked about at once.
const AT_ONCE: usize = 8;

/// What is read of each of many requests.
pub(super) struct Children {
    pub(super) parents: Parents,
    /// Below the request; empty for the request itself.
    pub(super) path: &'static str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) shape: Shape,
    pub(super) size: u64,
}

/// Which requests.
pub(super) enum Parents {
    /// These.
    Named(Vec<String>),
    /// Those of a list.
    Found(Box<List>),
}

/// What is written of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The answer is the record.
    Itself,
    /// A list of records.
    List,
    /// A list of agreements, each with cycles, which are the records.
    Cycles,
}

/// Behind which request a retry goes on: on the page that begins at `start`, behind the request `after`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    start: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// A page of the service desk.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    values: Vec<T>,
    is_last_page: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parent {
    issue_key: String,
}

/// An agreement; its cycles stay as they were written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agreement {
    id: String,
    name: String,
    #[serde(default)]
    completed_cycles: Vec<Box<RawValue>>,
    ongoing_cycle: Option<Box<RawValue>>,
}

impl Children {
    /// Reads them all.
    pub(super) fn read(&self, cx: &Cx<'_>, out: &mut Writer<'_>) -> Result<()> {
        let mut place: Place = cx.cursor()?.unwrap_or_default();
        let mut watch = PageWatch::default();
        loop {
            cx.stop_if_asked()?;
            let (keys, is_last) = self.parents(cx, place.start)?;
            let count = keys.len() as u64;
            watch.note(keys.iter().map(String::as_str))?;
            self.read_of(cx, behind(&keys, place.after.as_deref()), place.start, out)?;
            if is_last || count == 0 {
                return Ok(());
            }
            place = Place { start: place.start + count, after: None };
            out.mark(&place)?;
        }
    }

    /// Keys of the requests from `start` on, as many as come at once, and whether they are the last.
    fn parents(&self, cx: &Cx<'_>, start: u64) -> Result<(Vec<String>, bool)> {
        match &self.parents {
            Parents::Named(keys) => Ok((keys.clone(), true)),
            Parents::Found(list) => {
                let request = list.request(cx).query("start", start).query("limit", super::table::PAGE);
                let page: Page<Parent> = request.send()?.json()?;
                Ok((page.values.into_iter().map(|parent| parent.issue_key).collect(), page.is_last_page))
            }
        }
    }

    /// Asks about the next requests while the answers about the first ones are handled.
    fn read_of(&self, cx: &Cx<'_>, keys: &[String], start: u64, out: &mut Writer<'_>) -> Result<()> {
        let mut under_way: VecDeque<(&String, Pending<'_>)> = VecDeque::with_capacity(AT_ONCE);
        let mut waiting = keys.iter();
        loop {
            while under_way.len() < AT_ONCE {
                let Some(key) = waiting.next() else { break };
                under_way.push_back((key, self.ask(cx, key, 0)?));
            }
            let Some((key, pending)) = under_way.pop_front() else { return Ok(()) };
            cx.stop_if_asked()?;
            match pending.wait() {
                Ok(answer) => self.write(cx, key, &answer, out)?,
                // It was found a moment ago, so it went away in between.
                Err(error) if error.kind == Kind::NotFound && matches!(self.parents, Parents::Found(_)) => {
                    warn!(cx, "a request went away while it was read", request = key);
                    cx.count("requests_gone", 1);
                }
                Err(error) => return Err(error),
            }
            out.mark(&Place { start, after: Some(key.clone()) })?;
        }
    }

    fn ask<'c>(&self, cx: &'c Cx<'_>, key: &str, start: u64) -> Result<Pending<'c>> {
        let path: &[&str] = if self.path.is_empty() { &["request", key] } else { &["request", key, self.path] };
        let request = site::request(cx, Api::Desk, Method::Get, path);
        let request = self.query.iter().fold(request, |request, (name, value)| request.query(name, value));
        match self.shape {
            Shape::Itself => request.start(),
            Shape::List | Shape::Cycles => request.query("start", start).query("limit", self.size).start(),
        }
    }

    /// Writes what belongs to one request, which may go on over several pages.
    fn write(&self, cx: &Cx<'_>, key: &str, answer: &Answer, out: &mut Writer<'_>) -> Result<()> {
        if self.shape == Shape::Itself {
            let record = answer.raw_json()?;
            return record.map_or(Ok(()), |record| out.push_json(record));
        }
        let mut watch = PageWatch::default();
        let (mut start, mut is_last) = self.write_page(key, answer, &mut watch, 0, out)?;
        while !is_last {
            cx.stop_if_asked()?;
            let answer = self.ask(cx, key, start)?.wait()?;
            (start, is_last) = self.write_page(key, &answer, &mut watch, start, out)?;
        }
        Ok(())
    }

    /// Gives where the next page begins, and whether there is none.
    fn write_page(
        &self,
        key: &str,
        answer: &Answer,
        watch: &mut PageWatch,
        start: u64,
        out: &mut Writer<'_>,
    ) -> Result<(u64, bool)> {
        let page: Page<Box<RawValue>> = answer.json()?;
        let count = page.values.len() as u64;
        watch.note(page.values.iter().map(|record| record.get()))?;
        for record in &page.values {
            match self.shape {
                Shape::Cycles => write_cycles(key, record, out)?,
                Shape::Itself | Shape::List => push_below(out, &[("issueKey", key.to_owned())], Json::of(record))?,
            }
        }
        Ok((start + count, page.is_last_page || count == 0))
    }
}

/// The keys behind the one that was done last. If it is no longer among them, they are read again.
fn behind<'k>(keys: &'k [String], after: Option<&str>) -> &'k [String] {
    let done = after.and_then(|after| keys.iter().position(|key| key == after)).map_or(0, |at| at + 1);
    keys.get(done..).unwrap_or_default()
}

fn write_cycles(key: &str, record: &RawValue, out: &mut Writer<'_>) -> Result<()> {
    let Agreement { id, name, completed_cycles, ongoing_cycle } = Json::of(record).parse()?;
    let completed = completed_cycles.iter().map(|cycle| (cycle, "completed"));
    for (cycle, state) in completed.chain(ongoing_cycle.iter().map(|cycle| (cycle, "ongoing"))) {
        let parents = [("issueKey", key), ("slaId", &id), ("slaName", &name), ("cycle", state)];
        push_below(out, &parents.map(|(name, value)| (name, value.to_owned())), Json::of(cycle))?;
    }
    Ok(())
}
