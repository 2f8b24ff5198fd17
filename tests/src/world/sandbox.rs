//! The simulated systems as a process: a desk to read from, a tracker to write to, faults, and a ledger of effects.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{
    process::Process,
    programs::Programs,
    wait::{self, PATIENCE},
};

/// The simulated systems.
#[derive(Debug)]
pub struct Sandbox {
    /// Where they listen.
    pub url: String,
    /// What they want to be shown.
    pub credentials: Credentials,
    client: Client,
    process: Process,
}

/// What callers must present.
#[derive(Clone, Debug, Deserialize)]
pub struct Credentials {
    /// For the desk.
    pub desk: Basic,
    /// For the tracker.
    pub tracker: Bearer,
}

/// HTTP Basic.
#[derive(Clone, Debug, Deserialize)]
pub struct Basic {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

/// A bearer token.
#[derive(Clone, Debug, Deserialize)]
pub struct Bearer {
    /// The token.
    pub token: String,
}

/// Every effect the tracker has seen.
#[derive(Clone, Debug, Deserialize)]
pub struct Ledger {
    /// Issues created.
    pub created: usize,
    /// Repetitions recognised by their key.
    pub replayed: usize,
    /// Records that became more than one issue.
    pub duplicates: BTreeMap<String, usize>,
    /// Oldest first.
    pub entries: Vec<Entry>,
}

/// One effect.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// `created` or `replayed`.
    pub outcome: String,
    /// The caller's key.
    pub idempotency_key: Option<String>,
    /// The caller's name for the record.
    pub external_id: Option<String>,
}

#[derive(Deserialize)]
struct Greeting {
    url: String,
    #[serde(flatten)]
    credentials: Credentials,
}

impl Sandbox {
    /// Starts it with so many requests at the desk.
    pub(super) async fn start(programs: &Programs, requests: usize, log: &Path) -> Result<Self> {
        let mut command = Command::new(programs.program("wherry-sandbox")?);
        command.args(["--requests", &requests.to_string()]).stdout(Stdio::piped());
        let mut process = Process::start("the sandbox", command, log)?;
        let mut output = BufReader::new(process.output().context("the sandbox has no output")?).lines();
        let line = tokio::time::timeout(PATIENCE, output.next_line()).await.context("the sandbox says nothing")??;
        let greeting: Greeting = serde_json::from_str(&line.context("the sandbox ended")?)?;
        let client = Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { url: greeting.url, credentials: greeting.credentials, client, process })
    }

    /// Everything that had an effect so far.
    ///
    /// # Errors
    /// If the sandbox does not answer.
    pub async fn ledger(&self) -> Result<Ledger> {
        Ok(self.client.get(format!("{}/_ledger", self.url)).send().await?.json().await?)
    }

    /// Replaces the fault rules.
    ///
    /// # Errors
    /// If the sandbox refuses them.
    pub async fn misbehave(&self, rules: Value) -> Result<()> {
        let url = format!("{}/_faults", self.url);
        agreed(self.client.put(url).json(&rules).send().await?).await
    }

    /// Forgets the fault rules.
    ///
    /// # Errors
    /// If the sandbox does not answer.
    pub async fn behave(&self) -> Result<()> {
        agreed(self.client.delete(format!("{}/_faults", self.url)).send().await?).await
    }

    /// Waits until the fault rules have struck so often in all.
    ///
    /// # Errors
    /// If that does not happen.
    pub async fn has_misbehaved(&self, times: u64) -> Result<()> {
        wait::until("the sandbox misbehaves", async || {
            let rules: Vec<Value> = self.client.get(format!("{}/_faults", self.url)).send().await?.json().await?;
            let hits: u64 = rules.iter().filter_map(|rule| rule.get("hits")?.as_u64()).sum();
            Ok((hits >= times).then_some(()))
        })
        .await
    }

    /// Waits until there are so many issues.
    ///
    /// # Errors
    /// If that does not happen.
    pub async fn has_created(&self, issues: usize) -> Result<()> {
        wait::until("the tracker has the issues", async || Ok((self.ledger().await?.created >= issues).then_some(())))
            .await
    }

    /// Issues that are created while nobody expects any.
    ///
    /// # Errors
    /// If there is another one within `time`.
    pub async fn creates_nothing_for(&self, time: Duration) -> Result<()> {
        let before = self.ledger().await?.entries.len();
        let more = async || Ok(self.ledger().await?.entries.len() > before);
        wait::never_during(time, "the tracker hears of another issue", more).await
    }

    pub(super) fn still_runs(&mut self) -> Result<()> {
        self.process.still_runs()
    }
}

async fn agreed(answer: Response) -> Result<()> {
    let status = answer.status();
    if !status.is_success() {
        bail!("the sandbox answered {status}: {}", answer.text().await?);
    }
    Ok(())
}
