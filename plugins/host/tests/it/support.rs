//! What the tests stand on: built components, a way out, and a system to talk to.

pub(crate) mod components;
pub(crate) mod egress;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod transforms;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use wherry_host::{
    Batch, Blobs, Connector, ConnectorError, ConnectorFault, Egress, FromConnector, HostSettings, Outcome, Task,
    ToConnector,
};

/// Longer than anything here takes, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How an invocation ended, and what came out of it on the way.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) result: Result<Outcome, ConnectorFault>,
    pub(crate) messages: Vec<FromConnector>,
}

impl Finished {
    pub(crate) fn fault(&self) -> &ConnectorFault {
        self.result.as_ref().expect_err("it succeeded")
    }

    pub(crate) fn code(&self) -> String {
        self.fault().code().to_string()
    }

    pub(crate) fn output(&self) -> Value {
        let outcome = self.result.as_ref().unwrap_or_else(|fault| panic!("{fault:?}"));
        serde_json::from_str(outcome.output.as_deref().unwrap_or("null")).unwrap()
    }

    /// The batches that came out, in order, with their cursors.
    pub(crate) fn batches(&self) -> Vec<(&Batch, Option<&str>)> {
        self.pick(|message| {
            if let FromConnector::Batch { batch, cursor } = message { Some((batch, cursor.as_deref())) } else { None }
        })
    }

    /// The records that came out, in order.
    pub(crate) fn records(&self) -> Vec<Value> {
        let lines: Vec<u8> = self.batches().into_iter().flat_map(|(batch, _)| batch.data.clone()).collect();
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// The last cursor that came with records.
    pub(crate) fn cursor(&self) -> Option<String> {
        self.batches().iter().rev().find_map(|(_, cursor)| cursor.map(str::to_owned))
    }

    /// The log messages, in order.
    pub(crate) fn logs(&self) -> Vec<&str> {
        self.pick(
            |message| if let FromConnector::Log { message, .. } = message { Some(message.as_str()) } else { None },
        )
    }

    /// Every acknowledgement, in order.
    pub(crate) fn acks(&self) -> Vec<u64> {
        self.pick(|message| if let FromConnector::Acked { up_to } = message { Some(*up_to) } else { None })
    }

    /// Every rejected record and why.
    pub(crate) fn rejections(&self) -> Vec<(u64, &ConnectorError)> {
        self.pick(
            |message| if let FromConnector::Rejected { row, error } = message { Some((*row, error)) } else { None },
        )
    }

    fn pick<'a, T>(&'a self, wanted: impl Fn(&'a FromConnector) -> Option<T>) -> Vec<T> {
        self.messages.iter().filter_map(wanted).collect()
    }
}

/// An invocation to come.
pub(crate) struct Invocation {
    pub(crate) task: Task,
    pub(crate) egress: Arc<dyn Egress>,
    pub(crate) input: Vec<ToConnector>,
    pub(crate) blobs: Blobs,
}

/// An invocation of an activity, without a way out.
pub(crate) fn invoke(activity: &str, params: &Value) -> Invocation {
    let task = Task {
        run: "run_1".into(),
        attempt: 1,
        key: "key".into(),
        activity: activity.into(),
        connection: json!({ "url": "http://nowhere.invalid" }).to_string(),
        params: params.to_string(),
        time_limit_ms: u64::try_from(PATIENCE.as_millis()).unwrap(),
        has_output: true,
        ..Task::default()
    };
    let blobs = Blobs::new(HostSettings::default().blob_bytes);
    Invocation { task, egress: Arc::new(egress::Locked), input: vec![], blobs }
}

impl Invocation {
    pub(crate) fn connection(mut self, url: &str) -> Self {
        self.task.connection = json!({ "url": url }).to_string();
        self
    }

    pub(crate) fn egress(mut self, egress: impl Egress) -> Self {
        self.egress = Arc::new(egress);
        self
    }

    pub(crate) fn task(mut self, change: impl FnOnce(&mut Task)) -> Self {
        change(&mut self.task);
        self
    }

    /// Records for a target, one batch for each element.
    pub(crate) fn input(mut self, batches: &[&[Value]]) -> Self {
        self.task.has_input = true;
        self.task.has_output = false;
        let batches = batches.iter().map(|records| ToConnector::Batch(batch(records)));
        self.input = batches.chain([ToConnector::End]).collect();
        self
    }

    /// Runs it to its end.
    pub(crate) async fn on(self, connector: &Connector) -> Finished {
        let (to, inbox) = mpsc::channel(8);
        let (outbox, mut from) = mpsc::channel(8);
        let input = self.input;
        let feed = async move {
            for message in input {
                if to.send(message).await.is_err() {
                    break;
                }
            }
            to
        };
        let collect = async {
            let mut messages = Vec::new();
            while let Some(message) = from.recv().await {
                messages.push(message);
            }
            messages
        };
        let run = connector.run_with(self.task, self.egress, inbox, outbox, self.blobs);
        let all = async { tokio::join!(run, collect, feed) };
        let (result, messages, _) = tokio::time::timeout(2 * PATIENCE, all).await.expect("it never ended");
        Finished { result, messages }
    }
}

pub(crate) fn batch(records: &[Value]) -> Batch {
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    Batch { count: u32::try_from(records.len()).unwrap(), data: lines.into() }
}
