//! The configuration as written. Every key has a default; unknown keys are refused.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use wherry_daemon::telemetry::LogOptions;
use wherry_domain::{duration, name::Name};

use crate::net::WebAddress;

/// The configuration file of an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Raw {
    /// Folder for everything the agent keeps.
    pub data_dir: PathBuf,
    /// The controller's address for agents; written by `enrol` into the identity, so rarely needed here.
    pub controller_url: Option<WebAddress>,
    /// What `{{ agent.name }}` stands for, if not the name enrolled with.
    pub name: Option<Name>,
    /// The owner's policy file; without it `policy.toml` beside this file, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<PathBuf>,
    /// Runs at once, 1 to 256.
    pub slots: u32,
    /// How long runs may go on after a stop.
    #[serde(with = "duration::text")]
    pub grace: Duration,
    /// Logs on standard error.
    pub log: LogOptions,
    /// The proxy between the agent and its controller.
    pub controller_proxy: Option<RawProxy>,
    /// The proxy for connections with `use_proxy`.
    pub proxy: Option<RawProxy>,
    /// Proxies for connections that name one.
    pub proxies: BTreeMap<Name, RawProxy>,
    /// TLS towards customers' systems.
    pub tls: RawTls,
    /// Traffic to customers' systems.
    pub egress: RawEgress,
    /// Which connectors may run.
    pub connectors: RawConnectors,
    /// The processes that connectors run in.
    pub worker: RawWorker,
    /// What connectors write that may leave the agent.
    pub answers: RawAnswers,
    /// Tokens of OAuth 2.0.
    pub oauth: RawOAuth,
    /// The journal.
    pub store: RawStore,
}

/// A proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawProxy {
    /// `http://`, `https://`, `socks5://` or `socks5h://`, then `host:port`.
    pub url: WebAddress,
    /// For basic authentication, or that of SOCKS5.
    #[serde(default)]
    pub username: Option<String>,
    /// File with the password, readable by the agent only.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Hosts, suffixes (`.example.com`), addresses and networks (`10.0.0.0/8`) that do not go through it.
    #[serde(default)]
    pub bypass: Vec<String>,
    /// PEM files with authorities that may have issued the certificate of an `https://` proxy, beside the platform's.
    #[serde(default)]
    pub ca_files: Vec<PathBuf>,
}

/// TLS towards customers' systems.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawTls {
    /// PEM files with authorities trusted beside the platform's.
    pub extra_ca_files: Vec<PathBuf>,
    /// Whether connections with `allow_invalid_certificates` are refused.
    pub refuse_invalid_certificates: bool,
    /// Whether connections with `use_non_tls_connections` are refused.
    pub refuse_non_tls: bool,
}

/// Traffic to customers' systems.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawEgress {
    /// `host:port` of addresses that are otherwise never reached, such as `169.254.169.254:80`.
    pub allow: Vec<String>,
    /// Largest answer, in MiB.
    pub response_limit_mib: u64,
    /// Longest time for name lookup, connection and TLS, each.
    #[serde(with = "duration::text")]
    pub connect_timeout: Duration,
    /// Longest wait for an answer to begin.
    #[serde(with = "duration::text")]
    pub first_byte_timeout: Duration,
    /// Longest silence within an answer.
    #[serde(with = "duration::text")]
    pub idle_timeout: Duration,
}

/// Which connectors may run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConnectors {
    /// Public keys (`ed25519:...`); if there are any, only connectors they signed run here.
    pub publishers: Vec<String>,
}

/// The processes that connectors run in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawWorker {
    /// Which connectors get one: `all`, `third_party` or `off`.
    pub mode: RawWorkerMode,
    /// Public keys (`ed25519:...`) of publishers that are no third parties.
    pub own_publishers: Vec<String>,
    /// How long a process without work is kept.
    #[serde(with = "duration::text")]
    pub idle: Duration,
    /// How many processes without work are kept.
    pub keep: u32,
}

/// Which connectors run in processes of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawWorkerMode {
    /// All.
    #[default]
    All,
    /// All but those of the owner's own publishers.
    ThirdParty,
    /// None.
    Off,
}

impl Default for RawWorker {
    fn default() -> Self {
        Self { mode: RawWorkerMode::default(), own_publishers: Vec::new(), idle: Duration::from_secs(300), keep: 8 }
    }
}

/// Tokens of OAuth 2.0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawOAuth {
    /// Whether projects may choose where tokens lie, with `oauth_settings_location`.
    pub enable_local_file_location: bool,
    /// Below which folders; none means `oauth-files` in the data folder.
    pub location_roots: Vec<PathBuf>,
}

/// What connectors write that may leave the agent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawAnswers {
    /// Answers to `wherry connection describe`.
    pub describe: bool,
    /// Records and words that actions answer with.
    pub actions: bool,
    /// The words of connectors' errors, refusals and logs.
    pub connector_text: bool,
}

/// The journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawStore {
    /// Memory for its page cache, in MiB.
    pub cache_mib: u64,
    /// Disk space that new runs may not touch, in MiB.
    pub reserve_mib: u64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/wherry-agent"),
            controller_url: None,
            name: None,
            policy_file: None,
            slots: 8,
            grace: Duration::from_secs(30),
            log: LogOptions::default(),
            controller_proxy: None,
            proxy: None,
            proxies: BTreeMap::new(),
            tls: RawTls::default(),
            egress: RawEgress::default(),
            connectors: RawConnectors::default(),
            worker: RawWorker::default(),
            answers: RawAnswers::default(),
            oauth: RawOAuth::default(),
            store: RawStore::default(),
        }
    }
}

impl Default for RawEgress {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            response_limit_mib: 10,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for RawStore {
    fn default() -> Self {
        Self { cache_mib: 2, reserve_mib: 64 }
    }
}
