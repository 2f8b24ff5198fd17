//! Worlds: a controller, agents and simulated systems in a temporary folder, each a process of its own.
//!
//! A world that is dropped without [`World::close`] belongs to a test that failed: its logs are shown.

mod agent;
mod api;
mod audit;
pub mod canary;
mod controller;
pub mod desk;
mod ending;
mod enrolment;
pub mod fault_proxy;
mod operator;
mod package;
mod plan;
mod process;
mod programs;
mod project;
pub mod provider;
mod run;
mod sandbox;
pub mod wait;
mod warm;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use wherry_trust::keys::SigningKey;

use self::warm::Warm;
pub use self::{
    agent::Agent,
    api::{Answer, Api},
    canary::Canary,
    controller::{Controller, free_port},
    operator::Operator,
    package::Package,
    plan::Plan,
    process::Process,
    programs::Programs,
    project::{Connection, Operation, Project},
    run::{Counts, Failure, Run, Submission},
    sandbox::{Account, Accounts, DeskEntry, DeskLedger, Ledger, Sandbox},
};

/// The environment that every world has.
pub const ENVIRONMENT: &str = "prod";
/// The group that serves it.
pub const GROUP: &str = "berlin";

/// A world; see [`World::start`].
pub struct World {
    /// The controller.
    pub controller: Controller,
    /// Its interface, as the administrator uses it.
    pub api: Api,
    /// The simulated systems.
    pub sandbox: Sandbox,
    /// Whose connectors are trusted.
    pub publisher: SigningKey,
    /// Where programs and connectors are.
    pub programs: Programs,
    warm: Warm,
    dir: Arc<TempDir>,
    closed: bool,
}

impl World {
    /// A world with a controller, a trusted publisher, an environment, and a desk of 25 requests.
    ///
    /// # Errors
    /// If a part does not come up.
    pub async fn start() -> Result<Self> {
        Self::plan().start().await
    }

    /// A plan for a world that is not quite the usual one.
    pub fn plan() -> Plan {
        Plan { settings: vec!["store.cache_mib=4".to_owned()], requests: 25, controller_data: None }
    }

    async fn build(plan: Plan) -> Result<Self> {
        // Another world of this process may have done it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let programs = Programs::find()?;
        let dir = tempfile::Builder::new().prefix("wherry-world-").tempdir()?;
        let logs = dir.path().join("logs");
        fs::create_dir(&logs)?;
        let sandbox_log = logs.join("sandbox.log");
        let sandbox = Sandbox::start(&programs, plan.requests, &sandbox_log);
        let data = plan.controller_data.unwrap_or_else(|| dir.path().join("controller"));
        let mut controller = Controller::new(&programs, data, logs.join("controller.log"), plan.settings)?;
        let (sandbox, started) = futures::join!(sandbox, controller.start());
        started.with_context(|| process::tail(&logs.join("controller.log"), 20))?;
        let api = controller.api()?;
        let publisher = SigningKey::generate()?;
        let warm = Warm::open(&programs.scratch(), &programs.program("wherry-agent")?)?;
        let world =
            Self { controller, api, sandbox: sandbox?, publisher, programs, warm, dir: Arc::new(dir), closed: false };
        world.furnish().await?;
        Ok(world)
    }

    async fn furnish(&self) -> Result<()> {
        let trusted = json!({ "name": "workshop", "key": self.publisher.public().to_string() });
        self.api.post("/v1/publishers", &trusted).await?.accepted()?;
        let environment = json!({ "name": ENVIRONMENT, "group": GROUP });
        self.api.post("/v1/environments", &environment).await?.accepted().map(drop)
    }

    /// Where this world keeps its things; gone with it.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Where agents find the controller.
    pub fn agent_url(&self) -> String {
        format!("https://{}", self.controller.agents_at())
    }

    /// Publishes a connector, signed by the trusted publisher.
    ///
    /// # Errors
    /// If the controller refuses it.
    pub async fn publish(&self, package: &Package) -> Result<()> {
        self.api.publish(package.signed_by(&self.publisher)?).await?.accepted().map(drop)
    }

    /// Deploys a project.
    ///
    /// # Errors
    /// If the controller refuses it.
    pub async fn deploy(&self, project: &Project) -> Result<()> {
        self.try_to_deploy(project).await?.accepted().map(drop)
    }

    /// Deploys a project that may be refused.
    ///
    /// # Errors
    /// If no whole answer comes back.
    pub async fn try_to_deploy(&self, project: &Project) -> Result<Answer> {
        let path = format!("/v1/environments/{ENVIRONMENT}/deployments");
        self.api.post(&path, &json!({ "project": project.json() })).await
    }

    /// A request to run an operation.
    pub fn run(&self, operation: &str) -> Submission {
        Self::ask(&self.api, operation)
    }

    /// A request of a caller to run an operation.
    pub fn ask(api: &Api, operation: &str) -> Submission {
        Submission::new(api, ENVIRONMENT, operation)
    }

    /// A run as it is now.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn look_at(&self, run: &str) -> Result<Run> {
        Run::read(self.api.get(&format!("/v1/runs/{run}")).await?.accepted()?)
    }

    /// A run, once it is over.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn end_of(&self, run: &str) -> Result<Run> {
        let run = Run::read(self.api.get(&format!("/v1/runs/{run}?wait_ms=45000")).await?.accepted()?)?;
        ensure!(run.is_over(), "the run does not end: {run:?}");
        Ok(run)
    }

    /// A run, once it is in a state.
    ///
    /// # Errors
    /// If that does not happen.
    pub async fn once(&self, run: &str, state: &str) -> Result<Run> {
        wait::until(&format!("{run} is {state}"), async || {
            let now = self.look_at(run).await?;
            ensure!(now.state == state || !now.is_over(), "the run is never {state}: {now:?}");
            Ok((now.state == state).then_some(now))
        })
        .await
    }

    /// The agent as the controller shows it.
    ///
    /// # Errors
    /// If it does not know it.
    pub async fn agent_seen(&self, name: &str) -> Result<Value> {
        self.api.get(&format!("/v1/agents/{name}")).await?.accepted()
    }

    /// Where a process of this world writes its log; shown if the test fails.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(format!("{name}.log"))
    }
}
