//! The product, set up as a person would: a controller, an agent, a connector, a project.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, program};

/// A running product.
pub(crate) struct Bed {
    /// The controller.
    pub(crate) controller: Process,
    /// The API.
    pub(crate) api: Api,
    dir: TempDir,
    token_file: PathBuf,
}

/// The API with a token.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Arc<str>,
    authorization: Arc<str>,
}

impl Api {
    /// Sends a request; gives status and body, null for none.
    ///
    /// # Errors
    /// If the request fails or the answer is not JSON.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", &*self.authorization)
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let answer = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        Ok((status, answer))
    }
}

impl Bed {
    /// Starts a controller in a folder of its own.
    ///
    /// # Errors
    /// If it does not get ready.
    pub(crate) async fn start() -> anyhow::Result<(Self, Duration)> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("controller");
        let settings = [
            format!("data_dir={}", data.display()),
            "web.listen=127.0.0.1:0".to_owned(),
            "agents.listen=127.0.0.1:0".to_owned(),
        ];
        let mut arguments = vec!["run".to_owned()];
        for setting in settings {
            arguments.extend(["--set".to_owned(), setting]);
        }
        let mut controller = Process::start("wherry-controller", &arguments, dir.path().join("controller.log"))?;
        let (ready, took) = controller.ready(&data.join("ready.json")).await?;
        let token_file = data.join("admin-token");
        let token = fs::read_to_string(&token_file)?;
        let api = Api {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: ready["web"].as_str().context("no address")?.into(),
            authorization: format!("Bearer {token}").into(),
        };
        Ok((Self { controller, api, dir, token_file }, took))
    }

    /// The folder of this bed.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs the operator's tool and gives its JSON.
    ///
    /// # Errors
    /// If it fails; with what it said.
    pub(crate) fn wherry(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let token = fs::read_to_string(&self.token_file)?;
        let output = Command::new(program("wherry")?)
            .args(arguments)
            .args(["--output", "json"])
            .env("WHERRY_URL", &*self.api.url)
            .env("WHERRY_TOKEN", token)
            // Operator keys and what is remembered of groups stay with this bed.
            .env("WHERRY_CONFIG", self.dir().join("operator/config.toml"))
            .output()?;
        ensure!(output.status.success(), "wherry {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }

    /// Enrols an agent and starts it; gives it with the time from its start to its session.
    ///
    /// # Errors
    /// If a step fails.
    pub(crate) async fn agent(&self, name: &str) -> anyhow::Result<(Process, Duration)> {
        self.agent_with(name, &[], "").await
    }

    /// As [`Self::agent`], with secrets for the environment `bench` and more configuration.
    ///
    /// # Errors
    /// If a step fails.
    pub(crate) async fn agent_with(
        &self,
        name: &str,
        secrets: &[(&str, &str)],
        configuration: &str,
    ) -> anyhow::Result<(Process, Duration)> {
        let data = self.dir().join(name);
        let made = self.wherry(&["agent", "token", "--group", "bench"])?;
        let token = self.dir().join("token");
        fs::write(&token, made["token"].as_str().context("no token")?)?;
        let endpoint = made["agent_endpoint"].as_str().context("no endpoint")?;
        let data_text = data.display().to_string();
        let enrolled = Command::new(program("wherry-agent")?)
            .args(["enrol", "--url", endpoint, "--token-file", &token.display().to_string()])
            .args(["--name", name, "--data", &data_text])
            .output()?;
        ensure!(enrolled.status.success(), "enrol: {}", String::from_utf8_lossy(&enrolled.stderr));
        let config = self.dir().join(format!("{name}.toml"));
        fs::write(&config, format!("data_dir = {data_text:?}\nslots = 64\n[log]\nformat = \"json\"\n{configuration}"))?;
        for (secret, value) in secrets {
            let file = self.dir().join("secret");
            fs::write(&file, value)?;
            let set = Command::new(program("wherry-agent")?)
                .args(["secret", "set", secret, "--environment", "bench"])
                .args(["--from-file", &file.display().to_string(), "--config", &config.display().to_string()])
                .output()?;
            ensure!(set.status.success(), "secret set: {}", String::from_utf8_lossy(&set.stderr));
        }
        let arguments = ["run", "--config", &config.display().to_string()].map(str::to_owned);
        let mut agent = Process::start("wherry-agent", &arguments, self.dir().join(format!("{name}.log")))?;
        let (_, took) = agent.ready(&data.join("ready.json")).await?;
        Ok((agent, took))
    }

    /// Publishes the `http` connector and deploys an operation `get` that calls `url` once.
    ///
    /// # Errors
    /// If a step fails.
    pub(crate) fn deploy(&self, url: &str) -> anyhow::Result<()> {
        self.publish(&["http"])?;
        self.project(&[
            ("connections/target.yaml", format!("connector: http\nurl: {url}\n")),
            ("operations/get.yaml", "source: { connection: target, activity: query, with: { path: / } }\n".to_owned()),
        ])
    }

    /// Publishes connectors of this workspace under a new publisher.
    ///
    /// # Errors
    /// If a step fails.
    pub(crate) fn publish(&self, names: &[&str]) -> anyhow::Result<()> {
        let file = |name: &str| self.dir().join(name).display().to_string();
        let key = file("publisher.key");
        let made = self.wherry(&["key", "new", &key])?;
        self.wherry(&["key", "trust", "bench", made["public"].as_str().context("no public key")?])?;
        for name in names {
            let package = file(&format!("{name}.wherry"));
            let (wasm, descriptor) = (component(name)?, descriptor(name));
            let (wasm, descriptor) = (wasm.display().to_string(), descriptor.display().to_string());
            self.wherry(&[
                "connector",
                "package",
                &wasm,
                "--key",
                &key,
                "--descriptor",
                &descriptor,
                "--out",
                &package,
            ])?;
            self.wherry(&["connector", "publish", &package])?;
        }
        Ok(())
    }

    /// Deploys a project of these files.
    ///
    /// # Errors
    /// If a step fails.
    pub(crate) fn project(&self, files: &[(&str, String)]) -> anyhow::Result<()> {
        let project = self.dir().join("project");
        for folder in ["connections", "operations"] {
            fs::create_dir_all(project.join(folder))?;
        }
        fs::write(project.join("wherry.yaml"), "name: bench\n")?;
        for (name, text) in files {
            fs::write(project.join(name), text)?;
        }
        self.wherry(&["project", "deploy", &project.display().to_string(), "--environment", "bench"])?;
        Ok(())
    }

    /// Runs an operation to its end; gives what its record says.
    ///
    /// # Errors
    /// If it does not succeed.
    pub(crate) async fn run(&self, operation: &str) -> anyhow::Result<Value> {
        let path = format!("/v1/environments/bench/operations/{operation}/runs?wait_ms=60000");
        let (mut status, mut run) = self.api.call(Method::POST, &path, Some(&serde_json::json!({}))).await?;
        while ["queued", "leased"].contains(&run["state"].as_str().unwrap_or_default()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let path = format!("/v1/runs/{}", run["id"].as_str().context("no id")?);
            (status, run) = self.api.call(Method::GET, &path, None).await?;
        }
        ensure!(run["state"] == "succeeded", "{operation} did not succeed: {status} {run}");
        Ok(run)
    }
}

/// The component of a connector.
pub(crate) fn component(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("WHERRY_CONNECTORS").context("set WHERRY_CONNECTORS: use cargo xtask bench")?;
    Ok(Path::new(&folder).join(format!("wherry_connector_{}.wasm", name.replace('-', "_"))))
}

/// Its description.
pub(crate) fn descriptor(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join(name).join("src/descriptor.json");
    if own.exists() { own } else { root.join("../../plugins").join(name).join("src/descriptor.json") }
}
