//! What an activity works with: the connection, the invocation, and ways to the system.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::blobs::Blobs;
use crate::connector::Connector;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::http::{Base, Client};
use crate::run;
use crate::state::State;

/// One invocation, with the options of its connection.
pub struct Context<'h, O> {
    host: &'h dyn Host,
    options: O,
    client: Client<'h>,
}

/// A connection; everything that authenticates stays with the host.
#[derive(Deserialize)]
struct Connection {
    url: String,
    #[serde(default = "no_options")]
    options: serde_json::Value,
}

pub(crate) fn stopped() -> Error {
    Error::new(Kind::Cancelled, "connector.cancelled", "stopped because the host asked for it")
}

fn no_options() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

impl<'h, O: DeserializeOwned> Context<'h, O> {
    /// `repeatable` says whether what runs may be done again.
    pub(crate) fn new<C: Connector<Options = O>>(host: &'h dyn Host, repeatable: bool) -> Result<Self> {
        let invalid = |what: &str, why: String| {
            Error::config("connector.connection_invalid", format!("the connection's {what} cannot be used: {why}"))
        };
        let connection: Connection =
            serde_json::from_str(&host.connection()).map_err(|error| invalid("description", error.to_string()))?;
        let options = run::typed(connection.options).map_err(|why| invalid("options", why))?;
        let client = Client::new::<C>(host, Base::parse(&connection.url)?, repeatable);
        Ok(Self { host, options, client })
    }
}

impl<'h, O> Context<'h, O> {
    /// The options of the connection.
    pub const fn options(&self) -> &O {
        &self.options
    }

    /// The HTTP client; its paths lie below the connection's URL.
    pub const fn http(&self) -> &Client<'h> {
        &self.client
    }

    /// The connection's small durable memory.
    pub const fn state(&self) -> State<'h> {
        State::new(self.host)
    }

    /// The files of this run.
    pub const fn blobs(&self) -> Blobs<'h> {
        Blobs::new(self.host)
    }

    /// The run this belongs to.
    pub fn run_id(&self) -> String {
        self.host.run_id()
    }

    /// An idempotency key: the same for all attempts of a run, different for every run. For one record, see
    /// [`Record::key`](crate::Record::key).
    pub fn key(&self) -> String {
        self.host.key()
    }

    /// 1, 2, ...
    pub fn attempt(&self) -> u32 {
        self.host.attempt()
    }

    /// The activity's name; empty in a test of the connection.
    pub fn activity(&self) -> String {
        self.host.activity()
    }

    /// Where an earlier attempt of this run stopped, as the connector wrote it. [`Pages`](crate::Pages) reads it by
    /// itself.
    pub fn cursor<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(json) = self.host.cursor() else { return Ok(None) };
        serde_json::from_str(&json).map(Some).map_err(|error| {
            let message = format!("the stored cursor is not one of this connector: {error}");
            Error::config("connector.cursor_invalid", message)
        })
    }

    /// Time until the host ends the invocation.
    pub fn remaining(&self) -> Duration {
        self.host.remaining()
    }

    /// Whether to check everything and change nothing outside.
    pub fn is_dry_run(&self) -> bool {
        self.host.is_dry_run()
    }

    /// Seconds since 1970.
    pub fn now(&self) -> u64 {
        self.host.now()
    }

    /// Ends the work between two requests if the host asks for it: it does not wait long.
    pub fn stop_if_asked(&self) -> Result<()> {
        if self.host.is_cancelled() { Err(stopped()) } else { Ok(()) }
    }

    /// Lets so much time pass, and ends earlier, with an error, if the host asks to stop. On the bench no time passes:
    /// its clock goes on by as much. Look at [`Context::remaining`] first: the host ends what takes too long. Requests
    /// that the system wants later are waited for without this, see [`Pending::wait`](crate::http::Pending::wait).
    pub fn pause(&self, time: Duration) -> Result<()> {
        if self.host.pause(time) { Ok(()) } else { Err(stopped()) }
    }

    /// Adds to a counter of this invocation; at most 64 different names of `[a-z0-9_.-]`. Declare it with
    /// [`Activities::counting`](crate::Activities::counting), or it stays in the agent's own log.
    pub fn count(&self, name: &str, delta: u64) {
        self.host.count(name, delta);
    }

    /// What runs this connector; for macros and seams, not for authors.
    #[doc(hidden)]
    pub const fn host(&self) -> &'h dyn Host {
        self.host
    }
}
