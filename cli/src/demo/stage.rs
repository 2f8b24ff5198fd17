//! The acts of the demo, each the same as a person would do it by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;
use wherry_domain::name::Name;
use wherry_trust::keys::SigningKey;

use super::children::{Children, small_json, small_text};
use super::folder::Folder;
use super::programs::Programs;
use super::upgrade::{Publisher, Settled};
use crate::client::{Body, Call, Client};
use crate::clock::Stopwatch;
use crate::codes;
use crate::commands::{Asked, submit};
use crate::enrolment::invite;
use crate::error::{CliError, Outcome, unreadable};
use crate::exit::Exit;
use crate::keystore::Keystore;
use crate::package::{self, Parts};
use crate::screen::Screen;
use crate::settings::Access;
use crate::table::at;
use crate::text::{grouped, span};
use crate::{follow, keys, project};

/// The process without which there is no demo.
pub(super) const CONTROLLER: &str = "controller";
pub(super) const ENVIRONMENT: &str = "demo";
const OPERATION: &str = "hand-over";
const AGENTS: [&str; 2] = ["demo-agent-1", "demo-agent-2"];
const PUBLISHER: &str = "demo";
/// What the connector says of itself. If the component is of another version, agents refuse it and say so.
const DESCRIPTOR: &str = include_str!("../../../plugins/jira-service-management/src/descriptor.json");

/// What is needed to put the demo on.
pub(super) struct Stage<'a> {
    programs: &'a Programs,
    folder: &'a Folder,
    children: &'a mut Children,
    screen: Screen,
    requests: u32,
}

/// A demo that went well.
pub(super) struct Performance {
    pub(super) run: Value,
    pub(super) read: u64,
    pub(super) written: u64,
    /// Requests that the second desk got, counted by the desk itself.
    pub(super) created: u64,
    controller: String,
    sandbox: String,
    token_file: PathBuf,
    folder: PathBuf,
}

/// The simulated Jira and what it wants to see.
struct Jira {
    url: String,
    token: String,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        programs: &'a Programs,
        folder: &'a Folder,
        children: &'a mut Children,
        screen: Screen,
        requests: u32,
    ) -> Self {
        Self { programs, folder, children, screen, requests }
    }

    pub(super) async fn perform(mut self) -> Outcome<Performance> {
        self.screen.note(&format!("wherry demo in {}", self.folder.path().display()));
        let (client, token_file) = self.controller().await?;
        let jira = self.jira().await?;
        self.agents(&client, &jira).await?;
        let key = self.connector(&client).await?;
        self.project(&client, &jira).await?;
        let run = self.operation(&client).await?;
        let created = self.count(&jira, &run).await?;
        self.upgrade(&client, &key).await?;
        let counted = |name: &str| at(&run, name).and_then(Value::as_u64).unwrap_or_default();
        Ok(Performance {
            read: counted("counts.read"),
            written: counted("counts.written"),
            created,
            run,
            controller: client.url().to_string(),
            sandbox: jira.url,
            token_file,
            folder: self.folder.path().to_owned(),
        })
    }

    async fn controller(&mut self) -> Outcome<(Client, PathBuf)> {
        let step = Step::begin(self.screen, CONTROLLER);
        let data = self.folder.folder(CONTROLLER)?;
        let config = format!(
            "data_dir = {}\n[web]\nlisten = \"127.0.0.1:0\"\n[agents]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://localhost:0\"\n",
            quoted(&data)
        );
        let config = self.folder.write("controller.toml", &config)?;
        let mut command = Command::new(&self.programs.controller);
        command.arg("run").arg("--config").arg(config);
        self.children.start(CONTROLLER, command)?;
        let ready = data.join("ready.json");
        let url = self.children.ready(|| small_json(&ready)?.get("web")?.as_str().map(str::to_owned)).await?;
        let token_file = data.join("admin-token");
        let url = Url::parse(&url).map_err(|_| broken("the controller says that it listens nowhere"))?;
        step.end(&format!("at {url}"));
        let token = small_text(&token_file)?.into();
        Ok((Client::new(Access { url, token })?, token_file))
    }

    async fn jira(&mut self) -> Outcome<Jira> {
        let step = Step::begin(self.screen, "jira");
        let mut command = Command::new(&self.programs.sandbox);
        command.args(["--listen", "127.0.0.1:0", "--requests", &self.requests.to_string()]);
        let line = self.children.start_for_line("sandbox", command).await?;
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |path: &str| at(&said, path).and_then(Value::as_str).map(str::to_owned);
        let (Some(url), Some(token)) = (text("url"), text("jsm.token")) else {
            return Err(broken("the sandbox did not say where it listens"));
        };
        step.end(&format!("simulated, a desk with {} requests and an empty one, at {url}", self.requests));
        Ok(Jira { url, token })
    }

    async fn agents(&mut self, client: &Client, jira: &Jira) -> Outcome {
        let step = Step::begin(self.screen, "agents");
        client.post(&["environments"], json!({"name": ENVIRONMENT, "group": ENVIRONMENT})).await?;
        for name in AGENTS {
            self.agent(name, client, jira).await?;
        }
        step.end(&format!("{} enrolled and connected, with their secret", AGENTS.join(" and ")));
        Ok(())
    }

    async fn agent(&mut self, name: &str, client: &Client, jira: &Jira) -> Outcome {
        let data = self.folder.folder(name)?;
        // Everything here is the person's own, so connectors may tell what they see.
        let config = format!("data_dir = {}\n[answers]\ndescribe = true\n", quoted(&data));
        let config = self.folder.write(&format!("{name}.toml"), &config)?;
        let group: Name = ENVIRONMENT.parse().map_err(|_| broken("the group has no proper name"))?;
        // Not the person's own key: a demo leaves nothing behind.
        let keystore = Keystore::at(self.folder.path().to_owned());
        let invitation = invite(client, &group, Duration::from_secs(600), Ok(keystore)).await?;
        let mut enrol = Command::new(&self.programs.agent);
        enrol.args(["enrol", "--url", &invitation.endpoint, "--name", name, "--token-file", "-"]);
        enrol.arg("--config").arg(&config).arg("--data").arg(&data);
        self.children.finish(name, enrol, invitation.token.as_str()).await?;
        let mut set = Command::new(&self.programs.agent);
        set.args(["secret", "set", "jira-token", "--environment", ENVIRONMENT]).arg("--data").arg(&data);
        self.children.finish(name, set, &jira.token).await?;
        let mut run = Command::new(&self.programs.agent);
        run.arg("run").arg("--config").arg(config);
        self.children.start(name, run)?;
        let ready = data.join("ready.json");
        self.children.ready(|| small_json(&ready)?.get("connected")?.as_bool()?.then_some(())).await
    }

    async fn connector(&mut self, client: &Client) -> Outcome<SigningKey> {
        let step = Step::begin(self.screen, "connector");
        let key = keys::create(&self.folder.path().join("publisher.key"))?;
        client
            .post(&["publishers"], json!({"name": PUBLISHER, "key": key.public(), "prefix": "jira-service-management"}))
            .await?;
        let component = package::component(&self.programs.connector)?;
        let descriptor = self.descriptor()?;
        let min_agent = semver::Version::parse(env!("CARGO_PKG_VERSION")).map_err(|_| broken("no version"))?;
        let parts = Parts { component: &component, descriptor: &descriptor, min_agent, notes: String::new() };
        let package = package::assemble(parts, &key)?;
        let release = &package.release;
        let said = format!("{} {}, signed by key {}, published", release.name, release.version, key.public().key_id());
        client.send(Call::post(&["connectors"], Body::Connector(package.bytes))).await?;
        step.end(&said);
        Ok(key)
    }

    fn descriptor(&self) -> Outcome<String> {
        match &self.programs.descriptor {
            Some(file) => fs::read_to_string(file).map_err(|error| unreadable(file, error)),
            None => Ok(DESCRIPTOR.to_owned()),
        }
    }

    /// A good version becomes everyone's, a broken one is taken back.
    async fn upgrade(&self, client: &Client, key: &SigningKey) -> Outcome {
        let step = Step::begin(self.screen, "upgrade");
        let (component, descriptor) = (package::component(&self.programs.connector)?, self.descriptor()?);
        let publisher = Publisher { key, component: &component, descriptor: &descriptor };
        let settled = publisher.upgrade(client).await?;
        if settled.each_ref().map(|one| one.everyone) != [true, false] {
            let why = settled.map(|one| one.why).join("; ");
            return Err(broken(&format!("the canaries ended otherwise than they should: {why}")));
        }
        step.end("a version tried on half of the attempts, then another");
        for Settled { to, everyone, why, .. } in settled {
            let end = if everyone { "is everyone's now" } else { "was rolled back" };
            self.screen.note(&format!("  {:<11} {to} {end}: {why}", ""));
        }
        let step = Step::begin(self.screen, "rollback");
        let (operator, _) = Keystore::at(self.folder.path().to_owned()).operator()?;
        let back = publisher.rollback(client, &operator).await?;
        step.end(&format!("by hand to {back}, which stays until somebody unpins it"));
        Ok(())
    }

    async fn project(&self, client: &Client, jira: &Jira) -> Outcome {
        let step = Step::begin(self.screen, "project");
        let folder = self.folder.example(&jira.url)?;
        let loaded = project::load(&folder);
        let environment: Name = ENVIRONMENT.parse().map_err(|_| broken("the environment has no proper name"))?;
        let deployment = submit(client, &loaded, &environment, Asked::Deploy).await?;
        let number = deployment.get("number").and_then(Value::as_u64).unwrap_or_default();
        step.end(&format!("service-desk, deployment {number} in {ENVIRONMENT}, from {}", folder.display()));
        Ok(())
    }

    async fn operation(&self, client: &Client) -> Outcome<Value> {
        self.screen.note(&format!("  {:<11} {OPERATION}", "run"));
        let path = ["environments", ENVIRONMENT, "operations", OPERATION, "runs"];
        let run = client.send(Call::post(&path, Body::Json(json!({}))).key(OPERATION.to_owned())).await?;
        let id = run.get("id").and_then(Value::as_str).ok_or_else(|| broken("the run has no id"))?;
        follow::watch_to_end(client, id, self.screen).await
    }

    /// Asks the desk what it holds: a demo does not take its own word for it.
    async fn count(&self, jira: &Jira, run: &Value) -> Outcome<u64> {
        let sandbox = Url::parse(&jira.url).map_err(|_| broken("the sandbox has no address"))?;
        let ledger = crate::client::fetch_open(sandbox, "/_sandbox/ledger?summary=true").await?;
        let created = ledger.get("created").and_then(Value::as_u64).unwrap_or_default();
        let twice = ledger.get("duplicates").and_then(Value::as_object).map_or(0, serde_json::Map::len);
        let written = at(run, "counts.written").and_then(Value::as_u64).unwrap_or_default();
        let read = at(run, "counts.read").and_then(Value::as_u64).unwrap_or_default();
        if twice > 0 || created != written || written != read || (read == 0 && self.requests > 0) {
            let message = format!(
                "the run says {read} read and {written} written, the second desk got {created} requests, {twice} of them twice"
            );
            return Err(CliError::new(Exit::RunFailed, codes::DEMO_COUNT_DIFFERS, message));
        }
        Ok(created)
    }
}

impl Performance {
    /// What happened, in one sentence.
    pub(super) fn summary(&self) -> String {
        let millis = self.run.get("duration_ms").and_then(Value::as_u64).unwrap_or_default();
        format!(
            "\n{} open requests read, {} written in {}; the second desk holds {} requests, none twice.",
            grouped(self.read),
            grouped(self.written),
            span(millis),
            grouped(self.created)
        )
    }

    /// Where to look next.
    pub(super) fn next_steps(&self) -> String {
        let run = self.run.get("id").and_then(Value::as_str).unwrap_or_default();
        format!(
            "\nLook around, in another terminal:\n\n  \
             export WHERRY_URL={} WHERRY_TOKEN=$(cat {})\n  \
             wherry status\n  \
             wherry agent list\n  \
             wherry run show {run}\n  \
             wherry operation run {OPERATION} --environment {ENVIRONMENT} --follow\n  \
             wherry connection test jira --environment {ENVIRONMENT}\n  \
             curl {}/_sandbox/ledger?summary=true        what the second desk recorded\n\n\
             Everything is in {}; the logs are in its folder logs.\n",
            self.controller,
            self.token_file.display(),
            self.sandbox.trim_end_matches('/'),
            self.folder.display()
        )
    }
}

/// One act, with the time it took.
struct Step {
    screen: Screen,
    name: &'static str,
    since: Stopwatch,
    bar: indicatif::ProgressBar,
}

impl Step {
    fn begin(screen: Screen, name: &'static str) -> Self {
        Self { screen, name, since: Stopwatch::start(), bar: screen.spinner(name.to_owned()) }
    }

    fn end(self, text: &str) {
        self.bar.finish_and_clear();
        let seconds = self.since.elapsed().as_secs_f64();
        self.screen.note(&format!("✓ {:<11} {text}  ({seconds:.1} s)", self.name));
    }
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::from(path.display().to_string()).to_string()
}

pub(super) fn broken(message: &str) -> CliError {
    CliError::new(Exit::Failed, codes::DEMO_ANSWER_UNEXPECTED, message)
}
