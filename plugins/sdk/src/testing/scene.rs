//! A host in memory: what an activity asks, and what it leaves behind.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::script::Script;
use crate::error::{Error, Kind, Result};
use crate::host::{BlobSink, BlobSource, Host, Level, Lines, RowSink, RowSource, Transport};

/// Files by their handles.
pub(super) type Files = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

/// What an operation has that says nothing else.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Everything around one invocation.
#[derive(Default)]
pub(super) struct Scene {
    pub(super) script: Script,
    pub(super) activity: String,
    pub(super) url: String,
    pub(super) options: Value,
    pub(super) params: Value,
    pub(super) cursor: Option<String>,
    pub(super) dry_run: bool,
    /// The host asks to stop when it has been asked so often whether it does.
    pub(super) cancel_after: Option<u64>,
    pub(super) asked: Cell<u64>,
    pub(super) time_limit: Option<Duration>,
    pub(super) pauses: RefCell<Vec<Duration>>,
    pub(super) logs: RefCell<Vec<(Level, String, Value)>>,
    pub(super) counters: RefCell<BTreeMap<String, u64>>,
    pub(super) state: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(super) files: Files,
}

impl Scene {
    /// Time passes in pauses only.
    fn passed(&self) -> Duration {
        self.pauses.borrow().iter().sum()
    }
}

impl Host for Scene {
    fn run_id(&self) -> String {
        "run_1".to_owned()
    }

    fn key(&self) -> String {
        "key".to_owned()
    }

    fn attempt(&self) -> u32 {
        if self.cursor.is_some() { 2 } else { 1 }
    }

    fn activity(&self) -> String {
        self.activity.clone()
    }

    fn connection(&self) -> String {
        json!({ "url": self.url, "options": self.options }).to_string()
    }

    fn params(&self) -> String {
        self.params.to_string()
    }

    fn cursor(&self) -> Option<String> {
        self.cursor.clone()
    }

    fn remaining(&self) -> Duration {
        self.time_limit.unwrap_or(TIME_LIMIT).saturating_sub(self.passed())
    }

    fn is_cancelled(&self) -> bool {
        let asked = self.asked.replace(self.asked.get() + 1);
        self.cancel_after.is_some_and(|limit| asked >= limit)
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn now(&self) -> u64 {
        1_000_000_000 + self.passed().as_secs()
    }

    fn pause(&self, time: Duration) -> bool {
        if self.is_cancelled() {
            return false;
        }
        self.pauses.borrow_mut().push(time);
        true
    }

    fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        let fields = fields.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        self.logs.borrow_mut().push((level, message.to_owned(), fields));
    }

    fn is_logged(&self, _: Level) -> bool {
        true
    }

    fn count(&self, name: &str, delta: u64) {
        *self.counters.borrow_mut().entry(name.to_owned()).or_default() += delta;
    }

    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state.borrow().get(key).cloned())
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<()> {
        self.state.borrow_mut().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn state_delete(&self, key: &str) -> Result<()> {
        self.state.borrow_mut().remove(key);
        Ok(())
    }

    fn state_keys(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.state.borrow().keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn blob_open(&self, handle: &str) -> Result<Box<dyn BlobSource>> {
        let files = self.files.borrow();
        let content = files.get(handle).ok_or_else(|| {
            Error::new(Kind::NotFound, "sandbox.blob_unknown", format!("this run has no blob {handle}"))
        })?;
        Ok(Box::new(Content(content.clone())))
    }

    fn blob_create(&self) -> Box<dyn BlobSink> {
        Box::new(Growing { files: Rc::clone(&self.files), content: Vec::new() })
    }

    fn transport(&self) -> &dyn Transport {
        &self.script
    }
}

struct Content(Vec<u8>);

impl BlobSource for Content {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>> {
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(self.0.iter().skip(skipped).take(len as usize).copied().collect())
    }
}

struct Growing {
    files: Files,
    content: Vec<u8>,
}

impl BlobSink for Growing {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.content.extend_from_slice(data);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let mut files = self.files.borrow_mut();
        let handle = format!("blob-{}", files.len() + 1);
        files.insert(handle.clone(), self.content);
        Ok(handle)
    }
}

/// The records that came out, each batch with its cursor.
#[derive(Default)]
pub(super) struct Collected(pub(super) RefCell<Vec<(Lines, Option<String>)>>);

impl RowSink for &Collected {
    fn write(&mut self, rows: Lines, cursor: Option<&str>) -> Result<()> {
        self.0.borrow_mut().push((rows, cursor.map(str::to_owned)));
        Ok(())
    }

    fn checkpoint(&mut self, cursor: &str) -> Result<()> {
        self.0.borrow_mut().push((Lines::default(), Some(cursor.to_owned())));
        Ok(())
    }
}

/// The records that go in, and what became of them.
#[derive(Default)]
pub(super) struct Fed {
    pub(super) rows: RefCell<Vec<Value>>,
    pub(super) first_row: u64,
    pub(super) acked: Cell<u64>,
    pub(super) rejected: RefCell<Vec<(u64, Error)>>,
}

impl RowSource for &Fed {
    fn next(&mut self, max_rows: u32, _: u32) -> Result<Option<Lines>> {
        let mut rows = self.rows.borrow_mut();
        let count = rows.len().min(max_rows as usize);
        let text: String = rows.drain(..count).map(|row| format!("{row}\n")).collect();
        let lines = Lines { count: u32::try_from(count).unwrap_or(u32::MAX), data: text.into_bytes() };
        Ok((count > 0).then_some(lines))
    }

    fn first_row(&self) -> u64 {
        self.first_row
    }

    fn ack(&mut self, up_to: u64) -> Result<()> {
        self.acked.set(up_to);
        Ok(())
    }

    fn reject(&mut self, row: u64, reason: &Error) -> Result<()> {
        self.rejected.borrow_mut().push((row, reason.clone()));
        Ok(())
    }
}
