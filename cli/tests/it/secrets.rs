//! Secrets and rosters: what leaves this machine is sealed, and a controller that lies is found out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segments, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use wherry_domain::id::{AgentId, GroupId, OrganisationId};
use wherry_trust::keys::SigningKey;
use wherry_trust::sealing::invite::{Destination, Invite, Join};
use wherry_trust::sealing::key::SealingKey;
use wherry_trust::sealing::roster::Roster;
use wherry_trust::sealing::secret::SealedSecret;
use wherry_trust::sealing::wrap::Wrap;
use wherry_trust::token::{EnrolmentToken, SpkiPin};

const ORGANISATION: OrganisationId = OrganisationId::from_u128(1);
const GROUP: GroupId = GroupId::from_u128(2);
const CANARY: &str = "hunter2-hunter2";

#[tokio::test]
async fn a_secret_is_sealed_here_and_only_the_groups_key_opens_it() {
    let desk = Desk::open().await;
    let operator = TempDir::new().unwrap();
    let agent = desk.invited(operator.path(), "pier-1").await;
    let key = operator.path().join("operator.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let said = desk.run(operator.path(), &["secret", "set", "helix", "--environment", "prod"], CANARY).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(!format!("{}{}", said.stdout, said.stderr).contains(CANARY));
    let sent = desk.sent("helix");
    assert!(!sent.to_string().contains(CANARY));
    assert_eq!(agent.open(&sent), CANARY, "one line end is taken off");
    // From a file, over the version that is there.
    let file = operator.path().join("value");
    fs::write(&file, "other\r\n").unwrap();
    let arguments = ["secret", "set", "helix", "--environment", "prod", "--file", file.to_str().unwrap()];
    assert_eq!(desk.run(operator.path(), &arguments, "").await.code, 0);
    let sent = desk.sent("helix");
    assert_eq!((agent.open(&sent).as_str(), &sent["version"]), ("other", &json!(2)));
    let listed = desk.run(operator.path(), &["secret", "list", "--environment", "prod"], "").await;
    assert!(listed.stdout.contains("helix\t2\t"), "{}", listed.stdout);
    let rotate = desk.run(operator.path(), &["secret", "rotate", "--environment", "prod"], "").await;
    assert!(rotate.stdout.contains("old-one\tpier-9") && !rotate.stdout.contains("helix"), "{}", rotate.stdout);
    for (value, code) in [("", "secret.unacceptable"), (&*"x".repeat((64 << 10) + 1), "secret.unacceptable")] {
        let refused = desk.run(operator.path(), &["secret", "set", "a", "--environment", "prod"], value).await;
        assert!(refused.code == 2 && refused.stderr.contains(code), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_controller_that_shows_another_or_a_shorter_roster_gets_no_secret() {
    let desk = Desk::open().await;
    let operator = TempDir::new().unwrap();
    let agent = desk.invited(operator.path(), "pier-1").await;
    let set = ["secret", "set", "helix", "--environment", "prod"];
    let other = SigningKey::generate().unwrap().public().to_string();
    let trust = ["key", "trust-operator", "--group", "berlin", &other];
    assert_eq!(desk.run(operator.path(), &trust, "").await.code, 0);
    let whole = desk.entries();
    assert_eq!(whole.len(), 2);
    let evil = SigningKey::generate().unwrap();
    let planted = founded_by(&evil);
    for (what, entries) in [("shorter", whole[..1].to_vec()), ("another", vec![planted]), ("none", Vec::new())] {
        desk.show(entries);
        let refused = desk.run(operator.path(), &set, CANARY).await;
        assert_eq!(refused.code, 10, "{what}: {}", refused.stderr);
        assert!(refused.stderr.contains("roster.forked"), "{what}: {}", refused.stderr);
        assert!(desk.secrets().is_empty(), "{what}");
    }
    // One entry was changed after signing.
    let mut changed = whole.clone();
    // In its middle, where every character of the base64 counts.
    let middle = changed[1].len() / 2;
    let other = if changed[1].as_bytes()[middle] == b'A' { "B" } else { "A" };
    changed[1].replace_range(middle..=middle, other);
    desk.show(changed);
    assert_eq!(desk.run(operator.path(), &set, CANARY).await.code, 10);
    desk.show(whole);
    assert_eq!(desk.run(operator.path(), &set, CANARY).await.code, 0);
    assert_eq!(agent.open(&desk.sent("helix")), CANARY);
}

#[tokio::test]
async fn a_second_operator_compares_the_fingerprint_and_is_let_in_by_the_first() {
    let desk = Desk::open().await;
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let agent = desk.invited(first.path(), "pier-1").await;
    let set = ["secret", "set", "helix", "--environment", "prod"];
    let refused = desk.run(second.path(), &set, CANARY).await;
    assert!(refused.code == 10 && refused.stderr.contains("roster.unpinned"), "{}", refused.stderr);
    let fingerprint = agent.roster.founding().to_string();
    assert!(refused.stderr.contains(&fingerprint), "{}", refused.stderr);
    let wrong = format!("sha256:{}", "0".repeat(64));
    let pin =
        |fingerprint: String| vec!["key".to_owned(), "pin".into(), "--group".into(), "berlin".into(), fingerprint];
    let run = async |folder: &Path, arguments: Vec<String>| {
        desk.run(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "").await
    };
    assert_eq!(run(second.path(), pin(wrong)).await.code, 10);
    assert_eq!(run(second.path(), pin(fingerprint)).await.code, 0);
    let refused = desk.run(second.path(), &set, CANARY).await;
    assert!(refused.code == 4 && refused.stderr.contains("operator.unknown"), "{}", refused.stderr);
    let shown = desk.run(second.path(), &["key", "operator", "--output", "json"], "").await;
    let public = serde_json::from_str::<Value>(&shown.stdout).unwrap()["public"].as_str().unwrap().to_owned();
    let trust = ["key", "trust-operator", "--group", "berlin", &public];
    assert_eq!(desk.run(second.path(), &trust, "").await.code, 4, "nobody lets itself in");
    assert_eq!(desk.run(first.path(), &trust, "").await.code, 0);
    assert_eq!(desk.run(second.path(), &set, CANARY).await.code, 0);
    assert_eq!(agent.open(&desk.sent("helix")), CANARY);
    let shown = desk.run(second.path(), &["key", "roster", "--group", "berlin"], "").await;
    assert!(shown.stdout.contains(&public) && shown.stdout.contains("epoch\t1"), "{}", shown.stdout);
}

#[tokio::test]
async fn a_recovery_key_gives_the_groups_keys_to_an_agent_that_waits() {
    let desk = Desk::open().await;
    let operator = TempDir::new().unwrap();
    let lost = desk.invited(operator.path(), "pier-1").await;
    let file = operator.path().join("recovery");
    let file = file.to_str().unwrap();
    let make = ["key", "recovery", "--group", "berlin", "--out", file];
    assert_eq!(desk.run(operator.path(), &make, "").await.code, 0);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(desk.run(operator.path(), &make, "").await.code, 5, "a key is never overwritten");
    // The agent wraps its key to the new recipient, and then it is gone for good.
    let roster = Roster::fold(desk.entries()).unwrap();
    let recipient = *roster.recovery().next().unwrap();
    let wrap = Wrap::seal((ORGANISATION, GROUP), 1, &lost.epoch_key, recipient).unwrap();
    desk.wrapped(&wrap);
    let waiting = desk.invited(operator.path(), "pier-2").await;
    desk.held.lock().unwrap().joins.push(json!({"name": "pier-0", "invite": "{}", "join": "{}"}));
    desk.waits(&waiting);
    let recover = ["secret", "recover", "--group", "berlin", "--key", file];
    let said = desk.run(operator.path(), &recover, "").await;
    assert!(said.code == 0 && said.stdout.contains("pier-2"), "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("pier-0 is not admitted"), "{}", said.stderr);
    let roster = Roster::fold(desk.entries()).unwrap();
    assert!(roster.member(waiting.id).is_some());
    let wrap = desk.last_wrap();
    let key = wrap.open(&waiting.sealing, &roster).unwrap();
    assert_eq!(key.public(), lost.epoch_key.public());
    let other = TempDir::new().unwrap();
    let other = other.path().join("other");
    fs::write(&other, "x25519-secret:AAAA\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = ["secret", "recover", "--group", "berlin", "--key", other.to_str().unwrap()];
    assert!(desk.run(operator.path(), &wrong, "").await.stderr.contains("recovery.key_invalid"));
}

/// A controller that keeps what it is given, and shows what it is told to.
struct Desk {
    url: String,
    held: Arc<Mutex<Held>>,
    _serving: tokio::task::JoinSet<()>,
}

#[derive(Default)]
struct Held {
    entries: Vec<String>,
    invites: Vec<Value>,
    secrets: BTreeMap<String, Value>,
    wraps: Vec<Value>,
    joins: Vec<Value>,
}

/// An agent as far as keys go.
struct Hand {
    id: AgentId,
    sealing: SealingKey,
    epoch_key: SealingKey,
    roster: Roster,
    invite: Invite,
    join: Join,
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

type Shared = State<Arc<Mutex<Held>>>;

impl Desk {
    async fn open() -> Self {
        let held: Arc<Mutex<Held>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/status", get(|| async { Json(json!({"ca_pin": SpkiPin::of_spki(b"root").as_str()})) }))
            .route("/v1/environments/prod", get(|| async { Json(json!({"name": "prod", "group": "berlin"})) }))
            .route("/v1/environments/prod/secrets", get(list))
            .route("/v1/environments/prod/secrets/{name}", get(slot).put(put))
            .route("/v1/groups/berlin/roster", get(roster).post(append))
            .route("/v1/groups/berlin/wraps", get(wraps))
            .route("/v1/groups/berlin/joins", get(joins))
            .route("/v1/groups/berlin/enrolment-tokens", post(token))
            .with_state(Arc::clone(&held));
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, held, _serving: serving }
    }

    async fn run(&self, config: &Path, arguments: &[&str], stdin: &str) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wherry"))
            .env("WHERRY_CONFIG", config.join("config.toml"))
            .env("WHERRY_URL", &self.url)
            .env("WHERRY_TOKEN", "whp_test")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // A command that reads nothing closes its end.
        drop(input.write_all(format!("{stdin}\n").as_bytes()).await);
        drop(input);
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// An agent with a token that was made with this tool; the first one founds the group.
    async fn invited(&self, operator: &Path, name: &str) -> Hand {
        let said = self.run(operator, &["agent", "token", "--group", "berlin", "--token-only"], "").await;
        let token = EnrolmentToken::parse(&said.stdout).unwrap();
        let invite = self.held.lock().unwrap().invites.pop().expect("the token came with an invitation");
        let invite = Invite::from_json(invite.to_string().as_bytes()).unwrap();
        let secret = (token.id(), token.roster_part());
        invite.check_as_holder(secret, ORGANISATION, GROUP).unwrap();
        let id = AgentId::from_u128(u128::from(name.as_bytes()[5]));
        let (identity, sealing) = (SigningKey::generate().unwrap(), SealingKey::generate().unwrap());
        let join = Join::make(secret, id, identity.public(), sealing.public()).unwrap();
        let epoch_key = SealingKey::generate().unwrap();
        let roster = match self.entries() {
            entries if entries.is_empty() => {
                let first = Roster::founding_entry(1, &invite, &join, epoch_key.public(), &identity).unwrap();
                self.held.lock().unwrap().entries.push(String::from_utf8(first.clone()).unwrap());
                Roster::found(&first).unwrap()
            }
            entries => Roster::fold(entries).unwrap(),
        };
        Hand { id, sealing, epoch_key, roster, invite, join }
    }

    fn entries(&self) -> Vec<String> {
        self.held.lock().unwrap().entries.clone()
    }

    fn show(&self, entries: Vec<String>) {
        self.held.lock().unwrap().entries = entries;
    }

    fn secrets(&self) -> BTreeMap<String, Value> {
        self.held.lock().unwrap().secrets.clone()
    }

    fn sent(&self, name: &str) -> Value {
        self.secrets().remove(name).unwrap()
    }

    fn wrapped(&self, wrap: &Wrap) {
        self.held.lock().unwrap().wraps.push(serde_json::to_value(wrap).unwrap());
    }

    fn last_wrap(&self) -> Wrap {
        let wrap = self.held.lock().unwrap().wraps.last().cloned().unwrap();
        Wrap::from_json(wrap.to_string().as_bytes()).unwrap()
    }

    fn waits(&self, hand: &Hand) {
        let text = |json: Vec<u8>| String::from_utf8(json).unwrap();
        let (invite, join) = (text(hand.invite.to_json()), text(hand.join.to_json()));
        let waiting = json!({"agent": hand.id, "name": "pier-2", "invite": invite, "join": join});
        self.held.lock().unwrap().joins.push(waiting);
    }
}

impl Hand {
    fn open(&self, sealed: &Value) -> String {
        let sealed = SealedSecret::from_json(sealed.to_string().as_bytes()).unwrap();
        String::from_utf8(sealed.open(&self.epoch_key).unwrap().to_vec()).unwrap()
    }
}

/// The first entry of a group that someone else founded.
fn founded_by(operator: &SigningKey) -> String {
    let token = EnrolmentToken::generate(SpkiPin::of_spki(b"root")).unwrap();
    let secret = (token.id(), token.roster_part());
    let to = Destination { organisation: ORGANISATION, group: GROUP, founding: None };
    let invite = Invite::make(secret, to, 1, operator).unwrap();
    let (identity, sealing) = (SigningKey::generate().unwrap(), SealingKey::generate().unwrap());
    let id = AgentId::from_u128(66);
    let join = Join::make(secret, id, identity.public(), sealing.public()).unwrap();
    let entry = Roster::founding_entry(1, &invite, &join, sealing.public(), &identity).unwrap();
    String::from_utf8(entry).unwrap()
}

async fn token(State(held): Shared, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    held.lock().unwrap().invites.push(body["invite"].clone());
    (StatusCode::CREATED, Json(json!({"agent_endpoint": "https://w:8444", "expires_at": "2026-01-01T00:10:00Z"})))
}

async fn roster(State(held): Shared, Query(query): Query<BTreeMap<String, usize>>) -> Json<Value> {
    let entries = &held.lock().unwrap().entries;
    // Parts of one, so that a log of two comes in two.
    let part: Vec<_> = entries.iter().skip(query["after"]).take(1).collect();
    Json(
        json!({"organisation": ORGANISATION, "group_id": GROUP, "group": "berlin", "n": entries.len(), "entries": part}),
    )
}

async fn append(State(held): Shared, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut held = held.lock().unwrap();
    held.entries.push(body["entry"].as_str().unwrap().to_owned());
    assert!(Roster::fold(&held.entries).is_ok());
    held.wraps.extend(body["wraps"].as_array().unwrap().clone());
    (StatusCode::CREATED, Json(json!({})))
}

async fn wraps(State(held): Shared, Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    let held = held.lock().unwrap();
    let mine = held.wraps.iter().filter(|wrap| wrap["recipient"] == query["recipient"].as_str());
    Json(json!({"items": mine.map(ToString::to_string).collect::<Vec<_>>(), "next_cursor": null}))
}

async fn joins(State(held): Shared) -> Json<Value> {
    Json(json!({"items": held.lock().unwrap().joins, "next_cursor": null}))
}

async fn list(State(held): Shared) -> Json<Value> {
    let mut items = vec![json!({"name": "old-one", "version": 1, "exposed_to": ["pier-9"], "set_by": "ada"})];
    let held = held.lock().unwrap();
    items.extend(held.secrets.iter().map(|(name, sealed)| json!({"name": name, "version": sealed["version"]})));
    Json(json!({"items": items, "next_cursor": null}))
}

async fn slot(State(held): Shared, Segments(name): Segments<String>) -> Json<Value> {
    let version = held.lock().unwrap().secrets.get(&name).map_or(0, |sealed| sealed["version"].as_u64().unwrap());
    Json(json!({"version": version, "next_version": version + 1, "secret": null}))
}

async fn put(State(held): Shared, Segments(name): Segments<String>, Json(body): Json<Value>) -> Json<Value> {
    let sealed = body["sealed"].clone();
    let version = sealed["version"].clone();
    held.lock().unwrap().secrets.insert(name, sealed);
    Json(json!({"version": version}))
}
