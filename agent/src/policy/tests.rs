//! What a policy refuses, which faults it may have, and what becomes of a file that changes.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;
use wherry_daemon::config;
use wherry_trust::keys::SigningKey;

use super::{watch::Look, *};

/// An hour of a Friday in UTC.
const FRIDAY_NOON: u64 = 1_768_564_800_000;

fn rules(text: &str) -> Result<Rules, Vec<String>> {
    let raw = config::parse(text.to_owned(), Path::new("policy.toml"));
    let paths = |faults: config::ConfigFaults| faults.faults().iter().map(|fault| fault.path.clone()).collect();
    raw.and_then(Rules::check).map_err(paths)
}

fn code<T: fmt::Debug>(refused: Result<T, Refusal>) -> String {
    refused.unwrap_err().code().as_str().to_owned()
}

#[test]
fn an_empty_policy_restricts_nothing() {
    let rules = rules("").unwrap();
    assert!(rules.connector(&"http".parse().unwrap()).is_ok());
    assert_eq!(rules.host("desk.example", 443), Ok(true));
    assert!(rules.file(Path::new("/etc/x"), None).is_ok() && rules.work(0).is_ok());
    assert!(rules.describe().is_ok() && rules.actions().is_ok() && rules.connector_text());
    assert_eq!((rules.slots(), rules.deployments().require_signed()), (None, false));
}

#[test]
fn every_section_refuses_with_a_code_of_its_own() {
    let (mine, other) = (SigningKey::generate().unwrap().public(), SigningKey::generate().unwrap().public());
    let text = format!(
        "[connectors]\nallowed = [\"http\"]\npublishers = [\"{mine}\"]\n\
         [network]\nallowed = [\"desk.example:443\", \"10.0.0.0/8\"]\ndenied = [\"10.9.0.0/16\"]\n\
         [answers]\ndescribe = false\nactions = false\nconnector_text = false\n\
         [files]\nroots = [\"/etc/wherry/certs\"]\n\
         [work]\nslots = 4\nhours = [{{ days = [\"mon\"], from = \"08:00\", to = \"18:00\" }}]\ntimezone = \"UTC\"\n\
         [deployments]\nrequire_signed_deployments = true\noperators = [\"{other}\"]\n"
    );
    let rules = rules(&text).unwrap();
    assert!(rules.connector(&"http".parse().unwrap()).is_ok() && rules.publisher(&mine, "me").is_ok());
    assert_eq!(code(rules.connector(&"files".parse().unwrap())), "agent_policy.connector");
    assert_eq!(code(rules.publisher(&other, "initech")), "agent_policy.publisher");
    assert_eq!(rules.host("desk.example", 443), Ok(true));
    assert_eq!(rules.host("other.example", 443), Ok(false), "one of the networks may allow it");
    assert_eq!(code(rules.host("10.9.1.1", 443)), "agent_policy.host");
    let address = |address: &str| [address.parse().unwrap()].into_iter();
    assert_eq!(code(rules.addresses("other.example", 443, address("192.0.2.1"))), "agent_policy.host");
    assert!(rules.addresses("other.example", 443, address("10.1.1.1")).is_ok());
    assert_eq!(code(rules.describe()), "agent_policy.answers");
    assert_eq!(code(rules.actions()), "agent_policy.answers");
    assert!(!rules.connector_text());
    assert_eq!(code(rules.file(Path::new("/etc/shadow"), Some(Path::new("/etc/shadow")))), "agent_policy.file");
    assert_eq!(code(rules.work(FRIDAY_NOON)), "agent_policy.hours");
    assert_eq!(rules.slots(), Some(4));
    assert!(rules.deployments().require_signed());
    assert_eq!(rules.deployments().operators(), [other]);
}

#[test]
fn only_hours_are_a_refusal_that_passes() {
    let hours = Refusal::Hours { wait: std::time::Duration::from_secs(60) }.failure();
    assert_eq!(hours.class, wherry_domain::failure::FailureClass::Retry);
    let connector = Refusal::Connector("http".parse().unwrap()).failure();
    assert_eq!(connector.class, wherry_domain::failure::FailureClass::Permanent);
}

#[test]
fn all_faults_are_told_at_once_with_their_keys() {
    let text =
        "colour = \"red\"\n[connectors]\nallowed = [\"No Name\"]\n[network]\ndenid = []\n[work]\nslots = \"many\"\n";
    let mut paths = rules(text).unwrap_err();
    paths.sort();
    assert_eq!(paths, ["colour", "connectors.allowed[0]", "network.denid", "work.slots"]);
    let text = "[connectors]\npublishers = [\"ed25519:short\"]\n\
                [network]\nallowed = [\"ok\", \"*.x\"]\ndenied = [\"host:0\"]\n\
                [files]\nroots = [\"certs\"]\n\
                [listeners]\nallowed = [\"127.0.0.1:80\"]\n\
                [work]\nslots = 0\ntimezone = \"Middle/Earth\"\n\
                hours = [{ from = \"8\", to = \"18:00\" }, { from = \"08:00\", to = \"08:00\" }]\n\
                [deployments]\nrequire_signed_deployments = true\n";
    let mut paths = rules(text).unwrap_err();
    paths.sort();
    assert_eq!(
        paths,
        [
            "connectors.publishers[0]",
            "deployments.operators",
            "files.roots[0]",
            "listeners.allowed",
            "network.allowed[1]",
            "network.denied[0]",
            "work.hours[0].from",
            "work.hours[1].to",
            "work.slots",
            "work.timezone",
        ]
    );
    assert_eq!(rules("[work]\nhours = []\n").unwrap_err(), ["work.hours", "work.timezone"]);
    rules("[listeners]\nallowed = []\n").unwrap();
    assert_eq!(rules("[work]\ntimezone = \"UTC\"\n").unwrap_err(), ["work.timezone"]);
}

#[test]
fn files_are_compared_where_they_really_are_and_nothing_is_told_of_other_places() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("certs"), folder.path().join("other"));
    for folder in [&inside, &outside] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("store.p12"), "x").unwrap();
    }
    std::os::unix::fs::symlink(outside.join("store.p12"), inside.join("link")).unwrap();
    std::os::unix::fs::symlink(inside.join("store.p12"), outside.join("link")).unwrap();
    let rules = rules(&format!("[files]\nroots = [{:?}]\n", inside.display().to_string())).unwrap();
    let may = |path: &Path| rules.file(path, fs::canonicalize(path).ok().as_deref()).is_ok();
    assert!(may(&inside.join("store.p12")) && may(&outside.join("link")));
    // It may be named, and is not there.
    assert!(may(&inside.join("missing")));
    for bad in ["certs/link", "other/store.p12", "other/missing", "certs/../other/store.p12", "certs/../missing"] {
        assert!(!may(&folder.path().join(bad)), "{bad}");
    }
    assert!(!may(Path::new("certs/store.p12")));
}

/// A policy file that a test changes.
struct World {
    folder: TempDir,
}

impl World {
    fn with(text: Option<&str>) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        text.into_iter().for_each(|text| world.write(text));
        world
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    fn write(&self, text: &str) {
        // Another file under the same name, as editors do it: never the same version by accident.
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn open(&self, named: bool) -> Result<Policy, PolicyFileError> {
        Policy::open(Some(PolicyPlace { path: self.path(), named }), 1)
    }
}

/// Looks until nothing is new.
fn settle(policy: &Policy, wall_ms: u64) {
    (0..10).map(|_| policy.look(wall_ms)).take_while(|look| *look != Look::Same).for_each(drop);
}

#[test]
fn what_may_be_written_by_others_or_is_not_there_is_no_policy() {
    let world = World::with(Some("[work]\nslots = 2\n"));
    assert_eq!(world.open(true).unwrap().rules().slots(), Some(2));
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(world.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = world.open(false).unwrap_err();
        assert!(matches!(error, PolicyFileError::Writable { .. }), "{mode:o}: {error}");
        assert_eq!(error.code().as_str(), "agent_policy.invalid");
    }
    let none = World::with(None);
    assert!(none.open(true).unwrap_err().is_missing());
    assert!(none.open(false).unwrap().standing().is_none());
    let folder = World::with(None);
    fs::create_dir(folder.path()).unwrap();
    assert!(matches!(folder.open(false), Err(PolicyFileError::Unreadable { .. })));
}

#[test]
fn a_change_holds_at_once_and_one_with_faults_changes_nothing_and_says_so() {
    let world = World::with(Some("[work]\nslots = 2\n"));
    let policy = world.open(true).unwrap();
    settle(&policy, 5);
    assert_eq!((policy.number(), policy.standing().unwrap().loaded_ms), (0, 1));
    world.write("[work]\nslots = 1\n");
    assert_eq!(policy.look(6), Look::Moving, "it may still be being written");
    assert_eq!(policy.rules().slots(), Some(2));
    settle(&policy, 7);
    assert_eq!((policy.rules().slots(), policy.number()), (Some(1), 1));
    world.write("[work]\nslots = 1000\n[colours]\n");
    settle(&policy, 8);
    let standing = policy.standing().unwrap();
    assert_eq!(
        (policy.rules().slots(), standing.loaded_ms, policy.number()),
        (Some(1), 7, 1),
        "open connections stay, too"
    );
    assert!(standing.fault.unwrap().contains("colours"));
    world.write("[work]\nslots = 3\n");
    settle(&policy, 9);
    assert_eq!((policy.rules().slots(), policy.standing().unwrap().fault), (Some(3), None));
    settle(&policy, 10);
    assert_eq!((policy.number(), policy.standing().unwrap().loaded_ms), (2, 9), "nothing moved since");
}

#[test]
fn a_file_that_vanishes_or_opens_up_to_others_leaves_the_policy_in_force() {
    let world = World::with(Some("[work]\nslots = 2\n"));
    let policy = world.open(false).unwrap();
    settle(&policy, 2);
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o666)).unwrap();
    settle(&policy, 3);
    assert!(policy.standing().unwrap().fault.unwrap().contains("chmod go-w"));
    fs::remove_file(world.path()).unwrap();
    settle(&policy, 4);
    let standing = policy.standing().unwrap();
    assert_eq!((policy.rules().slots(), standing.loaded_ms), (Some(2), 1));
    assert!(standing.fault.unwrap().contains("cannot be read"));
}

#[test]
fn a_file_that_appears_later_is_taken_over() {
    let world = World::with(None);
    let policy = world.open(false).unwrap();
    settle(&policy, 2);
    assert_eq!((policy.standing(), policy.number()), (None, 0));
    world.write("[connectors]\nallowed = []\n");
    settle(&policy, 3);
    assert!(policy.rules().connector(&"http".parse().unwrap()).is_err());
    assert_eq!(policy.standing().unwrap().loaded_ms, 3);
}
