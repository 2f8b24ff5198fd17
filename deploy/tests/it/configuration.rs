//! The example configurations, read by the programs they are for.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use wherry_agent::config::{Config as Agent, Raw};
use wherry_agent::policy::{Policy, PolicyPlace, RawPolicy};
use wherry_controller::config::Config as Controller;

#[test]
fn the_controller_accepts_its_example() {
    let config = Controller::load(Some(&file("controller.example.toml")), &[]).unwrap();
    assert_eq!(config.public_host(), Some("wherry.example"));
    assert_eq!(config.web.listen.port(), 8443);
}

#[test]
fn the_agent_accepts_its_example() {
    let config = Agent::load(Some(&file("agent.example.toml")), &[]).unwrap();
    assert_eq!((config.slots, config.publishers.len()), (8, 0));
}

#[test]
fn the_agent_accepts_its_example_with_every_line_that_is_commented_out() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("proxy.password");
    private(&password, "secret");
    let whole: Vec<_> = text("agent.example.toml").lines().map(|line| switched_on(line).to_owned()).collect();
    let path = folder.path().join("agent.toml");
    let authority = folder.path().join("proxy-ca.pem");
    private(&authority, &rcgen::generate_simple_self_signed(["proxy.example".to_owned()]).unwrap().cert.pem());
    let whole = whole
        .join("\n")
        .replace("/etc/wherry/proxy.password", &password.display().to_string())
        .replace("/etc/wherry/proxy-ca.pem", &authority.display().to_string());
    std::fs::write(&path, whole).unwrap();
    let config = Agent::load(Some(&path), &[]).unwrap();
    assert!(config.controller_proxy.is_some() && config.egress.proxy.is_some() && config.name.is_some());
}

#[test]
fn the_agent_accepts_the_example_of_a_policy_with_and_without_its_comments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let example = text("policy.example.toml");
    let whole: Vec<_> = example.lines().map(switched_on).collect();
    for text in [example.clone(), whole.join("\n").replace("deployments = false", "deployments = true")] {
        drop(std::fs::remove_file(&path));
        private(&path, &text);
        let place = PolicyPlace { path: path.clone(), named: true };
        let rules = Policy::open(Some(place), 0).unwrap().rules();
        assert_eq!(rules.slots(), Some(4));
        assert_eq!(rules.host("jira.example.com", 443), Ok(true));
        assert!(rules.host("vault.corp.example", 443).is_err());
    }
    let known = serde_json::json!({
        "connectors": ["allowed", "publishers"], "network": ["allowed", "denied"],
        "answers": ["describe", "actions", "connector_text"], "files": ["roots"],
        "listeners": ["allowed"],
        "work": ["slots", "hours", "timezone"], "deployments": ["require_signed_deployments", "operators"],
    });
    let sections = serde_json::to_value(RawPolicy::default()).unwrap();
    assert!(sections.as_object().unwrap().keys().eq(known.as_object().unwrap().keys()), "a section is missing here");
    let mentioned = |key: &str| whole.iter().any(|line| line.starts_with(&format!("{key} = ")));
    for (section, keys) in known.as_object().unwrap() {
        assert!(whole.contains(&format!("[{section}]").as_str()), "{section}");
        keys.as_array().unwrap().iter().for_each(|key| assert!(mentioned(key.as_str().unwrap()), "{section}.{key}"));
    }
}

#[test]
fn the_examples_name_every_key_there_is() {
    let controller = serde_json::to_value(Controller::default()).unwrap();
    assert_eq!(missing(&controller, &text("controller.example.toml")), [""; 0]);
    let agent = serde_json::to_value(Raw::default()).unwrap();
    assert_eq!(missing(&agent, &text("agent.example.toml")), [""; 0]);
}

#[test]
fn systemd_leaves_the_agent_more_time_to_stop_than_its_runs_have() {
    let config = Agent::load(Some(&file("agent.example.toml")), &[]).unwrap();
    let unit = text("wherry-agent.service");
    let minutes = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix("min")).unwrap();
    assert!(minutes.parse::<u64>().unwrap() * 60 > config.grace.as_secs());
}

/// The keys of a configuration that the text does not mention as `key =` or `[key]`, commented out or not.
fn missing(known: &Value, text: &str) -> Vec<String> {
    let sections = known.as_object().unwrap();
    let inner = sections.values().filter_map(Value::as_object).flat_map(Map::keys);
    let mentioned = |key: &String| {
        let mut lines = text.lines().map(switched_on);
        let section = |line: &str| line == format!("[{key}]") || line.starts_with(&format!("[{key}."));
        lines.any(|line| line.starts_with(&format!("{key} = ")) || section(line))
    };
    sections.keys().chain(inner).filter(|key| !mentioned(key)).cloned().collect()
}

/// A setting that is commented out has no space behind the `#`; what is said about settings has one.
fn switched_on(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
}

fn private(path: &Path, content: &str) {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
