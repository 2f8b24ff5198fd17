//! `wherry publisher`: while the controller signs the list it is asked to change it; once operators do, the change is
//! signed here.

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use wherry_domain::id::OrganisationId;
use wherry_trust::chain::{FORMAT, PUBLISHERS_TYPE, PublishersList};
use wherry_trust::dsse::Limits;
use wherry_trust::keys::SigningKey;
use wherry_trust::release::{Prefix, Publisher};

/// A controller that has a list and keeps what is sent.
#[derive(Clone)]
struct Desk {
    state: Arc<Mutex<Value>>,
    posted: Arc<Mutex<Vec<Value>>>,
}

impl Desk {
    fn new(by_operator: bool) -> Self {
        let key = SigningKey::generate().unwrap();
        let publisher = Publisher { name: "acme".into(), key: key.public(), prefix: Prefix::all() };
        let list = PublishersList {
            v: FORMAT,
            organisation: OrganisationId::from_u128(1),
            version: 7,
            issued_ms: 1,
            expires_ms: 2,
            publishers: vec![publisher],
            catalogue_keys: vec![key.public()],
            operators: if by_operator { vec![key.public()] } else { Vec::new() },
            revoked_keys: [].into(),
        };
        let state = answer(&serde_json::to_value(list.sign(&key).unwrap()).unwrap(), by_operator, &key);
        Self { state: Arc::new(Mutex::new(state)), posted: Arc::default() }
    }

    fn router(&self) -> Router {
        let (shown, taken, posted) = (self.clone(), self.clone(), self.clone());
        let put = move |Json(body): Json<Value>| async move {
            let mut state = taken.state.lock().unwrap();
            state["envelope"] = body["envelope"].clone();
            state["signed_by"] = json!("operator");
            Json(state.clone())
        };
        let post_new = move |Json(body): Json<Value>| async move {
            posted.posted.lock().unwrap().push(body.clone());
            Json(body)
        };
        Router::new()
            .route(
                "/v1/catalogue/publishers",
                get(move || async move { Json(shown.state.lock().unwrap().clone()) }).put(put),
            )
            .route("/v1/publishers", post(post_new))
    }

    /// The list as it is now, if the key signed it.
    fn signed_by(&self, home: &Path) -> PublishersList {
        let pem = std::fs::read_to_string(home.join("operator.key")).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        let envelope = self.state.lock().unwrap()["envelope"].to_string();
        let (list, envelope) = PublishersList::read(envelope.as_bytes()).unwrap();
        envelope.verify(PUBLISHERS_TYPE, &[key.public()], &Limits::default()).unwrap();
        assert!(list.operators.contains(&key.public()));
        list
    }

    async fn run(&self, home: &Path, arguments: &[&str]) -> Output {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_wherry"));
        command.env("WHERRY_CONFIG", home.join("config.toml")).env("WHERRY_URL", url).env("WHERRY_TOKEN", "whp_test");
        tokio::select! {
            served = async { axum::serve(listener, self.router()).await } => panic!("{served:?}"),
            output = command.args(arguments).kill_on_drop(true).output() => output.unwrap(),
        }
    }
}

fn answer(envelope: &Value, by_operator: bool, catalogue: &SigningKey) -> Value {
    let signed_by = if by_operator { "operator" } else { "controller" };
    json!({"signed_by": signed_by, "version": 7, "catalogue_key": catalogue.public(), "envelope": envelope})
}

fn names(list: &PublishersList) -> Vec<&str> {
    list.publishers.iter().map(|publisher| publisher.name.as_str()).collect()
}

#[tokio::test]
async fn a_list_that_the_controller_signs_is_changed_by_the_controller() {
    let (desk, home) = (Desk::new(false), TempDir::new().unwrap());
    let key = SigningKey::generate().unwrap().public().to_string();
    for command in ["publisher", "key"] {
        let done = desk.run(home.path(), &[command, "trust", "new", &key, "--prefix", "new-*"]).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let posted = desk.posted.lock().unwrap().clone();
    assert_eq!(posted, vec![json!({"name": "new", "key": key, "prefix": "new-*"}); 2]);
    assert!(!home.path().join("operator.key").exists(), "no key is made where none is needed");
}

#[tokio::test]
async fn a_list_that_operators_sign_is_changed_and_signed_here() {
    let (desk, home) = (Desk::new(true), TempDir::new().unwrap());
    let key = SigningKey::generate().unwrap().public();
    let trust = ["publisher", "trust", "new", &key.to_string()];
    // Somebody else signed it: the operator is asked before it counts as theirs.
    let asked = desk.run(home.path(), &trust).await;
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(said.contains("client.confirmation_needed") && said.contains("publisher acme may sign *"), "{said}");
    assert!(desk.posted.lock().unwrap().is_empty());
    let done = desk.run(home.path(), &[trust.as_slice(), &["--yes"]].concat()).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let list = desk.signed_by(home.path());
    assert_eq!((list.version, names(&list)), (8, vec!["acme", "new"]));
    // What they signed themselves they are not shown again.
    let done = desk.run(home.path(), &["publisher", "revoke", "acme", "--yes"]).await;
    assert!(!String::from_utf8_lossy(&done.stderr).contains("may sign"));
    let list = desk.signed_by(home.path());
    assert_eq!((list.version, names(&list), list.revoked_keys.len()), (9, vec!["new"], 1));
    let missing = desk.run(home.path(), &["publisher", "distrust", "acme", "--yes"]).await;
    assert_eq!(missing.status.code(), Some(3));
}

#[tokio::test]
async fn the_first_signature_takes_the_list_over_from_the_controller() {
    let (desk, home) = (Desk::new(false), TempDir::new().unwrap());
    let other = SigningKey::generate().unwrap().public();
    let sign = ["publisher", "sign", "--operator", &other.to_string(), "--yes"];
    let done = desk.run(home.path(), &sign).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let list = desk.signed_by(home.path());
    assert_eq!((list.version, names(&list), list.operators.len()), (8, vec!["acme"], 2));
    assert!(list.operators.contains(&other));
}
