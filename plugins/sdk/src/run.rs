//! One invocation from start to end, whoever runs it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::activities::{Done, Handler, SideEffects};
use crate::connector::{Connector, Discover};
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::host::{Host, RowSink, RowSource};
use crate::reader::Reader;
use crate::writer::Writer;

/// How an invocation ended well, as the contract says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Call again with the cursor stored last.
    pub more: bool,
    /// A small JSON document.
    pub output: Option<String>,
}

impl From<Done> for Outcome {
    fn from(done: Done) -> Self {
        Self { more: done.more, output: done.output.map(|output| output.to_string()) }
    }
}

/// Tries the connection.
pub fn test<C: Connector>(host: &dyn Host) -> Result<String> {
    let tested = Context::new::<C>(host, true).and_then(|cx| C::test(&cx));
    tested.map(|document| document.to_string()).map_err(C::on_error)
}

/// Runs the activity that the host asks for.
pub fn invoke<C: Connector>(
    host: &dyn Host,
    input: Option<Box<dyn RowSource + '_>>,
    output: Option<Box<dyn RowSink + '_>>,
) -> Result<Outcome> {
    activity::<C>(host, input, output).map(Outcome::from).map_err(C::on_error)
}

fn activity<C: Connector>(
    host: &dyn Host,
    input: Option<Box<dyn RowSource + '_>>,
    output: Option<Box<dyn RowSink + '_>>,
) -> Result<Done> {
    let activity = C::activities().find(&host.activity())?;
    let cx = Context::new::<C>(host, activity.side_effects != SideEffects::Unsafe)?;
    let missing = |what: &str| {
        let message = format!("{} needs {what}, which the host did not give", activity.name);
        Error::new(Kind::Unsupported, "connector.activity_unknown", message)
    };
    match &activity.handler {
        Handler::Source(run) => {
            let mut out = Writer::new(output.ok_or_else(|| missing("somewhere to put records"))?);
            let ended = run(&cx, &host.params(), &mut out);
            // Also after a failure: what was read is handed on with its cursor, so that a retry goes on behind it.
            let flushed = out.flush();
            ended.and_then(|done| flushed.map(|()| done))
        }
        Handler::Target(run) => {
            let mut reader = Reader::new(input.ok_or_else(|| missing("records"))?, host.key(), C::on_error);
            run(&cx, &host.params(), &mut reader)
        }
    }
}

/// Answers a question.
pub fn discover<C: Discover>(host: &dyn Host, question: &str) -> Result<String> {
    let question = serde_json::from_str(question)
        .map_err(|error| Error::config("connector.params_invalid", format!("the question is not JSON: {error}")));
    let answer = question.and_then(|question| C::discover(&Context::new::<C>(host, true)?, &host.activity(), question));
    answer.map(|answer| answer.to_string()).map_err(C::on_error)
}

/// Reads the parameters of an activity; an error names the field.
pub(crate) fn params<P: DeserializeOwned>(json: &str) -> Result<P> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| located(&error));
    parsed.map_err(|why| Error::config("connector.params_invalid", format!("the parameters cannot be used: {why}")))
}

/// The same for what is parsed already.
pub(crate) fn typed<T: DeserializeOwned>(json: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(json).map_err(|error| located(&error))
}

fn located(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    if path == "." { error.inner().to_string() } else { format!("{path}: {}", error.inner()) }
}
