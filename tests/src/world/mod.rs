//! Worlds: a controller, agents and simulated systems in a temporary folder, each a process of its own.
//!
//! A world that is dropped without [`World::close`] belongs to a test that failed: its logs are shown.

mod agent;
mod api;
mod audit;
mod controller;
pub mod desk;
pub mod fault_proxy;
mod package;
mod process;
mod programs;
mod project;
mod run;
mod sandbox;
pub mod wait;
mod warm;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use wherry_trust::{
    keys::SigningKey,
    token::{EnrolmentToken, SpkiPin},
};

pub use self::{
    agent::Agent,
    api::{Answer, Api},
    controller::Controller,
    package::Package,
    process::Process,
    programs::Programs,
    project::{Connection, Operation, Project},
    run::{Counts, Failure, Run, Submission},
    sandbox::{Ledger, Sandbox},
};
use self::{agent::Setup, warm::Warm};

/// The environment that every world has.
pub const ENVIRONMENT: &str = "prod";
/// The group that serves it.
pub const GROUP: &str = "berlin";
/// Lines of each log that a failed test shows.
const SHOWN: usize = 60;

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
    dir: TempDir,
    closed: bool,
}

/// What a world should be like.
#[derive(Clone, Debug)]
pub struct Plan {
    settings: Vec<String>,
    requests: usize,
    controller_data: Option<PathBuf>,
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
        let world = Self { controller, api, sandbox: sandbox?, publisher, programs, dir, closed: false };
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

    /// A token that admits one agent to the group, valid for `life`.
    ///
    /// # Errors
    /// If the controller does not register it.
    pub async fn token(&self, life: Duration) -> Result<String> {
        let status = self.api.get("/v1/status").await?.accepted()?;
        let pin: SpkiPin =
            status.get("ca_pin").and_then(Value::as_str).context("the controller has no pin")?.parse()?;
        let token = EnrolmentToken::generate(pin)?;
        let half = json!({
            "token_id": token.id().as_str(),
            "auth_hash": token.auth_hash().to_string(),
            "expires_in_s": life.as_secs(),
        });
        self.api.post(&format!("/v1/groups/{GROUP}/enrolment-tokens"), &half).await?.accepted()?;
        Ok(token.reveal().to_string())
    }

    /// An agent that nobody has admitted yet.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn stranger(&self, name: &str) -> Result<Agent> {
        self.stranger_with_slots(name, 8)
    }

    fn stranger_with_slots(&self, name: &str, slots: u32) -> Result<Agent> {
        let program = self.programs.program("wherry-agent")?;
        let warm = Warm::open(&self.programs.scratch(), &program)?;
        let folder = self.dir.path().join("agents").join(name);
        let setup = Setup { name: name.to_owned(), folder, log: self.log(name), slots };
        let agent = Agent::new(program, &setup)?;
        warm.give(agent.data())?;
        Ok(agent)
    }

    /// An agent of the group with the secrets of the simulated systems, not running yet.
    ///
    /// # Errors
    /// If it is not admitted.
    pub async fn enrolled(&self, name: &str, slots: u32) -> Result<Agent> {
        let agent = self.stranger_with_slots(name, slots)?;
        let token = self.token(Duration::from_secs(600)).await?;
        let code = agent.enrol(&self.agent_url(), &token).await?;
        ensure!(code == Some(0), "{name} was not admitted:\n{}", process::tail(agent.log(), 10));
        let secrets = &self.sandbox.credentials;
        agent.learn(ENVIRONMENT, "desk-password", &secrets.desk.password).await?;
        agent.learn(ENVIRONMENT, "tracker-token", &secrets.tracker.token).await?;
        Ok(agent)
    }

    /// An agent of the group, running and welcomed.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn agent(&self, name: &str) -> Result<Agent> {
        let mut agent = self.enrolled(name, 8).await?;
        agent.start().await.with_context(|| process::tail(agent.log(), 20))?;
        Ok(agent)
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

    /// Ends the world of a test that found everything as it should be, after a last look: no program ended by itself,
    /// none complained of a defect, and the audit is whole.
    ///
    /// # Errors
    /// If that is not so.
    pub async fn close(mut self) -> Result<()> {
        self.controller.still_runs()?;
        self.sandbox.still_runs()?;
        audit::is_whole(&self.api).await?;
        for log in self.logs() {
            let text = fs::read_to_string(&log)?;
            ensure!(!text.contains("panicked at"), "a program panicked, see {}", log.display());
        }
        self.keep_compiled()?;
        self.closed = true;
        Ok(())
    }

    /// Saves the next test the time to compile.
    fn keep_compiled(&self) -> Result<()> {
        let Ok(agents) = fs::read_dir(self.dir.path().join("agents")) else { return Ok(()) };
        let warm = Warm::open(&self.programs.scratch(), &self.programs.program("wherry-agent")?)?;
        for agent in agents {
            warm.take(&agent?.path().join("data"))?;
        }
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(format!("{name}.log"))
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("logs")).into_iter().flatten();
        let mut logs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        logs.sort();
        logs
    }
}

impl Plan {
    /// With a setting of the controller, such as `lease.term=6s`.
    #[must_use]
    pub fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// With leases that end within seconds, for tests that let them.
    #[must_use]
    pub fn short_leases(self) -> Self {
        self.lease_of(4)
    }

    /// With leases of so many seconds, a second of grace and of margin, and a heartbeat each second.
    #[must_use]
    pub fn lease_of(self, seconds: u32) -> Self {
        self.setting(&format!("lease.term={seconds}s"))
            .setting("lease.grace=1s")
            .setting("lease.margin=1s")
            .setting("lease.heartbeat=1s")
    }

    /// With the controller's data in a folder of the test's own.
    #[must_use]
    pub fn controller_in(self, data: PathBuf) -> Self {
        Self { controller_data: Some(data), ..self }
    }

    /// With so many requests at the desk.
    #[must_use]
    pub fn requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// Brings the world to life.
    ///
    /// # Errors
    /// If a part does not come up.
    pub async fn start(self) -> Result<World> {
        World::build(self).await
    }
}

impl Drop for World {
    #[allow(clippy::print_stderr, reason = "the test failed and this is what its reader needs")]
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        for log in self.logs() {
            eprintln!("---- {}\n{}", log.display(), process::tail(&log, SHOWN));
        }
    }
}
