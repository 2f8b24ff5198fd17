//! Tests of the stock over locks that a test moves.

use std::collections::BTreeMap;

use semver::Version;
use wherry_daemon::clock::Hand;
use wherry_proto::frame::HoldingState;
use wherry_trust::release::VerifiedRelease;

use super::*;
use crate::connectors::before::tests::{lock, locked};

/// Locks that a test moves by hand.
struct ByHand {
    locks: Mutex<Vec<Arc<Lock>>>,
    changes: watch::Sender<u64>,
    must: bool,
}

impl ByHand {
    fn put(&self, lock: Lock) {
        *self.locks.lock().unwrap() = vec![Arc::new(lock)];
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Locks for ByHand {
    fn all(&self) -> Vec<Arc<Lock>> {
        self.locks.lock().unwrap().clone()
    }

    fn lock(&self, environment: &Name) -> Option<Arc<Lock>> {
        self.all().into_iter().find(|lock| lock.environment == *environment)
    }

    fn must_be_locked(&self) -> bool {
        self.must
    }

    fn admit(&self, name: &Name, _: &Locked) -> Result<VerifiedRelease, Failure> {
        Err(Failure::permanent(Code::new("chain.revoked"), format!("{name} is revoked")))
    }

    fn judge(&self, name: &Name, locked: &Locked, _: &[u8]) -> Result<VerifiedRelease, Failure> {
        self.admit(name, locked)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn refusal(&self) -> Option<(Code, String)> {
        None
    }
}

struct Set {
    stock: Stock,
    locks: Arc<ByHand>,
    hand: Hand,
    folder: tempfile::TempDir,
}

impl Set {
    fn new(must: bool) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1));
        let locks = Arc::new(ByHand { locks: Mutex::default(), changes: watch::Sender::new(0), must });
        let folder = tempfile::tempdir().unwrap();
        let stock = open(&folder, &clock, &locks);
        Self { stock, locks, hand, folder }
    }

    fn chosen(&self, on_trial: bool) -> Result<Option<u64>, String> {
        let chosen = self.stock.choose(&"prod".parse().unwrap(), &http(), on_trial);
        chosen.map(|one| one.map(|one| one.locked.version.major)).map_err(|failure| failure.code.as_str().to_owned())
    }

    fn strike(&self, major: u8) {
        (0..3).for_each(|_| self.stock.struck(&http(), &locked(major), &Code::new("sandbox.trap")));
    }

    fn states(&self) -> Vec<(u64, &'static str)> {
        let inventory = self.stock.inventory();
        let holdings = inventory.environments.into_iter().flat_map(|stock| stock.holdings);
        let states = holdings.map(|one| {
            let state = match one.state {
                HoldingState::Preparing => "preparing",
                HoldingState::Ready => "ready",
                HoldingState::Refused { .. } => "refused",
                HoldingState::Quarantined { .. } => "quarantined",
            };
            (one.version.major, state)
        });
        states.collect()
    }
}

fn open(folder: &tempfile::TempDir, clock: &Clock, locks: &Arc<ByHand>) -> Stock {
    let (before, quarantine) = (folder.path().join("before.json"), Folder::new(folder.path().join("quarantine")));
    Stock::new(clock.clone(), Arc::<ByHand>::clone(locks), before, quarantine)
}

fn http() -> Name {
    "http".parse().unwrap()
}

fn wasm(major: u8) -> Digest {
    locked(major).wasm
}

#[test]
fn deployments_pin_connectors_only_until_there_is_a_lock_or_must_be_one() {
    let set = Set::new(false);
    assert_eq!(set.chosen(false), Ok(None));
    set.locks.put(lock(1, &[("http", 1)], &[]));
    assert_eq!(set.chosen(false), Ok(Some(1)));
    set.locks.put(lock(2, &[("crm", 1)], &[]));
    assert_eq!(set.chosen(false), Err("connector.not_locked".to_owned()));
    assert_eq!(Set::new(true).chosen(false), Err("connector.not_locked".to_owned()));
}

#[test]
fn three_failures_quarantine_a_version_and_the_one_before_is_run_until_a_person_or_a_newer_lock_ends_it() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("http", 1)], &[]));
    assert_eq!(set.chosen(false), Ok(Some(1)));
    set.locks.put(lock(2, &[("http", 2)], &[]));
    let stand = set.stock.stand();
    set.strike(2);
    assert_ne!(set.stock.stand(), stand, "plans that were made before are not used again");
    assert_eq!(set.chosen(false), Ok(Some(1)));
    assert_eq!(set.states(), [(2, "quarantined")]);
    std::fs::remove_dir_all(set.folder.path().join("quarantine")).unwrap();
    set.stock.look_for_releases();
    assert_eq!((set.chosen(false), set.states()), (Ok(Some(2)), vec![(2, "preparing")]));
    set.strike(2);
    set.locks.put(lock(3, &[("http", 2), ("crm", 1)], &[]));
    assert_eq!(set.chosen(false), Ok(Some(2)), "a newer lock");
    assert!(!set.stock.holds_any());
}

#[test]
fn quarantine_and_the_way_back_survive_the_process() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("http", 1)], &[]));
    assert_eq!(set.states(), [(1, "preparing")]);
    set.locks.put(lock(2, &[("http", 2)], &[]));
    set.strike(2);
    let stock = open(&set.folder, &Clock::system(), &set.locks);
    let set = Set { stock, ..set };
    assert_eq!(set.chosen(false), Ok(Some(1)));
    assert_eq!(set.stock.held(wasm(2)).unwrap().version, Version::new(2, 0, 0));
}

#[test]
fn a_version_on_trial_that_is_quarantined_leaves_the_trial() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("http", 1)], &[("http", 2)]));
    assert_eq!(set.chosen(true), Ok(Some(2)));
    set.strike(2);
    assert_eq!((set.chosen(true), set.chosen(false)), (Ok(Some(1)), Ok(Some(1))));
    set.strike(1);
    assert_eq!(
        (set.chosen(true), set.states().first()),
        (Ok(Some(1)), Some(&(1, "preparing"))),
        "nothing is left but it"
    );
}

#[test]
fn goals_are_reached_one_by_one_and_tried_again_later_and_later_or_with_the_next_change() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("crm", 1), ("http", 2)], &[("http", 3)]));
    let next = || set.stock.next_goal().0.map(|goal| goal.locked.version.major);
    let failure = Failure::permanent(Code::new("sandbox.invalid_component"), "no");
    assert_eq!(next(), Some(1));
    let crm = "crm".parse().unwrap();
    set.stock.not_ready(&crm, &locked(1), &failure);
    assert_eq!(next(), Some(2));
    let using = Arc::default();
    set.stock.ready(&http(), &locked(2), &using);
    assert_eq!(next(), Some(3));
    set.strike(3);
    assert_eq!(next(), None, "what is quarantined is no goal");
    assert_eq!(set.states(), [(1, "refused"), (2, "ready"), (3, "quarantined")]);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let (goal, again) = set.stock.next_goal();
        assert!(goal.is_none());
        let pause = again.unwrap().since(set.stock.clock.now());
        pauses.push(pause.as_secs());
        set.hand.advance(pause);
        assert_eq!(next(), Some(1));
        set.stock.not_ready(&crm, &locked(1), &failure);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    set.locks.put(lock(2, &[("crm", 1)], &[]));
    assert_eq!(next(), Some(1), "publishers may be others now");
}

#[test]
fn what_fails_time_and_again_is_told_as_a_refusal_and_nothing_runs_in_its_place_any_more() {
    for (code, doubted) in [("connector.compile_failed", true), ("controller.unavailable", false)] {
        let set = Set::new(true);
        set.locks.put(lock(1, &[("http", 1)], &[]));
        assert_eq!(set.chosen(false), Ok(Some(1)));
        set.locks.put(lock(2, &[("http", 2)], &[]));
        let failure = Failure::retry(Code::new(code), "the compiler broke off");
        let meanwhile = || {
            let choice = set.stock.choose(&"prod".parse().unwrap(), &http(), false).unwrap().unwrap();
            choice.meanwhile.map(|(locked, _)| locked.version.major)
        };
        for _ in 0..4 {
            set.stock.not_ready(&http(), &locked(2), &failure);
            assert_eq!((set.states(), meanwhile()), (vec![(2, "preparing")], Some(1)));
        }
        set.stock.not_ready(&http(), &locked(2), &failure);
        let told = if doubted { (vec![(2, "refused")], None) } else { (vec![(2, "preparing")], Some(1)) };
        assert_eq!((set.states(), meanwhile()), told, "{code}");
        let before = set.stock.stand();
        set.stock.ready(&http(), &locked(2), &Arc::default());
        assert_eq!((set.states(), meanwhile()), (vec![(2, "ready")], None));
        assert_ne!(set.stock.stand(), before, "plans are made anew");
    }
}

#[test]
fn what_is_named_was_named_before_or_is_used_is_kept() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("http", 1)], &[]));
    assert_eq!(set.stock.keep(), BTreeSet::from([wasm(1)]));
    set.locks.put(lock(2, &[("http", 2)], &[("http", 3)]));
    assert_eq!(set.stock.keep(), BTreeSet::from([wasm(1), wasm(2), wasm(3)]));
    let using = Arc::default();
    set.stock.uses(wasm(3), &using);
    set.locks.put(lock(3, &[("http", 4)], &[]));
    assert_eq!(set.stock.keep(), BTreeSet::from([wasm(2), wasm(3), wasm(4)]), "a run still uses the third");
    drop(using);
    assert_eq!(set.stock.keep(), BTreeSet::from([wasm(2), wasm(4)]));
}

#[test]
fn a_component_that_was_loaded_twice_is_kept_until_neither_is_used() {
    let set = Set::new(true);
    let (one, other) = (Arc::default(), Arc::default());
    for using in [&one, &other, &one, &other] {
        set.stock.uses(wasm(3), using);
    }
    drop(other);
    assert_eq!(set.stock.keep(), BTreeSet::from([wasm(3)]));
    set.stock.uses(wasm(4), &Arc::default());
    assert_eq!(set.stock.keep(), BTreeSet::from([wasm(3)]));
    drop(one);
    assert_eq!(set.stock.keep(), BTreeSet::new());
}

#[test]
fn a_quarantine_that_cannot_be_written_lasts_as_long_as_the_process_or_its_lock() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("http", 1)], &[]));
    assert_eq!(set.chosen(false), Ok(Some(1)));
    set.locks.put(lock(2, &[("http", 2)], &[]));
    std::fs::write(set.folder.path().join("quarantine"), "no folder").unwrap();
    set.strike(2);
    set.stock.look_for_releases();
    assert_eq!(set.chosen(false), Ok(Some(1)));
    set.locks.put(lock(3, &[("http", 2)], &[]));
    assert_eq!(set.chosen(false), Ok(Some(2)));
}

#[test]
fn a_quarantine_always_names_a_lock_that_can_end_it_and_after_a_rollback_there_is_none() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("http", 1)], &[]));
    assert_eq!(set.chosen(false), Ok(Some(1)));
    set.locks.put(lock(2, &[("http", 2)], &[]));
    set.strike(9);
    assert!(set.stock.held(wasm(9)).is_none(), "no lock names it");
    set.strike(2);
    assert_eq!(set.stock.held(wasm(2)).unwrap().locks, BTreeMap::from([("prod".parse().unwrap(), 2)]));
    set.locks.put(lock(3, &[("http", 1)], &[]));
    set.strike(1);
    assert_eq!(set.chosen(false), Ok(Some(1)), "what was withdrawn is no way back");
}

#[test]
fn what_one_environment_approved_says_nothing_of_another_that_did_not() {
    let set = Set::new(true);
    let mut approving = lock(1, &[("http", 1)], &[]);
    approving.connectors.get_mut(&http()).unwrap().approved = ["egress login.example".to_owned()].into();
    let narrow = Lock { environment: "dev".parse().unwrap(), ..lock(1, &[("http", 1)], &[]) };
    *set.locks.locks.lock().unwrap() = vec![Arc::new(approving.clone()), Arc::new(narrow.clone())];
    set.locks.changes.send_modify(|changes| *changes += 1);
    let next = || set.stock.next_goal().0.map(|goal| goal.locked.approved.len());
    assert_eq!(next(), Some(1));
    set.stock.ready(&http(), &approving.connectors[&http()], &Arc::default());
    assert_eq!((next(), set.states()), (Some(0), vec![(1, "ready"), (1, "preparing")]), "one digest, two judgements");
    let grown = Failure::permanent(Code::new("lock.capabilities_grown"), "it asks for more");
    set.stock.not_ready(&http(), &narrow.connectors[&http()], &grown);
    assert_eq!((next(), set.states()), (None, vec![(1, "ready"), (1, "refused")]));
    set.stock.swept(&[wasm(1)]);
    assert_eq!(set.states(), [(1, "preparing"), (1, "preparing")], "gone from the disk, it is gone for both");
}

#[test]
fn an_inventory_names_what_runs_in_the_place_of_a_quarantined_version() {
    let set = Set::new(true);
    set.locks.put(lock(1, &[("http", 1)], &[]));
    assert_eq!(set.chosen(false), Ok(Some(1)));
    set.locks.put(lock(2, &[("http", 2)], &[("http", 3)]));
    let instead = || {
        let stock = set.stock.inventory().environments.remove(0);
        stock.holdings.into_iter().map(|one| one.instead.map(|version| version.major)).collect::<Vec<_>>()
    };
    assert_eq!(instead(), [None, None]);
    set.strike(3);
    assert_eq!(instead(), [None, Some(2)], "the trial's attempts run on the lock's version");
    set.strike(2);
    assert_eq!(instead(), [Some(1), Some(1)]);
}
