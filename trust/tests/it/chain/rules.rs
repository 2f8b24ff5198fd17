//! Which lock the controller may sign after which: examples, and what holds for all of them.

use proptest::prelude::*;
use wherry_domain::lock::{Lock, Locked, Mode};
use wherry_domain::name::Name;
use wherry_trust::chain::{Documents, Level, StepError, sign_lock, step};
use wherry_trust::keys::sha256;

use super::world::{World, name};

fn code(step: Result<(), StepError>) -> String {
    step.expect_err("it was allowed").code().to_string()
}

#[test]
fn the_controller_adds_raises_and_pins() {
    let mut world = World::running();
    world.lock_to(world.known("1.1.0"));
    world.offer().unwrap();
    assert_eq!(world.runs(), "1.1.0");
    world.next_lock();
    world.lock.connectors.get_mut(&name("acme-crm")).unwrap().pinned = true;
    world.offer().unwrap();
    let acme = wherry_trust::keys::SigningKey::from_pem(&world.acme.to_pem().unwrap()).unwrap();
    let added = world.publish_as("acme-erp", "3.0.0", &["erp.example"], &acme);
    world.next_index();
    world.next_lock();
    world.lock.connectors.insert(name("acme-erp"), added.locked());
    world.offer().unwrap();
    assert!(world.believed.admit(&name("acme-erp"), &added.locked()).is_ok());
}

#[test]
fn the_controller_neither_drops_nor_lowers_nor_moves_what_is_pinned() {
    let mut world = World::running();
    world.lock_to(world.known("1.1.0"));
    let before = world.lock.clone();
    let mut after = before.clone();
    after.connectors.clear();
    assert_eq!(code(step(&before, &after, Level::Controller)), "lock.connector_dropped");
    let mut after = before.clone();
    after.connectors.insert(name("acme-crm"), world.known("1.0.0"));
    assert_eq!(code(step(&before, &after, Level::Controller)), "lock.lowered");
    let mut pinned = after.clone();
    pinned.connectors.get_mut(&name("acme-crm")).unwrap().pinned = true;
    assert_eq!(code(step(&pinned, &before, Level::Controller)), "lock.pinned");
    for (before, after) in [(&before, &after), (&pinned, &before)] {
        step(before, after, Level::Operator).unwrap();
    }
}

#[test]
fn a_trial_is_begun_promoted_and_dropped_by_the_controller() {
    let mut world = World::running();
    let trial = world.known("1.1.0");
    world.next_lock();
    world.lock.trials.insert(name("acme-crm"), trial.clone());
    world.offer().unwrap();
    assert_eq!(world.runs(), "1.0.0");
    assert!(world.believed.admit(&name("acme-crm"), &trial).is_ok());
    let tried = world.lock.clone();
    world.next_lock();
    world.lock.trials.clear();
    world.offer().unwrap();
    let mut promoted = tried.clone();
    promoted.trials.clear();
    promoted.connectors.insert(name("acme-crm"), trial);
    step(&tried, &promoted, Level::Controller).unwrap();
}

#[test]
fn a_trial_in_a_held_environment_is_settled_by_the_controller_and_nothing_else_moves() {
    let mut world = World::running();
    world.lock.mode = Mode::Held;
    let greedy = world.publish("2.0.0", &["login.example"]).locked();
    world.lock.trials.insert(name("acme-crm"), greedy.clone());
    let held = world.lock.clone();
    let mut dropped = held.clone();
    dropped.trials.clear();
    step(&held, &dropped, Level::Controller).unwrap();
    let mut promoted = dropped.clone();
    promoted.connectors.insert(name("acme-crm"), greedy);
    step(&held, &promoted, Level::Controller).unwrap();
    let mut other = dropped.clone();
    other.connectors.insert(name("acme-crm"), world.known("1.1.0"));
    assert_eq!(code(step(&held, &other, Level::Controller)), "lock.held");
    promoted.mode = Mode::Automatic;
    assert_eq!(code(step(&held, &promoted, Level::Controller)), "lock.held");
    assert_eq!(code(step(&dropped, &held, Level::Controller)), "lock.held");
}

#[test]
fn a_late_agent_runs_what_is_sound_although_something_is_revoked() {
    let mut world = World::new();
    let acme = wherry_trust::keys::SigningKey::from_pem(&world.acme.to_pem().unwrap()).unwrap();
    let other = world.publish_as("acme-erp", "3.0.0", &[], &acme);
    world.lock.connectors.insert(name("acme-erp"), other.locked());
    world.index.revoked.insert(world.known("1.0.0").release);
    world.offer().unwrap();
    assert!(world.believed.admit(&name("acme-erp"), &other.locked()).is_ok());
    assert!(world.believed.admit(&name("acme-crm"), &world.known("1.0.0")).is_err());
}

#[test]
fn a_group_serves_as_many_environments_as_an_organisation_may_have_and_others_come_after_them() {
    let mut world = World::new();
    let list = world.list.sign(&world.catalogue).unwrap().to_json();
    let index = world.index.sign(&world.catalogue).unwrap().to_json();
    let signed = |number: usize| {
        let lock = Lock { version: 1, index: 1, ..Lock::empty(name(&format!("port-{number}")), Mode::Automatic) };
        sign_lock(&lock, &world.catalogue).unwrap().to_json()
    };
    let locks: Vec<Vec<u8>> = (0..=1_000).map(signed).collect();
    let offer = |locks| Documents { publishers: &list, index: &index, locks };
    world.take(&offer(&locks[..1_000]), None).unwrap();
    assert_eq!(world.refused(|world| world.take(&offer(&locks), None)), "catalogue.malformed");
    world.take(&offer(&locks[1_000..]), None).unwrap();
    assert_eq!(world.believed.locks().count(), 1_001, "those that are gone cannot be rolled back");
}

fn locked() -> impl Strategy<Value = Locked> {
    let approved = proptest::collection::btree_set("(egress|auth) [a-c]", 0..4);
    (0..3_u64, 0..3_u64, 0..2_u8, any::<bool>(), approved).prop_map(|(major, minor, twin, pinned, approved)| Locked {
        version: semver::Version::new(major, minor, 0),
        release: sha256(format!("{major}.{minor}-{twin}").as_bytes()),
        wasm: sha256(b"component"),
        length: 9,
        pinned,
        approved,
    })
}

/// Approvals that name no way to authenticate agree to any.
fn agrees_to_no_more(new: &Locked, old: &Locked) -> bool {
    let any_auth = |locked: &Locked| !locked.approved.iter().any(|entry| entry.starts_with("auth "));
    let counts = |entry: &&String| !any_auth(old) || !entry.starts_with("auth ");
    (any_auth(old) || !any_auth(new)) && new.approved.iter().filter(counts).all(|entry| old.approved.contains(entry))
}

fn lock() -> impl Strategy<Value = Lock> {
    let names = || proptest::sample::select(vec!["a", "b", "c"]).prop_map(|text| -> Name { text.parse().unwrap() });
    let connectors = proptest::collection::btree_map(names(), locked(), 0..4);
    let trials = proptest::collection::btree_map(names(), locked(), 0..2);
    (connectors, trials, any::<bool>()).prop_map(|(connectors, mut trials, held)| {
        trials.retain(|name, _| connectors.contains_key(name));
        let mode = if held { Mode::Held } else { Mode::Automatic };
        Lock { version: 1, connectors, trials, ..Lock::empty(name("prod"), mode) }
    })
}

proptest! {
    /// Whatever the controller signs, one after the other: what runs was in the first lock or in one of its trials,
    /// or is a higher version of the same major that asks for no more.
    #[test]
    fn no_chain_of_controller_signed_locks_escapes_its_bounds(first in lock(), next in proptest::collection::vec(lock(), 1..6)) {
        let mut believed = first;
        for offered in next {
            if step(&believed, &offered, Level::Controller).is_ok() {
                if believed.mode == Mode::Held {
                    prop_assert_eq!(offered.mode, Mode::Held);
                }
                for (name, old) in &believed.connectors {
                    let new = &offered.connectors[name];
                    let tried = believed.trials.get(name).is_some_and(|trial| trial.release == new.release);
                    let within = new.version >= old.version
                        && new.version.major == old.version.major
                        && agrees_to_no_more(new, old);
                    prop_assert!(tried || within, "{:?} -> {:?}", old, new);
                }
                believed = offered;
            }
        }
    }

    /// Nothing that does not change is ever in the way, except in who may say it.
    #[test]
    fn the_same_lock_follows_itself(lock in lock()) {
        prop_assert!(step(&lock, &lock, Level::Controller).is_ok());
        prop_assert!(step(&lock, &lock, Level::Operator).is_ok());
    }
}
