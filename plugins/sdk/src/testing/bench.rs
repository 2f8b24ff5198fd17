//! The bench itself: sets the scene, runs one invocation, and tells what happened.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{Collected, Fed, Scene};
use super::script::{Line, Reply, Sent};
use crate::connector::{Connector, Discover};
use crate::error::{Error, Result};
use crate::host::{Level, Lines};
use crate::run::{self, Outcome};

/// An invocation to come.
pub struct Bench<C> {
    scene: Scene,
    fed: Fed,
    connector: PhantomData<C>,
}

/// An invocation that has ended, and everything it did.
pub struct Ran {
    result: Result<Outcome>,
    scene: Scene,
    fed: Fed,
    written: Vec<(Lines, Option<String>)>,
}

impl<C: Connector> Default for Bench<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Connector> Bench<C> {
    /// A connection to `https://system.example` without options, and a system that answers nothing.
    pub fn new() -> Self {
        let (url, options) = ("https://system.example".to_owned(), json!({}));
        Self { scene: Scene { url, options, ..Scene::default() }, fed: Fed::default(), connector: PhantomData }
    }

    fn change(mut self, change: impl FnOnce(&mut Scene)) -> Self {
        change(&mut self.scene);
        self
    }

    /// The connection's URL.
    #[must_use]
    pub fn url(self, url: &str) -> Self {
        self.change(|scene| scene.url = url.to_owned())
    }

    /// The connection's options.
    #[must_use]
    pub fn options(self, options: Value) -> Self {
        self.change(|scene| scene.options = options)
    }

    /// Answers one request to this path and query.
    #[must_use]
    pub fn on(self, method: &str, path: &str, reply: Reply) -> Self {
        let line = Line { method: method.to_owned(), path: path.to_owned(), reply };
        self.change(|scene| scene.script.lines.get_mut().push(line))
    }

    /// Answers whatever no line of the script fits.
    #[must_use]
    pub fn otherwise(self, handler: impl Fn(&Sent) -> Option<Reply> + 'static) -> Self {
        self.change(|scene| scene.script.handler = Some(Box::new(handler)))
    }

    /// Plays recorded answers: a JSON array of objects with `method`, `path`, `status`, `headers` and `body`, where a
    /// body that is not text stands for its JSON.
    #[must_use]
    pub fn recorded(self, recording: &str) -> Self {
        let lines: Result<Vec<Value>, _> = serde_json::from_str(recording);
        assert!(lines.is_ok(), "the recording is not a JSON array: {lines:?}");
        lines.unwrap_or_default().iter().fold(self, |bench, line| {
            let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
            let body = match line.get("body") {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(json) => json.to_string(),
            };
            let status = line.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
            let reply = Reply::bytes(body).with_status(status.unwrap_or(200));
            let headers = line.get("headers").and_then(Value::as_object).into_iter().flatten();
            let reply =
                headers.fold(reply, |reply, (name, value)| reply.header(name, value.as_str().unwrap_or_default()));
            bench.on(text("method"), text("path"), reply)
        })
    }

    /// A record of the connection's durable memory, as [`State::put`](crate::state::State::put) keeps it.
    #[must_use]
    pub fn state(self, key: &str, value: Value) -> Self {
        self.change(|scene| drop(scene.state.get_mut().insert(key.to_owned(), value.to_string().into_bytes())))
    }

    /// A file of the run.
    #[must_use]
    pub fn file(self, handle: &str, content: &[u8]) -> Self {
        self.change(|scene| drop(scene.files.borrow_mut().insert(handle.to_owned(), content.to_vec())))
    }

    /// The cursor that an earlier attempt left.
    #[must_use]
    pub fn cursor(self, cursor: &str) -> Self {
        self.change(|scene| scene.cursor = Some(cursor.to_owned()))
    }

    /// Check everything, change nothing outside.
    #[must_use]
    pub fn dry_run(self) -> Self {
        self.change(|scene| scene.dry_run = true)
    }

    /// The host asks to stop after the connector has asked so often whether it does.
    #[must_use]
    pub fn cancelled_after(self, asked: u64) -> Self {
        self.change(|scene| scene.cancel_after = Some(asked))
    }

    /// The time that the invocation has; 5 minutes by default. On the bench time passes in waits only.
    #[must_use]
    pub fn time_limit(self, time: Duration) -> Self {
        self.change(|scene| scene.time_limit = Some(time))
    }

    /// The records for a target.
    #[must_use]
    pub fn input(mut self, records: impl IntoIterator<Item = Value>) -> Self {
        self.fed.rows.get_mut().extend(records);
        self
    }

    /// How many records of the run earlier attempts applied.
    #[must_use]
    pub const fn first_row(mut self, first_row: u64) -> Self {
        self.fed.first_row = first_row;
        self
    }

    /// Runs an activity.
    pub fn run(mut self, activity: &str, params: Value) -> Ran {
        (self.scene.activity, self.scene.params) = (activity.to_owned(), params);
        let Self { scene, fed, .. } = self;
        let collected = Collected::default();
        let result = run::invoke::<C>(&scene, Some(Box::new(&fed)), Some(Box::new(&collected)));
        Ran { result, scene, fed, written: collected.0.into_inner() }
    }

    /// Tries the connection.
    pub fn test(self) -> Ran {
        let Self { scene, fed, .. } = self;
        let result = run::test::<C>(&scene).map(|output| Outcome { more: false, output: Some(output) });
        Ran { result, scene, fed, written: vec![] }
    }
}

impl<C: Discover> Bench<C> {
    /// Asks a question.
    pub fn discover(mut self, activity: &str, question: &Value) -> Ran {
        self.scene.activity = activity.to_owned();
        let Self { scene, fed, .. } = self;
        let answer = run::discover::<C>(&scene, &question.to_string());
        let result = answer.map(|output| Outcome { more: false, output: Some(output) });
        Ran { result, scene, fed, written: vec![] }
    }
}

impl Ran {
    /// How it ended.
    pub const fn result(&self) -> &Result<Outcome> {
        &self.result
    }

    /// The document it returned; the test fails if it failed.
    pub fn output(&self) -> Value {
        assert!(self.result.is_ok(), "it failed: {:?}", self.result);
        let output = self.result.as_ref().ok().and_then(|outcome| outcome.output.as_deref());
        output.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// How it failed; the test fails if it did not.
    pub fn error(&self) -> Error {
        assert!(self.result.is_err(), "it succeeded: {:?}", self.result);
        let none = || Error::new(crate::Kind::Internal, "testing.no_error", "it succeeded");
        self.result.clone().err().unwrap_or_else(none)
    }

    /// The records it wrote, in order.
    pub fn records(&self) -> Vec<Value> {
        let lines = self.written.iter().flat_map(|(lines, _)| lines.data.split(|byte| *byte == b'\n'));
        lines.filter(|line| !line.is_empty()).filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// How many records each batch had, and the cursor behind it.
    pub fn batches(&self) -> Vec<(u32, Option<&str>)> {
        self.written.iter().map(|(lines, cursor)| (lines.count, cursor.as_deref())).collect()
    }

    /// The last cursor it wrote: what the next attempt is given.
    pub fn cursor(&self) -> Option<&str> {
        self.written.iter().rev().find_map(|(_, cursor)| cursor.as_deref())
    }

    /// The requests it made, in order.
    pub fn requests(&self) -> Vec<Sent> {
        self.scene.script.sent.borrow().clone()
    }

    /// Method and path of each request.
    pub fn calls(&self) -> Vec<String> {
        self.requests().iter().map(|sent| format!("{} {}", sent.method, sent.path)).collect()
    }

    /// The waits that it made, in order: because the system asked for patience, or with
    /// [`Context::pause`](crate::Context::pause). None of them took time.
    pub fn waits(&self) -> Vec<Duration> {
        self.scene.pauses.borrow().clone()
    }

    /// Lines of the script that nothing asked for.
    pub fn unused(&self) -> Vec<String> {
        self.scene.script.lines.borrow().iter().map(|line| format!("{} {}", line.method, line.path)).collect()
    }

    /// How many records of its input it acknowledged.
    pub const fn acked(&self) -> u64 {
        self.fed.acked.get()
    }

    /// The records it rejected and why.
    pub fn rejections(&self) -> Vec<(u64, Error)> {
        self.fed.rejected.borrow().clone()
    }

    /// What it logged.
    pub fn logs(&self) -> Vec<(Level, String, Value)> {
        self.scene.logs.borrow().clone()
    }

    /// What it counted.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.scene.counters.borrow().clone()
    }

    /// A value of the connection's durable memory.
    pub fn state(&self, key: &str) -> Option<Value> {
        self.scene.state.borrow().get(key).and_then(|bytes| serde_json::from_slice(bytes).ok())
    }

    /// The content of a file.
    pub fn file(&self, handle: &str) -> Option<Vec<u8>> {
        self.scene.files.borrow().get(handle).cloned()
    }
}
