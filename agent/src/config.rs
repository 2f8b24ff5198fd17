//! What an agent owner can set: read as written, then checked as a whole. All faults are reported at once.

mod proxies;
mod raw;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use wherry_daemon::{
    config::{ConfigFaults, Faults, load},
    store::StoreOptions,
    telemetry::{LogOptions, check_filter},
    tls,
};
use wherry_domain::name::Name;
use wherry_proto::MAX_SLOTS;
use wherry_trust::keys::PublicKey;

use self::proxies::proxy;
pub use self::raw::Raw;
use self::raw::{RawWorker, RawWorkerMode};
use crate::{
    certificates::FileRules,
    connectors::{WorkerMode, WorkerRules},
    egress::{AddressRules, EgressSettings, Limits, TlsRules},
    net::{Proxy, WebAddress},
    oauth::place::LocationSettings,
    paths::DataDir,
    policy::PolicyPlace,
};

/// Most bytes that one answer may be allowed to have.
const MAX_RESPONSE_MIB: u64 = 1_024;
/// Most memory or disk, in MiB, that a setting may ask for.
const MAX_MIB: u64 = 1 << 20;
/// Below it there would be no room left for the results of what is under way.
const MIN_RESERVE_MIB: u64 = 8;
/// Processes without work that are kept at most: each takes some megabytes.
const MAX_WORKERS: u32 = 256;
/// Shorter, and a process would be started for every run.
const MIN_WORKER_IDLE: Duration = Duration::from_secs(1);
/// Longest time that a setting may ask for.
const MAX_TIME: Duration = Duration::from_secs(24 * 3_600);

/// The configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data: DataDir,
    /// The controller's address, if it differs from the one enrolled with.
    pub controller_url: Option<WebAddress>,
    /// What the agent calls itself in templates, if not as enrolled.
    pub name: Option<Name>,
    /// Where the owner's policy is.
    pub policy: Option<PolicyPlace>,
    /// Runs at once.
    pub slots: u32,
    /// How long runs may go on after a stop.
    pub grace: Duration,
    /// Logs.
    pub log: LogOptions,
    /// The way to the controller.
    pub controller_proxy: Option<Proxy>,
    /// Traffic to customers' systems.
    pub egress: EgressSettings,
    /// Only these keys may sign connectors; empty allows all that the organisation trusts.
    pub publishers: Vec<PublicKey>,
    /// The processes that connectors run in.
    pub workers: WorkerRules,
    /// What connectors write that may leave the agent.
    pub answers: Answers,
    /// Where tokens of OAuth 2.0 may lie.
    pub locations: LocationSettings,
    /// The journal.
    pub store: StoreOptions,
    /// As written, for `--check`; holds no secret.
    pub raw: Raw,
}

/// What connectors write that may leave the agent.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Answers to `wherry connection describe`.
    pub describe: bool,
    /// Records and words that actions answer with.
    pub actions: bool,
    /// The words of connectors' errors, refusals and logs.
    pub connector_text: bool,
    /// The file in which the owner can change that.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Loads file, environment and overrides, and checks the result.
    ///
    /// # Errors
    /// With every fault found.
    pub fn load(file: Option<&Path>, overrides: &[(String, String)]) -> Result<Self, ConfigFaults> {
        let mut config = Self::check(load("agent", file, overrides)?)?;
        config.answers.file = file.map(Path::to_owned);
        let beside = || file.map(|file| PolicyPlace { path: file.with_file_name("policy.toml"), named: false });
        config.policy = config.policy.or_else(beside);
        Ok(config)
    }

    /// Checks values that have the right shape.
    ///
    /// # Errors
    /// With every fault found.
    pub fn check(raw: Raw) -> Result<Self, ConfigFaults> {
        let mut faults = Faults::new();
        let data = DataDir::new(&raw.data_dir);
        ranges(&mut faults, &raw);
        faults.check("log.filter", check_filter(&raw.log.filter));
        let controller_url = raw.controller_url.clone().and_then(|url| controller_url(&mut faults, url));
        let controller_proxy =
            raw.controller_proxy.as_ref().and_then(|raw| proxy(&mut faults, "controller_proxy", None, raw));
        let egress = egress(&mut faults, &raw);
        let publishers = raw
            .connectors
            .publishers
            .iter()
            .enumerate()
            .filter_map(|(at, key)| faults.check(&format!("connectors.publishers.{at}"), key.parse()));
        let publishers = publishers.collect();
        let workers = workers(&mut faults, &raw);
        let locations = locations(&mut faults, &raw);
        let policy = policy(&mut faults, &raw);
        faults.into_result()?;
        let store = StoreOptions {
            cache_bytes: raw.store.cache_mib << 20,
            reserve_bytes: raw.store.reserve_mib << 20,
            ..StoreOptions::new(data.store())
        };
        Ok(Self {
            data,
            controller_url,
            name: raw.name.clone(),
            policy,
            slots: raw.slots,
            grace: raw.grace,
            log: raw.log.clone(),
            controller_proxy,
            egress,
            publishers,
            workers,
            answers: Answers {
                describe: raw.answers.describe,
                actions: raw.answers.actions,
                connector_text: raw.answers.connector_text,
                file: None,
            },
            locations,
            store,
            raw,
        })
    }
}

fn workers(faults: &mut Faults, raw: &Raw) -> WorkerRules {
    let RawWorker { mode, own_publishers, idle, keep } = &raw.worker;
    if *idle < MIN_WORKER_IDLE || *idle > MAX_TIME {
        faults.push("worker.idle", "is not between 1s and 24h");
    }
    if *keep > MAX_WORKERS {
        faults.push("worker.keep", format!("is more than {MAX_WORKERS}"));
    }
    let own = own_publishers.iter().enumerate();
    let own = own.filter_map(|(at, key)| faults.check(&format!("worker.own_publishers.{at}"), key.parse()));
    WorkerRules {
        own: own.collect(),
        mode: match mode {
            RawWorkerMode::All => WorkerMode::All,
            RawWorkerMode::ThirdParty => WorkerMode::ThirdParty,
            RawWorkerMode::Off => WorkerMode::Off,
        },
        idle: *idle,
        kept: usize::try_from(*keep).unwrap_or_default(),
    }
}

fn policy(faults: &mut Faults, raw: &Raw) -> Option<PolicyPlace> {
    let path = raw.policy_file.clone()?;
    if !path.is_absolute() {
        faults.push("policy_file", "is not an absolute path");
    }
    Some(PolicyPlace { path, named: true })
}

fn locations(faults: &mut Faults, raw: &Raw) -> LocationSettings {
    for (at, root) in raw.oauth.location_roots.iter().enumerate() {
        if !root.is_absolute() {
            faults.push(format!("oauth.location_roots.{at}"), "is not an absolute path");
        }
    }
    LocationSettings { enabled: raw.oauth.enable_local_file_location, roots: raw.oauth.location_roots.clone() }
}

fn ranges(faults: &mut Faults, raw: &Raw) {
    in_range(faults, "slots", u64::from(raw.slots), u64::from(MAX_SLOTS));
    in_range(faults, "store.cache_mib", raw.store.cache_mib, MAX_MIB);
    in_range(faults, "egress.response_limit_mib", raw.egress.response_limit_mib, MAX_RESPONSE_MIB);
    if !(MIN_RESERVE_MIB..=MAX_MIB).contains(&raw.store.reserve_mib) {
        faults.push("store.reserve_mib", format!("is not between {MIN_RESERVE_MIB} and {MAX_MIB}"));
    }
    if raw.grace > MAX_TIME {
        faults.push("grace", "is more than 24h");
    }
    let patience = [
        ("egress.connect_timeout", raw.egress.connect_timeout),
        ("egress.first_byte_timeout", raw.egress.first_byte_timeout),
        ("egress.idle_timeout", raw.egress.idle_timeout),
    ];
    for (path, time) in patience {
        if time.is_zero() || time > MAX_TIME {
            faults.push(path, "is not between 1ms and 24h");
        }
    }
}

fn in_range(faults: &mut Faults, path: &str, value: u64, most: u64) {
    if !(1..=most).contains(&value) {
        faults.push(path, format!("is not between 1 and {most}"));
    }
}

fn controller_url(faults: &mut Faults, url: WebAddress) -> Option<WebAddress> {
    match crate::link::Address::parse(&url, None) {
        Ok(_) => Some(url),
        Err(_) => {
            faults.push("controller_url", "is not the address of a controller, write it as https://host:8444");
            None
        }
    }
}

fn egress(faults: &mut Faults, raw: &Raw) -> EgressSettings {
    let rules = faults.check("egress.allow", AddressRules::new(&raw.egress.allow)).unwrap_or_default();
    let default = raw.proxy.as_ref().and_then(|raw| proxy(faults, "proxy", None, raw));
    let proxies = raw.proxies.iter().filter_map(|(name, raw)| {
        let made = proxy(faults, &format!("proxies.{name}"), Some(name), raw);
        made.map(|proxy| (name.clone(), proxy))
    });
    let proxies = proxies.collect();
    let mut extra_roots = Vec::new();
    for (at, file) in raw.tls.extra_ca_files.iter().enumerate() {
        let path = format!("tls.extra_ca_files.{at}");
        extra_roots.extend(faults.check(&path, tls::load_certificates(file)).unwrap_or_default());
    }
    let limits = Limits {
        response_bytes: raw.egress.response_limit_mib << 20,
        connect: raw.egress.connect_timeout,
        first_byte: raw.egress.first_byte_timeout,
        idle: raw.egress.idle_timeout,
    };
    let tls = TlsRules {
        refuse_invalid_certificates: raw.tls.refuse_invalid_certificates,
        refuse_non_tls: raw.tls.refuse_non_tls,
    };
    let files = FileRules { closed: vec![raw.data_dir.clone()], ..FileRules::default() };
    EgressSettings { rules, proxy: default, proxies, extra_roots, files, tls, limits, ..EgressSettings::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = Config::check(Raw::default()).unwrap();
        assert_eq!((config.slots, config.publishers.len()), (8, 0));
        assert!(config.controller_proxy.is_none() && config.egress.proxy.is_none());
    }

    #[test]
    fn a_policy_is_named_or_lies_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, "").unwrap();
        let beside = PolicyPlace { path: folder.path().join("policy.toml"), named: false };
        assert_eq!(Config::load(Some(&file), &[]).unwrap().policy, Some(beside));
        std::fs::write(&file, "policy_file = \"/etc/other.toml\"").unwrap();
        let named = PolicyPlace { path: "/etc/other.toml".into(), named: true };
        assert_eq!(Config::load(Some(&file), &[]).unwrap().policy, Some(named));
        std::fs::write(&file, "policy_file = \"other.toml\"").unwrap();
        assert_eq!(Config::load(Some(&file), &[]).unwrap_err().faults()[0].path, "policy_file");
    }

    #[test]
    fn a_reserve_that_leaves_no_room_for_results_is_refused() {
        let with = |reserve_mib| {
            let mut raw = Raw::default();
            raw.store.reserve_mib = reserve_mib;
            Config::check(raw).map_err(|error| error.faults()[0].path.clone()).map(|config| config.store.reserve_bytes)
        };
        assert_eq!(with(7), Err("store.reserve_mib".to_owned()));
        assert_eq!(with(8), Ok(8 << 20));
    }

    #[test]
    fn proxies_with_a_name_stand_beside_the_default_one() {
        let text = "[proxy]\nurl = \"http://proxy\"\n[proxies.dmz]\nurl = \"socks5h://dmz\"\nbypass = [\".corp\"]\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, text).unwrap();
        let egress = Config::load(Some(&file), &[]).unwrap().egress;
        let named: Vec<String> = egress.proxies.iter().map(|(name, proxy)| format!("{name} {proxy}")).collect();
        assert_eq!(
            (egress.proxy.unwrap().to_string(), named),
            ("proxy:3128".to_owned(), vec!["dmz dmz:1080".to_owned()])
        );
        assert!(egress.proxies.values().all(|proxy| proxy.bypasses("a.corp")));
    }

    #[test]
    fn every_fault_is_found_at_once_and_no_password_is_shown() {
        let mut raw = Raw { slots: 0, ..Raw::default() };
        raw.controller_url = Some("http://controller".parse().unwrap());
        raw.egress.allow = vec!["nonsense".to_owned()];
        raw.connectors.publishers = vec!["ed25519:short".to_owned()];
        raw.proxy = Some(raw::RawProxy {
            url: "http://user:hunter2@proxy:3128".parse().unwrap(),
            username: None,
            password_file: None,
            bypass: Vec::new(),
            ca_files: Vec::new(),
        });
        let error = Config::check(raw).unwrap_err();
        let mut paths: Vec<&str> = error.faults().iter().map(|fault| fault.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["connectors.publishers.0", "controller_url", "egress.allow", "proxy.url", "slots"]);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
