//! The simulated Jira Service Management as a process of its own, so that its work burdens both sides alike.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use serde_json::Value;

use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running system.
pub(crate) struct System {
    /// Where it listens.
    pub(crate) url: String,
    /// Its account.
    pub(crate) user: String,
    /// The account's API token.
    pub(crate) token: String,
    _process: Process,
}

impl System {
    /// Starts one with so many requests.
    ///
    /// # Errors
    /// If it does not say where it listens.
    pub(crate) async fn start(dir: &Path, requests: u64) -> anyhow::Result<Self> {
        let log = dir.join(format!("system-{requests}.log"));
        let arguments = ["--requests".to_owned(), requests.to_string()];
        let process = Process::start("wherry-sandbox", &arguments, log.clone())?;
        let first = tokio::time::timeout(PATIENCE, async {
            loop {
                let text = fs::read_to_string(&log)?;
                if let Some((line, _)) = text.split_once('\n') {
                    return serde_json::from_str::<Value>(line).with_context(|| format!("it says {line}"));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let said = first.await.context("the system does not get ready")??;
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("incomplete: {said}"));
        Ok(Self {
            url: text(&said["url"])?,
            user: text(&said["jsm"]["user"])?,
            token: text(&said["jsm"]["token"])?,
            _process: process,
        })
    }
}
