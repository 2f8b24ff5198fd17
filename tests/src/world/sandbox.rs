//! The simulated systems as a process: a look-alike of Jira Service Management, a plain desk to read from, a tracker
//! to write to, faults, and ledgers of effects.

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
    /// The accounts of the look-alike.
    pub jsm: Accounts,
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

/// The accounts of the look-alike of Jira Service Management.
#[derive(Clone, Debug, Deserialize)]
pub struct Accounts {
    /// `cloud` or `data-center`.
    pub flavour: String,
    /// Who works at the desks: HTTP Basic with [`Self::token`].
    pub user: String,
    /// The API token; on Data Center also the password and the personal access token.
    pub token: String,
    /// A customer, who may do much less.
    pub customer: Account,
    /// Under `/ex/jira/{cloud_id}` the token is taken as a bearer token too.
    pub cloud_id: Option<String>,
}

/// An account of the look-alike.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// The address on Cloud, the name on Data Center.
    pub user: String,
    /// As in [`Accounts`].
    pub token: String,
}

/// Everything that was done to the look-alike.
#[derive(Clone, Debug, Deserialize)]
pub struct DeskLedger {
    /// Issues and requests created.
    pub created: usize,
    /// Comments written.
    pub comments: usize,
    /// Everything, these two included.
    pub changes: usize,
    /// External references, or first labels, that became more than one issue.
    pub duplicates: BTreeMap<String, usize>,
    /// Oldest first.
    pub entries: Vec<DeskEntry>,
}

/// One change.
#[derive(Clone, Debug, Deserialize)]
pub struct DeskEntry {
    /// `created`, `edited`, `deleted`, `commented`, `transitioned`, `shared`, `attached`, `decided` or `linked`.
    pub effect: String,
    /// The key of the issue.
    pub issue: String,
    /// Its external reference, or its first label.
    pub reference: Option<String>,
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
    jsm: Accounts,
}

impl Sandbox {
    /// Starts it with so many requests at each desk.
    pub(super) async fn start(programs: &Programs, requests: usize, log: &Path) -> Result<Self> {
        Self::alone(programs, &["--requests", &requests.to_string()], log).await
    }

    /// Starts it for a test that needs no world, with the arguments of the program `wherry-sandbox`.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn alone(programs: &Programs, arguments: &[&str], log: &Path) -> Result<Self> {
        // Another one of this process may have done it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut command = Command::new(programs.program("wherry-sandbox")?);
        command.args(arguments).stdout(Stdio::piped());
        let mut process = Process::start("the sandbox", command, log)?;
        let mut output = BufReader::new(process.output().context("the sandbox has no output")?).lines();
        let line = tokio::time::timeout(PATIENCE, output.next_line()).await.context("the sandbox says nothing")??;
        let greeting: Greeting = serde_json::from_str(&line.context("the sandbox ended")?)?;
        let client = Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let Greeting { url, credentials, jsm } = greeting;
        Ok(Self { url, credentials, jsm, client, process })
    }

    /// Everything that had an effect so far.
    ///
    /// # Errors
    /// If the sandbox does not answer.
    pub async fn ledger(&self) -> Result<Ledger> {
        Ok(self.client.get(format!("{}/_ledger", self.url)).send().await?.json().await?)
    }

    /// Everything that was done to the look-alike so far.
    ///
    /// # Errors
    /// If the sandbox does not answer.
    pub async fn desk_ledger(&self) -> Result<DeskLedger> {
        Ok(self.client.get(format!("{}/_sandbox/ledger", self.url)).send().await?.json().await?)
    }

    /// Lets new issues of the look-alike stay out of searches for so long.
    ///
    /// # Errors
    /// If the sandbox does not answer.
    pub async fn index_lags(&self, time: Duration) -> Result<()> {
        let settings = serde_json::json!({ "index_lag_ms": time.as_millis() });
        agreed(self.client.put(format!("{}/_sandbox/settings", self.url)).json(&settings).send().await?).await
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
