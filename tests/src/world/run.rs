//! Runs as the controller shows them, and asking for one.

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Answer, Api},
    wait,
};

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Its operation.
    pub operation: String,
    /// `queued`, `leased`, `unknown`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Dispatches so far.
    pub attempt: u32,
    /// The agent of the last one.
    pub agent: Option<String>,
    /// Records that went where, over all attempts.
    pub counts: Counts,
    /// The same of the last attempt alone.
    pub last_attempt: Counts,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The run whose end caused this one.
    pub caused_by: Option<String>,
    /// Results that came too late.
    pub late_results: u32,
    /// What happened to it.
    pub history: Vec<Happened>,
}

/// Records that went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    /// From the source.
    pub read: u64,
    /// Into the target.
    pub written: u64,
    /// Not into the target.
    pub rejected: u64,
    /// In so many batches.
    pub batches: u64,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// `retry` or `permanent`.
    pub class: String,
    /// Stable code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Whether something outside may have changed.
    pub effects_begun: bool,
}

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Happened {
    /// `dispatched`, `requeued`, `held`, `cancel_asked`, `late_result`, `recalled`.
    pub what: String,
    /// In which attempt.
    pub attempt: u32,
    /// On which agent.
    pub agent: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Run {
    /// Reads a run.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(body: Value) -> Result<Self> {
        serde_json::from_value(body).context("the controller shows a run of another shape")
    }

    /// Whether nothing more will happen to it.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled")
    }

    /// The code of its failure, or nothing.
    pub fn code(&self) -> &str {
        self.failure.as_ref().map_or("", |failure| &failure.code)
    }

    /// How often something happened to it.
    pub fn times(&self, what: &str) -> usize {
        self.history.iter().filter(|happened| happened.what == what).count()
    }

    /// Itself, if it succeeded.
    ///
    /// # Errors
    /// If it did not.
    pub fn succeeded(self) -> Result<Self> {
        ensure!(self.state == "succeeded", "the run did not succeed: {self:?}");
        Ok(self)
    }

    /// Itself, if it failed with this code.
    ///
    /// # Errors
    /// If it did not.
    pub fn failed_with(self, code: &str) -> Result<Self> {
        ensure!(self.state == "failed" && self.code() == code, "the run did not fail with {code}: {self:?}");
        Ok(self)
    }
}

/// A request to run an operation.
#[derive(Clone, Debug)]
pub struct Submission {
    api: Api,
    environment: String,
    operation: String,
    variables: Value,
    key: Option<String>,
}

impl Submission {
    pub(super) fn new(api: &Api, environment: &str, operation: &str) -> Self {
        Self {
            api: api.clone(),
            environment: environment.to_owned(),
            operation: operation.to_owned(),
            variables: json!({}),
            key: None,
        }
    }

    /// With these variables.
    #[must_use]
    pub fn with(self, variables: Value) -> Self {
        Self { variables, ..self }
    }

    /// Under this idempotency key.
    #[must_use]
    pub fn under(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// What the controller says to it, without waiting for the end.
    ///
    /// # Errors
    /// If no whole answer comes back.
    pub async fn answer(&self) -> Result<Answer> {
        self.send("").await
    }

    /// The run, as soon as it is durable.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn begin(&self) -> Result<Run> {
        Run::read(self.send("").await?.accepted()?)
    }

    /// The run, when it is over.
    ///
    /// # Errors
    /// If it is refused, or takes longer than half a minute.
    pub async fn end(&self) -> Result<Run> {
        let run = Run::read(self.send("?wait_ms=30000").await?.accepted()?)?;
        if !run.is_over() {
            let now = self.api.get(&format!("/v1/runs/{}", run.id)).await?.accepted()?;
            bail!("the run does not end: {now}");
        }
        Ok(run)
    }

    /// The run, asked for again and again until a controller that comes and goes has acknowledged it. Belongs with
    /// an idempotency key.
    ///
    /// # Errors
    /// If that takes longer than [`wait::PATIENCE`].
    pub async fn until_heard(&self) -> Result<Run> {
        let asking = async {
            loop {
                if let Ok(run) = self.begin().await {
                    return run;
                }
                tokio::time::sleep(wait::TICK).await;
            }
        };
        tokio::time::timeout(wait::PATIENCE, asking).await.context("the controller acknowledges nothing")
    }

    async fn send(&self, query: &str) -> Result<Answer> {
        let Self { api, environment, operation, variables, key } = self;
        let path = format!("/v1/environments/{environment}/operations/{operation}/runs{query}");
        let request = api.request(Method::POST, &path).json(&json!({ "variables": variables }));
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        api.send(request).await
    }
}
