//! Moves of connectors against a controller that lies: the operator's key signs what was asked for, and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use wherry_domain::lock::Lock;
use wherry_trust::chain::{Keys, Level, read_lock};
use wherry_trust::keys::{SigningKey, sha256};

const UPGRADE: [&str; 6] = ["connector", "upgrade", "http", "--environment", "dev", "--yes"];
const PIN: [&str; 6] = ["connector", "pin", "http", "--environment", "dev", "--yes"];

/// A controller that plans what it was told to, and keeps what is sent.
#[derive(Clone, Default)]
struct Desk {
    plan: Arc<Mutex<Value>>,
    moved: Arc<Mutex<Vec<Value>>>,
}

impl Desk {
    fn router(&self) -> Router {
        let (plan, moved) = (self.plan.clone(), self.clone());
        let perform = move |Json(body): Json<Value>| async move {
            moved.moved.lock().unwrap().push(body);
            Json(moved.plan.lock().unwrap().clone())
        };
        Router::new()
            .route(
                "/v1/environments/dev/connectors/http/plan",
                post(move || async move { Json(plan.lock().unwrap().clone()) }),
            )
            .route("/v1/environments/dev/connectors/http/move", post(perform))
    }

    /// Runs a command against a plan; the controller has the same address each time.
    async fn run(&self, home: &Path, plan: Value, arguments: &[&str]) -> Output {
        *self.plan.lock().unwrap() = plan;
        let file = home.join("port");
        let port = std::fs::read_to_string(&file).unwrap_or_else(|_| "0".to_owned());
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        std::fs::write(&file, port.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wherry"));
        let url = format!("http://127.0.0.1:{port}");
        command.env("WHERRY_CONFIG", home.join("config.toml")).env("WHERRY_URL", url).env("WHERRY_TOKEN", "whp_test");
        tokio::select! {
            served = async { axum::serve(listener, self.router()).await } => panic!("{served:?}"),
            output = command.args(arguments).kill_on_drop(true).output() => output.unwrap(),
        }
    }

    /// The lock that was sent last, if this person signed it.
    fn signed(&self, home: &Path) -> Lock {
        let key = SigningKey::from_pem(&std::fs::read_to_string(home.join("operator.key")).unwrap()).unwrap();
        let keys = Keys { catalogue: Vec::new(), operators: vec![key.public()] };
        let sent = self.moved.lock().unwrap().last().unwrap()["envelope"].to_string();
        let (lock, level) = read_lock(sent.as_bytes(), &keys).unwrap();
        assert_eq!(level, Level::Operator);
        lock
    }

    fn moves(&self) -> usize {
        self.moved.lock().unwrap().len()
    }
}

fn locked(version: &str, pinned: bool, approved: &[&str]) -> Value {
    let digest = sha256(version.as_bytes());
    let mut locked = json!({"version": version, "release": digest, "wasm": digest, "length": 7, "approved": approved});
    if pinned {
        locked["pinned"] = json!(true);
    }
    locked
}

fn plan(version: u64, (from, to): (&str, &str), http: Value) -> Value {
    let connectors = json!({"http": http, "crm": locked("2.1.0", false, &["egress crm.example"])});
    json!({
        "from": from, "to": to, "changed": true, "capabilities_added": [], "schemas_changed": [],
        "signature_needed": {"detail": "the environment is held"},
        "lock": {"v": 1, "environment": "dev", "version": version, "mode": "held", "index": 9, "connectors": connectors},
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A home that has signed lock 5, with `http` 1.0.0 pinned.
async fn signed_before(desk: &Desk) -> TempDir {
    let home = TempDir::new().unwrap();
    let done = desk.run(home.path(), plan(5, ("1.0.0", "1.0.0"), locked("1.0.0", true, &[])), &PIN).await;
    let said = text(&done.stderr);
    assert!(done.status.success(), "{said}");
    home
}

#[tokio::test]
async fn a_first_lock_is_told_whole_and_remembered() {
    let desk = Desk::default();
    let home = TempDir::new().unwrap();
    // Nobody is there to compare it.
    let asked = desk.run(home.path(), plan(5, ("1.0.0", "1.0.0"), locked("1.0.0", true, &[])), &PIN[..5]).await;
    let said = text(&asked.stderr);
    assert!(said.contains("client.confirmation_needed"), "{said}");
    for part in [
        "this is all of it",
        "lock 5 of dev: held, only operators move it",
        "connector http 1.0.0, pinned, sha256:",
        "connector crm 2.1.0, sha256:",
        "it may have egress crm.example",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert_eq!(desk.moves(), 0);
    let home = signed_before(&desk).await;
    assert_eq!(desk.signed(home.path()).version, 5);
    let folder = std::fs::read_dir(home.path().join("locks")).unwrap().next().unwrap().unwrap().path();
    let kept = folder.join("dev.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let kept: Lock = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
    assert_eq!(kept, desk.signed(home.path()));
    // The next one is compared with it, and there is nothing to be told.
    let unpin = ["connector", "unpin", "http", "--environment", "dev", "--yes"];
    let done = desk.run(home.path(), plan(6, ("1.0.0", "1.0.0"), locked("1.0.0", false, &[])), &unpin).await;
    let said = text(&done.stderr);
    assert!(done.status.success() && !said.contains("nobody here asked") && !said.contains("crm"), "{said}");
    assert_eq!((desk.moves(), desk.signed(home.path()).version), (2, 6));
}

#[tokio::test]
async fn a_lock_that_is_not_what_was_asked_for_is_signed_by_nobody() {
    let desk = Desk::default();
    let home = signed_before(&desk).await;
    let honest = || plan(6, ("1.0.0", "1.1.0"), locked("1.1.0", false, &[]));
    let crm = |version: &str, approved: &[&str]| locked(version, false, approved);
    let cases = [
        ("/lock/environment", json!("prod"), "lock.not_as_asked"),
        ("/lock/connectors/http/version", json!("1.2.0"), "lock.not_as_asked"),
        ("/lock/connectors/http/pinned", json!(true), "lock.not_as_asked"),
        ("/lock/connectors/http/approved", json!(["egress evil.example"]), "lock.not_as_asked"),
        ("/lock/trials", json!({"http": locked("1.3.0", false, &[])}), "lock.not_as_asked"),
        ("/capabilities_added", json!(["egress evil.example"]), "lock.capabilities_grown"),
        ("/lock/mode", json!("automatic"), "lock.unasked_changes"),
        ("/lock/version", json!(3), "lock.unasked_changes"),
        ("/lock/index", json!(2), "lock.unasked_changes"),
        ("/lock/connectors/crm", crm("2.0.0", &["egress crm.example"]), "lock.unasked_changes"),
        ("/lock/connectors/crm", crm("2.1.0", &["egress evil.example"]), "lock.unasked_changes"),
        ("/lock/connectors/crm/wasm", json!(sha256(b"other")), "lock.unasked_changes"),
        ("/lock/connectors/spy", crm("1.0.0", &[]), "lock.unasked_changes"),
        ("/lock/trials", json!({"crm": crm("2.2.0", &[])}), "lock.unasked_changes"),
        ("/from", json!("0.9.0"), "lock.unasked_changes"),
    ];
    for (path, value, code) in cases {
        let mut lie = honest();
        let (parent, key) = path.rsplit_once('/').unwrap();
        lie.pointer_mut(parent).unwrap()[key] = value;
        let refused = desk.run(home.path(), lie, &UPGRADE).await;
        let said = text(&refused.stderr);
        assert!(!refused.status.success() && said.contains(&format!("code   {code}")), "{path}: {said}");
        assert!(!said.contains("signed with your operator key"), "{path}: {said}");
    }
    assert_eq!(desk.moves(), 1, "something was signed and sent");
    let done = desk.run(home.path(), honest(), &UPGRADE).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(desk.signed(home.path()).connectors["http"].version.to_string(), "1.1.0");
}

#[tokio::test]
async fn another_version_than_the_one_that_was_named_is_not_signed() {
    let desk = Desk::default();
    let home = TempDir::new().unwrap();
    let named = [UPGRADE.as_slice(), &["--to", "1.2.0"]].concat();
    let refused = desk.run(home.path(), plan(6, ("1.0.0", "1.1.0"), locked("1.1.0", false, &[])), &named).await;
    assert_eq!((refused.status.code(), desk.moves()), (Some(10), 0));
    assert!(text(&refused.stderr).contains("it goes to 1.1.0 where 1.2.0 was asked for"), "{}", text(&refused.stderr));
}
