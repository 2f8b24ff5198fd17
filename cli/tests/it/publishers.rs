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
    /// What is remembered of a controller, is remembered of its address.
    port: Arc<Mutex<u16>>,
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
        Self { state: Arc::new(Mutex::new(state)), posted: Arc::default(), port: Arc::default() }
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
        let port = *self.port.lock().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        *self.port.lock().unwrap() = listener.local_addr().unwrap().port();
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

#[tokio::test]
async fn another_catalogue_key_is_signed_by_nobody_who_did_not_agree_to_it() {
    let (desk, home) = (Desk::new(false), TempDir::new().unwrap());
    let done = desk.run(home.path(), &["publisher", "sign", "--yes"]).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let old = desk.signed_by(home.path()).catalogue_keys;
    let new = SigningKey::generate().unwrap().public();
    desk.state.lock().unwrap()["catalogue_key"] = json!(new);
    let before = desk.state.lock().unwrap().clone();
    let (key, accepted, other) = (new.to_string(), new.to_string(), old[0].to_string());
    let trust = ["publisher", "trust", "more", &key];
    for (more, code, exit) in [
        (&[][..], "client.confirmation_needed", 2),
        (&["--yes"], "catalogue.key_changed", 10),
        (&["--yes", "--accept-catalogue-key", &other], "catalogue.key_changed", 10),
        (&["--yes", "--accept-catalogue-key", &accepted, "--keep-catalogue-key", &key], "catalogue.key_changed", 2),
    ] {
        let refused = desk.run(home.path(), &[trust.as_slice(), more].concat()).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(exit) && said.contains(&format!("code   {code}")), "{more:?}: {said}");
        assert_eq!(*desk.state.lock().unwrap(), before, "{more:?}");
        if exit == 10 {
            assert!(said.contains(&format!("catalogue key {new} signs what agents may run, which is new")), "{said}");
            assert!(said.contains(&format!("catalogue key {} counts no more", old[0])), "{said}");
        }
    }
    // What was agreed to replaces what was there, unless it is to stay.
    let agreed = [trust.as_slice(), &["--accept-catalogue-key", &accepted]].concat();
    let keeping = [agreed.as_slice(), &["--keep-catalogue-key", &other]].concat();
    assert!(desk.run(home.path(), &keeping).await.status.success());
    assert_eq!(desk.signed_by(home.path()).catalogue_keys, [new, old[0]]);
    let done = desk.run(home.path(), &["publisher", "distrust", "more", "--yes"]).await;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains(&format!("{} counts no more", old[0])), "{said}");
    assert_eq!(desk.signed_by(home.path()).catalogue_keys, [new], "the old key is good for nothing any more");
}

#[tokio::test]
async fn a_list_that_names_a_stolen_key_is_not_brought_back() {
    let (desk, home) = (Desk::new(false), TempDir::new().unwrap());
    assert!(desk.run(home.path(), &["publisher", "sign", "--yes"]).await.status.success());
    let stolen = desk.state.lock().unwrap().clone();
    let thief = desk.signed_by(home.path()).catalogue_keys;
    let key = SigningKey::generate().unwrap().public().to_string();
    desk.state.lock().unwrap()["catalogue_key"] = json!(key);
    let sign = ["publisher", "sign", "--accept-catalogue-key", &key, "--yes"];
    assert!(desk.run(home.path(), &sign).await.status.success());
    assert!(desk.run(home.path(), &["publisher", "revoke", "acme", "--yes"]).await.status.success());
    let last = desk.signed_by(home.path());
    assert!(!last.catalogue_keys.contains(&thief[0]));
    // The thief shows what this person signed before the key was changed.
    *desk.state.lock().unwrap() = stolen.clone();
    let refused = desk.run(home.path(), &["publisher", "trust", "more", &key, "--yes"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(10) && said.contains("code   catalogue.rolled_back"), "{said}");
    assert_eq!(*desk.state.lock().unwrap(), stolen, "nothing was signed");
    // Nobody answers at a terminal either: it is told that the list is an old one, and that its key is a new one.
    let asked = desk.run(home.path(), &["publisher", "trust", "more", &key]).await;
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(said.contains("client.confirmation_needed") && said.contains("not what was signed here"), "{said}");
    assert!(said.contains(&format!("catalogue key {} signs what agents may run, which is new", thief[0])), "{said}");
}
