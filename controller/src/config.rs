//! What an operator can set. All faults are reported at once, before anything is bound.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use wherry_daemon::{
    config::{ConfigFaults, Faults, load},
    telemetry::{LogOptions, check_filter},
};
use wherry_domain::{duration, lease::LeaseTerms, project::application::origin};

/// Below it there would be no room left for results and cancellations.
const MIN_RESERVE_MIB: u64 = 8;

/// The configuration; every key has a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for everything the controller keeps.
    pub data_dir: PathBuf,
    /// The port for people.
    pub web: Web,
    /// The port for agents.
    pub agents: Agents,
    /// Terms of every lease.
    pub lease: Lease,
    /// How long things are kept.
    pub retention: Retention,
    /// The embedded store.
    pub store: StoreSettings,
    /// The log on standard error.
    pub log: LogOptions,
}

/// The port for people: REST and server-sent events.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// PEM file with the certificate chain.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with its key.
    pub tls_key: Option<PathBuf>,
    /// How people reach it. Providers of OAuth send browsers back to `/oauth/callback` below it. If empty, the address
    /// that it listens on.
    pub public_url: String,
    /// Allows plain HTTP beyond loopback, for use behind a TLS proxy on the same machine or pod.
    pub allow_plain: bool,
}

/// The port for agents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How agents reach it; its host goes into the server's certificate. With port 0, that of
    /// `listen` is used.
    pub public_url: String,
    /// Trust domain in the names of agents.
    pub domain: String,
    /// Life of an agent's certificate, 1 minute to 72 hours.
    #[serde(with = "duration::text")]
    pub certificate_life: Duration,
}

/// Terms of every lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lease {
    /// How long a grant lasts.
    #[serde(with = "duration::text")]
    pub term: Duration,
    /// How much longer the controller waits.
    #[serde(with = "duration::text")]
    pub grace: Duration,
    /// How long before its end the agent begins no new effect.
    #[serde(with = "duration::text")]
    pub margin: Duration,
    /// How often agents renew.
    #[serde(with = "duration::text")]
    pub heartbeat: Duration,
}

/// How long things are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Finished runs with their logs.
    #[serde(with = "duration::text")]
    pub runs: Duration,
    /// Most runs that wait or are leased at once.
    pub max_active: usize,
}

/// The embedded store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Memory for its page cache.
    pub cache_mib: u64,
    /// Disk space that new work may not touch.
    pub reserve_mib: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/wherry-controller"),
            web: Web::default(),
            agents: Agents::default(),
            lease: Lease::default(),
            retention: Retention::default(),
            store: StoreSettings::default(),
            log: LogOptions::default(),
        }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            tls_cert: None,
            tls_key: None,
            public_url: String::new(),
            allow_plain: false,
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8444)),
            public_url: "https://localhost:8444".to_owned(),
            domain: "wherry.local".to_owned(),
            certificate_life: Duration::from_secs(24 * 3_600),
        }
    }
}

impl Default for Lease {
    fn default() -> Self {
        let LeaseTerms { term, grace, margin } = LeaseTerms::default();
        Self { term, grace, margin, heartbeat: Duration::from_secs(10) }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { runs: Duration::from_secs(30 * 86_400), max_active: 100_000 }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { cache_mib: 8, reserve_mib: 64 }
    }
}

impl Config {
    /// Loads and checks it.
    ///
    /// # Errors
    /// With every fault there is.
    pub fn load(file: Option<&Path>, overrides: &[(String, String)]) -> Result<Self, ConfigFaults> {
        let config: Self = load("controller", file, overrides)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigFaults> {
        let mut faults = Faults::new();
        if self.web.tls_cert.is_some() != self.web.tls_key.is_some() {
            faults.push("web.tls_key", "set both web.tls_cert and web.tls_key, or neither");
        }
        if self.web.tls_cert.is_none() && !self.web.listen.ip().is_loopback() && !self.web.allow_plain {
            faults
                .push("web.listen", "without a certificate only loopback is allowed: set web.tls_cert and web.tls_key");
        }
        let public = self.web.public_url.as_str();
        if !public.is_empty() && origin(public).is_none() {
            faults.push("web.public_url", "it must be https:// and a host, or http:// and this machine");
        }
        if self.public_host().is_none() {
            faults.push("agents.public_url", "it must be https:// and a host, with or without a port");
        }
        let life = self.agents.certificate_life;
        if !(Duration::from_secs(60)..=Duration::from_secs(72 * 3_600)).contains(&life) {
            faults.push("agents.certificate_life", "it must be 1m to 72h");
        }
        self.check_lease(&mut faults);
        if self.retention.max_active == 0 || self.retention.max_active > 1_000_000 {
            faults.push("retention.max_active", "it must be 1 to 1000000");
        }
        if self.store.reserve_mib < MIN_RESERVE_MIB {
            faults.push("store.reserve_mib", format!("it must be at least {MIN_RESERVE_MIB}"));
        }
        faults.check("log.filter", check_filter(&self.log.filter));
        faults.into_result()
    }

    fn check_lease(&self, faults: &mut Faults) {
        let Lease { term, grace, margin, heartbeat } = self.lease;
        if term.is_zero() || term > Duration::from_secs(3_600) || grace.is_zero() {
            faults.push("lease.term", "it must be more than 0 and at most 1h, and lease.grace more than 0");
        }
        if margin >= term || margin.is_zero() {
            faults.push("lease.margin", "it must be more than 0 and shorter than lease.term");
        }
        if heartbeat.is_zero() || heartbeat * 3 > term {
            faults.push("lease.heartbeat", "at least three must fit into lease.term");
        }
    }

    /// The host in `agents.public_url`.
    pub fn public_host(&self) -> Option<&str> {
        let authority = self.agents.public_url.strip_prefix("https://")?.trim_end_matches('/');
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            Some(_) | None => authority,
        };
        let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        plain.then_some(host)
    }

    /// The terms as the domain knows them.
    pub const fn lease_terms(&self) -> LeaseTerms {
        LeaseTerms { term: self.lease.term, grace: self.lease.grace, margin: self.lease.margin }
    }
}
