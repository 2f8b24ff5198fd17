//! The example configurations, read by the programs they are for.

use std::path::{Path, PathBuf};

use wherry_controller::config::Config as Controller;

#[test]
fn the_controller_accepts_its_example() {
    let config = Controller::load(Some(&file("controller.example.toml")), &[]).unwrap();
    assert_eq!(config.public_host(), Some("wherry.example"));
    assert_eq!(config.web.listen.port(), 8443);
}

#[test]
fn the_controllers_example_names_every_key_there_is() {
    let known = serde_json::to_value(Controller::default()).unwrap();
    assert_eq!(missing(&known, &text("controller.example.toml")), [""; 0]);
}

/// The keys of a configuration that the text does not mention as `key =`, commented out or not.
fn missing(known: &serde_json::Value, text: &str) -> Vec<String> {
    let mentioned = |key: &str| {
        let mut lines = text.lines().map(|line| line.trim_start_matches('#').trim_start());
        lines.any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')) || line == format!("[{key}]"))
    };
    let sections = known.as_object().unwrap();
    let inner = sections.values().filter_map(serde_json::Value::as_object).flat_map(serde_json::Map::keys);
    sections.keys().chain(inner).filter(|key| !mentioned(key)).cloned().collect()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}
