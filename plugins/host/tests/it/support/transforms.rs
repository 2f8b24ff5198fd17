//! Programs in the real box, over records given as text.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use wherry_host::{Batch, TransformFault, TransformHost, TransformSettings, Transformation, Transformed, Transformer};

use super::components::{PLUGINS, built, compiled};

/// The box with the limits that agents use.
pub(crate) fn transformer() -> Transformer {
    transformer_with(TransformSettings::default())
}

pub(crate) fn transformer_with(settings: TransformSettings) -> Transformer {
    let host = TransformHost::new(settings).unwrap();
    let sources = ["expr/src", "expr/guest/src", "expr/wit"].map(|folder| format!("{PLUGINS}/{folder}"));
    let wasm = built("wherry-expr-guest", &sources.each_ref().map(String::as_str));
    let path = compiled("expr", &wasm, &host.compatibility(), |wasm| host.compile(wasm).unwrap());
    host.load(&path).unwrap()
}

/// One run's programs.
pub(crate) fn programs(when: Option<&str>, transform: Option<&str>) -> Transformation {
    let variables = json!({ "vars": { "desk": 7 }, "run": { "id": "run_1" }, "agent": { "name": "eu-1" } });
    Transformation {
        condition: when.map(str::to_owned),
        transformation: transform.map(str::to_owned),
        variables: variables.to_string(),
    }
}

/// Records, one per line.
pub(crate) fn batch(records: &[&str]) -> Batch {
    let data: String = records.iter().map(|record| format!("{record}\n")).collect();
    Batch { count: u32::try_from(records.len()).unwrap(), data: data.into() }
}

/// What came out, and how it ended.
pub(crate) struct Ran {
    pub(crate) out: Vec<Transformed>,
    pub(crate) ended: Result<(), TransformFault>,
}

impl Ran {
    /// The results as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = |out: &Transformed| match out {
            Transformed::Batch(batch) => String::from_utf8(batch.data.to_vec()).unwrap(),
            Transformed::Used { .. } => String::new(),
        };
        self.out.iter().map(lines).collect::<String>().lines().map(str::to_owned).collect()
    }

    /// The results as values.
    pub(crate) fn values(&self) -> Vec<Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn code(&self) -> String {
        self.ended.as_ref().map_or_else(|fault| fault.code().to_string(), |()| String::new())
    }

    pub(crate) fn fault(&self) -> &TransformFault {
        self.ended.as_ref().unwrap_err()
    }
}

/// Runs programs over batches.
pub(crate) async fn run(transformer: &Transformer, what: Transformation, batches: &[Batch]) -> Ran {
    let (feed, inbox) = mpsc::channel(1);
    let (outbox, mut results) = mpsc::channel(1);
    let feeding = async move {
        for batch in batches {
            if feed.send(batch.clone()).await.is_err() {
                return;
            }
        }
    };
    let listening = async move {
        let mut out = Vec::new();
        while let Some(message) = results.recv().await {
            out.push(message);
        }
        out
    };
    let (ended, (), out) = tokio::join!(transformer.run(what, inbox, outbox), feeding, listening);
    Ran { out, ended }
}
