//! The kit for authors of connectors: a new project, its component in the real host, and its package.
//!
//! What needs the real host runs where `cargo xtask test` says where `wherry-agent` and the connectors are.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::{Value, json};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn a_new_connector_has_all_it_needs_and_never_overwrites_anything() {
    let folder = tempfile::tempdir().unwrap();
    let made = |language: &str| {
        let place = folder.path().join(language);
        let output = wherry(&[
            "connector",
            "new",
            "acme-crm",
            "--lang",
            language,
            "--sdk",
            REPOSITORY,
            "--folder",
            place.to_str().unwrap(),
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        place
    };
    let rust = made("rust");
    let manifest = fs::read_to_string(rust.join("Cargo.toml")).unwrap();
    let kit = manifest.lines().find_map(|line| line.strip_prefix("wherry-sdk = { path = \"")?.strip_suffix("\" }"));
    assert!(Path::new(kit.unwrap()).join("Cargo.toml").is_file(), "{manifest}");
    assert!(rust.join("src/descriptor.json").is_file() && rust.join("Cargo.lock").is_file());
    assert!(made("js").join("wit/deps/http.wit").is_file());
    let python = folder.path().join("python");
    let refused = wherry(&["connector", "new", "acme-crm", "--lang", "python", "--folder", python.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("connector.language_unsupported"));
    assert!(!python.exists(), "nothing is left half");
    let again = wherry(&["connector", "new", "acme-crm", "--sdk", REPOSITORY, "--folder", rust.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&again.stderr).contains("connector.folder_in_use"));
    let nowhere = folder.path().join("x");
    let without = wherry(&["connector", "new", "a", "--sdk", "/", "--folder", nowhere.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&without.stderr).contains("connector.sdk_missing"));
    assert!(!nowhere.exists());
    // Cargo would refuse the package later.
    for name in ["9books", "wherry-sdk", "wherry-sdk-macros"] {
        let refused = wherry(&["connector", "new", name, "--sdk", REPOSITORY, "--folder", nowhere.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("connector.name_unsuitable"), "{name}");
        assert!(!nowhere.exists(), "{name}");
    }
}

#[test]
fn a_program_outside_of_its_checkout_still_finds_the_kit() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("wherry");
    fs::copy(env!("CARGO_BIN_EXE_wherry"), &elsewhere).unwrap();
    let place = folder.path().join("acme-crm");
    let made =
        Command::new(&elsewhere).args(["connector", "new", "acme-crm", "--folder"]).arg(&place).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(place.join("Cargo.lock").is_file());
}

#[test]
fn the_example_keeps_the_contract_in_the_real_host() {
    let Some(component) = component("contacts", "the_example_keeps_the_contract_in_the_real_host") else { return };
    let (output, told) = test(&Path::new(REPOSITORY).join("plugins/examples/contacts"), &component);
    assert!(output.status.success(), "{told:#}{}", String::from_utf8_lossy(&output.stderr));
    let checks: Vec<&str> =
        told["items"].as_array().unwrap().iter().map(|item| item["check"].as_str().unwrap()).collect();
    for wanted in ["descriptor", "recording", "result", "schemas", "secrets", "repeated page", "cancel", "status 401"] {
        assert!(checks.contains(&wanted), "{wanted} is not among {checks:?}");
    }
}

#[test]
fn the_recordings_of_request_tracker_are_replayed_by_its_manifest() {
    let name = "the_recordings_of_request_tracker_are_replayed_by_its_manifest";
    if component("declarative", name).is_none() {
        return;
    }
    let folder = Path::new(REPOSITORY).join("plugins/examples/request-tracker");
    let recordings = fs::read_dir(folder.join("tests"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".http.json"));
    let output = wherry(&["connector", "test", folder.to_str().unwrap(), "--output", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success(), "{told:#}{}", String::from_utf8_lossy(&output.stderr));
    let checks = told["items"].as_array().unwrap();
    let replayed = checks.iter().filter(|check| check["check"] == "recording").count();
    assert_eq!(replayed, recordings.count(), "each recording belongs to a case");
    assert!(replayed >= 10, "{told:#}");
}

#[test]
fn drift_a_wrong_result_and_a_secret_in_a_record_each_fail_their_check() {
    let test_name = "drift_a_wrong_result_and_a_secret_in_a_record_each_fail_their_check";
    let Some(component) = component("contacts", test_name) else { return };
    let folder = tempfile::tempdir().unwrap();
    let tests = folder.path().join("tests");
    fs::create_dir(&tests).unwrap();
    let case = "activity: contact.query\nconnection: { options: { workspace: w } }\nwith: { pages: 1 }\nexpect: { count: 2 }\n";
    fs::write(tests.join("a.yaml"), case).unwrap();
    let page = json!({ "contacts": [{ "id": "a", "name": "wherry-canary-4711" }], "is_last": true });
    let recording = json!([
        { "method": "GET", "path": "/workspaces/w/contacts?limit=100&state=active", "body": page },
        { "method": "GET", "path": "/never", "body": {} },
    ]);
    fs::write(tests.join("a.http.json"), recording.to_string()).unwrap();
    let (output, told) = test(folder.path(), &component);
    assert_eq!(output.status.code(), Some(1));
    let faults = |check: &str| {
        let found = told["items"].as_array().unwrap().iter().find(|item| item["check"] == check);
        found.unwrap()["faults"].to_string()
    };
    assert!(faults("recording").contains("nobody asked for: GET /never"), "{told:#}");
    assert!(faults("schemas").contains("with"), "{told:#}");
    // The parameter is unknown, so nothing was read.
    assert!(faults("result").contains("connector.params_invalid"), "{told:#}");
    fs::write(tests.join("a.yaml"), case.replace("with: { pages: 1 }\n", "")).unwrap();
    let (_, told) = test(folder.path(), &component);
    let faults = |check: &str| {
        let found = told["items"].as_array().unwrap().iter().find(|item| item["check"] == check);
        found.unwrap()["faults"].to_string()
    };
    assert!(faults("result").contains("1 records, not 2"), "{told:#}");
    assert!(faults("secrets").contains("a secret stands in a record"), "{told:#}");
}

#[test]
fn a_component_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tests")).unwrap();
    fs::write(folder.path().join("tests/a.yaml"), "activity: test\n").unwrap();
    let missing = folder.path().join("missing.wasm").display().to_string();
    let refused = wherry(&["connector", "test", folder.path().to_str().unwrap(), "--wasm", &missing]);
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(stderr.contains("client.file_unreadable") && stderr.contains(&format!("  where  {missing}\n")), "{stderr}");
}

#[test]
fn recording_what_changes_something_asks_first_and_a_failure_nobody_asked_for_is_not_kept() {
    let test_name = "recording_what_changes_something_asks_first_and_a_failure_nobody_asked_for_is_not_kept";
    let Some(component) = component("contacts", test_name) else { return };
    let system = System::start();
    let folder = tempfile::tempdir().unwrap();
    let tests = folder.path().join("tests");
    fs::create_dir(&tests).unwrap();
    let [case, recording] = ["upsert.yaml", "upsert.http.json"].map(|name| tests.join(name));
    let content =
        "activity: contact.upsert\nconnection: { options: { workspace: w } }\ninput:\n  - { id: a, name: Ada }\n";
    fs::write(&case, content).unwrap();
    let record = |more: &[&str]| {
        let here = ["connector", "test", folder.path().to_str().unwrap(), "--wasm", component.to_str().unwrap()];
        wherry(&[here.as_slice(), &["--record", &system.url], more].concat())
    };
    let asked = record(&[]);
    let stderr = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(
        stderr.contains("client.confirmation_needed") && stderr.contains("upsert calls contact.upsert"),
        "{stderr}"
    );
    assert_eq!((system.seen(), recording.exists()), (0, false));
    // The system is busy: 429 is no answer to keep.
    let busy = record(&["--yes"]);
    let stderr = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(stderr.contains("connector.recording_failed") && stderr.contains("http.throttled"), "{stderr}");
    assert!(system.seen() > 0 && !recording.exists(), "{stderr}");
    // The case may be about it.
    fs::write(&case, format!("{content}expect: {{ error: {{ code: http.throttled }}, acked: 1 }}\n")).unwrap();
    let kept = record(&["--yes"]);
    let stderr = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert!(recording.exists() && stderr.contains("read it before you keep it"), "{stderr}");
    // Nothing was acknowledged, so the case fails with what was just recorded.
    assert!(stderr.contains("upsert failed with what was just recorded: correct the case, or delete"), "{stderr}");
}

#[test]
fn publishing_a_component_again_says_that_its_manifest_is_ahead_of_it() {
    let test_name = "publishing_a_component_again_says_that_its_manifest_is_ahead_of_it";
    let Some(component) = component("contacts", test_name) else { return };
    let controller = System::answering("200 OK", r#"{"name": "contacts", "version": "0.1.0", "unchanged": true}"#);
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (key, wasm, notes) = (place("key"), place("my_contacts.wasm"), place("notes.md"));
    assert!(wherry(&["connector", "key", "new", &key]).status.success());
    fs::copy(component, &wasm).unwrap();
    fs::write(&notes, "New.\n").unwrap();
    fs::write(place("Cargo.toml"), "[package]\nname = \"my-contacts\"\nversion = \"0.3.0\"\n").unwrap();
    let publish = ["connector", "publish", &wasm, "--key", &key, "--notes", &notes];
    let output = Command::new(env!("CARGO_BIN_EXE_wherry"))
        .args(publish)
        .env("WHERRY_CONFIG", "/nowhere/config.toml")
        .env("WHERRY_URL", &controller.url)
        .env("WHERRY_TOKEN", "whp_test")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("; its notes are not replaced\n"));
    assert!(stderr.contains("Cargo.toml says 0.3.0, this component says 0.1.0"), "{stderr}");
}

#[test]
fn a_package_carries_what_the_component_says_and_no_other_descriptor() {
    let Some(component) = component("contacts", "a_package_carries_what_the_component_says_and_no_other_descriptor")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (key, out, notes) = (place("key"), place("out.wherry"), place("notes.md"));
    assert!(wherry(&["key", "new", &key]).status.success());
    fs::write(&notes, "The first one.\n").unwrap();
    let component = component.display().to_string();
    let packed = wherry(&["connector", "package", &component, "--key", &key, "--out", &out, "--notes", &notes]);
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let package = fs::read(&out).unwrap();
    let line = package.split(|byte| *byte == b'\n').nth(1).unwrap();
    let said: Value = serde_json::from_slice(line).unwrap();
    let own = Path::new(REPOSITORY).join("plugins/examples/contacts/src/descriptor.json");
    assert_eq!(said, serde_json::from_slice::<Value>(&fs::read(own).unwrap()).unwrap());
    let other = Path::new(REPOSITORY).join("plugins/http/src/descriptor.json").display().to_string();
    let refused = wherry(&["connector", "package", &component, "--key", &key, "--out", &out, "--descriptor", &other]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("package.descriptor_differs"));
}

/// A system that has one answer to everything and counts who asks.
struct System {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl System {
    /// One that is always busy, for longer than anybody waits.
    fn start() -> Self {
        Self::answering("429 Too Many Requests\r\nretry-after: 86400", "{}")
    }

    fn answering(status: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, SeqCst);
                // The whole request, so that closing does not reset it.
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    let header = line.to_ascii_lowercase();
                    length =
                        header.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
                    line.clear();
                }
                drop(reader.take(length).read_to_end(&mut Vec::new()));
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
                drop(write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
            }
        });
        Self { url, asked }
    }

    fn seen(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

fn wherry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wherry")).args(arguments).output().unwrap()
}

fn test(folder: &Path, component: &Path) -> (Output, Value) {
    let folder = folder.to_str().unwrap();
    let arguments = ["connector", "test", folder, "--wasm", component.to_str().unwrap(), "--output", "json"];
    let output = wherry(&arguments);
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output, told)
}

/// The component of a connector, where the real host is at hand too.
fn component(name: &str, test: &str) -> Option<PathBuf> {
    let folders = (std::env::var_os("WHERRY_BIN_DIR"), std::env::var_os("WHERRY_CONNECTORS"));
    let (Some(_), Some(connectors)) = folders else {
        eprintln!("skipped: {test}, WHERRY_BIN_DIR and WHERRY_CONNECTORS are not set");
        return None;
    };
    Some(Path::new(&connectors).join(format!("wherry_connector_{name}.wasm")))
}
