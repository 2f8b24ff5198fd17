//! What the tests stand on: pools of real workers, a compiled component, invocations, and ways out.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tokio::{runtime::Handle, sync::mpsc};
use wherry_host::{
    Batch, Blobs, Body, ConnectorFault, Egress, EgressError, EgressFuture, FromConnector, Host, HostSettings, Outcome,
    Task, ToConnector,
};
use wherry_worker::{Apart, Code, Pool, PoolSettings, Runner};

/// Longer than anything here takes, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program of the tests as the agent's.
pub(crate) fn settings(arguments: &[&str]) -> PoolSettings {
    PoolSettings {
        program: env!("CARGO_BIN_EXE_wherry-worker-trial").into(),
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        host: HostSettings { instances: 4, output_bytes: 4 << 20, ..HostSettings::default() },
        idle: PATIENCE,
        kept: 8,
    }
}

pub(crate) fn pool(arguments: &[&str]) -> Pool {
    Pool::new(settings(arguments), Handle::current()).unwrap()
}

/// The misbehaving connector, for workers of that pool.
pub(crate) fn hostile(pool: &Pool) -> Code {
    Code::Apart(Apart::open(pool, &compiled()).unwrap())
}

/// Compiled once: the tests run in a process each, and compiling is the slow part.
pub(crate) fn compiled() -> PathBuf {
    let host = Host::new(settings(&[]).host).unwrap();
    let wasm = component();
    let age = std::fs::metadata(&wasm).unwrap().modified().unwrap();
    let age = age.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let compiled = cache.join(format!("hostile-{age}-{}.cwasm", host.compatibility()));
    if !compiled.exists() {
        let code = host.compile(&std::fs::read(wasm).unwrap()).unwrap();
        std::fs::create_dir_all(cache).unwrap();
        let unfinished = tempfile::NamedTempFile::new_in(cache).unwrap();
        std::fs::write(unfinished.path(), code).unwrap();
        unfinished.persist(&compiled).unwrap();
    }
    compiled
}

/// The component in `$WHERRY_CONNECTORS`, or in the target folder, where it is built if it is missing.
fn component() -> PathBuf {
    let file = "wherry_connector_hostile.wasm";
    if let Some(folder) = std::env::var_os("WHERRY_CONNECTORS") {
        return Path::new(&folder).join(file);
    }
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("wasm32-wasip2/connector").join(file);
    if !built.exists() {
        let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["build", "--package", "wherry-connector-hostile", "--lib"])
            .args(["--target", "wasm32-wasip2", "--profile", "connector"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.unwrap().success(), "the component does not build");
    }
    built
}

/// How an invocation ended, and what came out of it on the way.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) result: Result<Outcome, ConnectorFault>,
    pub(crate) messages: Vec<FromConnector>,
}

impl Finished {
    pub(crate) fn code(&self) -> String {
        self.result.as_ref().expect_err("it succeeded").code().to_string()
    }

    pub(crate) fn output(&self) -> &str {
        self.result.as_ref().unwrap_or_else(|fault| panic!("{fault:?}")).output.as_deref().unwrap_or_default()
    }
}

/// A task without a way out and with a lot of time.
pub(crate) fn task(activity: &str, params: &str) -> Task {
    Task {
        run: "run_1".into(),
        attempt: 1,
        key: "key".into(),
        activity: activity.into(),
        connection: r#"{"url":"http://nowhere.invalid"}"#.into(),
        params: params.into(),
        time_limit_ms: u64::try_from(PATIENCE.as_millis()).unwrap(),
        has_output: true,
        ..Task::default()
    }
}

/// Runs it to its end and collects what it says.
pub(crate) async fn run(runner: &Runner, task: Task, egress: impl Egress, input: Vec<ToConnector>) -> Finished {
    run_with(runner, task, egress, input, Blobs::new(1 << 20)).await
}

pub(crate) async fn run_with(
    runner: &Runner,
    task: Task,
    egress: impl Egress,
    input: Vec<ToConnector>,
    blobs: Blobs,
) -> Finished {
    let (to, inbox) = mpsc::channel(8);
    let (outbox, mut from) = mpsc::channel(8);
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
    let run = runner.run_with(task, Arc::new(egress), inbox, outbox, blobs);
    let all = async { tokio::join!(run, collect, feed) };
    let (result, messages, _) = tokio::time::timeout(2 * PATIENCE, all).await.expect("it never ended");
    Finished { result, messages }
}

pub(crate) fn batch(records: &[&str]) -> ToConnector {
    let data: String = records.iter().map(|record| format!("{record}\n")).collect();
    ToConnector::Batch(Batch { count: u32::try_from(records.len()).unwrap(), data: data.into() })
}

/// No way out at all.
pub(crate) struct Locked;

impl Egress for Locked {
    fn send(&self, _: Request<Body>) -> EgressFuture {
        let refused = EgressError::ConnectRefused { host: "db.example".into(), port: 80 };
        Box::pin(std::future::ready(Err(refused)))
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &[]
    }
}

/// Answers every request with what it saw of it, and with a header that no connector may see.
pub(crate) struct Echo {
    protected: [HeaderName; 1],
}

impl Echo {
    pub(crate) fn new() -> Self {
        Self { protected: [header::AUTHORIZATION] }
    }
}

impl Egress for Echo {
    fn send(&self, request: Request<Body>) -> EgressFuture {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let seen = format!("{} {} {}", parts.method, parts.uri, body.len());
            let mut response =
                Response::new(Full::new(Bytes::from(seen.clone())).map_err(|never| match never {}).boxed_unsync());
            response.headers_mut().insert(header::AUTHORIZATION, "Bearer canary-4711".parse().unwrap());
            response.headers_mut().insert("x-seen", seen.parse().unwrap());
            Ok(response)
        })
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &self.protected
    }
}
