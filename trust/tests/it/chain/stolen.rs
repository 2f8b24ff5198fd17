//! What whoever stole the controller's key can leave behind, and how operators end it.

use semver::Version;
use wherry_domain::lock::Locked;
use wherry_trust::chain::{Documents, Listed, MAX_RISE, sign_lock};
use wherry_trust::dsse;
use wherry_trust::keys::{SigningKey, sha256};

use super::world::{World, name};

#[test]
fn versions_that_a_thief_ran_up_and_revocations_it_filled_end_when_operators_name_another_key() {
    let mut world = World::running();
    let (list, index, lock) = (world.list.clone(), world.index.clone(), world.lock.clone());
    for step in 1..=100 {
        world.index.version = index.version + step * MAX_RISE;
        world.list.version = list.version + step * MAX_RISE;
        world.lock.version = lock.version + step * MAX_RISE;
        world.lock.index = world.index.version;
        world.index.revoked = (0..20).map(|n| world.digest_of(&format!("{step} {n}"))).collect();
        world.offer().unwrap();
    }
    let stolen = std::mem::replace(&mut world.catalogue, SigningKey::generate().unwrap());
    // The controller as it was before, with a key of its own, and an operator who names that key alone.
    (world.list, world.index, world.lock) = (list, index, lock);
    world.list.catalogue_keys = vec![world.catalogue.public()];
    assert_eq!(world.refused(World::offer), "catalogue.signer_unknown", "nobody but an operator says so");
    world.list.operators = vec![world.operator.public()];
    world.lock_to(world.known("1.1.0"));
    world.index.revoked = [world.known("1.0.0").release].into();
    let (list, lock) = (world.list.sign(&world.operator).unwrap(), sign_lock(&world.lock, &world.catalogue).unwrap());
    world.offer_these(&list.to_json(), &lock.to_json(), None).unwrap();
    assert_eq!(world.runs(), "1.1.0");
    assert!(world.believed.admit(&name("acme-crm"), &world.known("1.0.0")).is_err(), "what is really revoked");
    world.next_index();
    let index = world.index.sign(&stolen).unwrap().to_json();
    let documents = Documents { publishers: &list.to_json(), index: &index, locks: &[lock.to_json()] };
    assert_eq!(world.refused(|world| world.take(&documents, None)), "catalogue.signer_unknown");
}

#[test]
fn a_catalogue_that_is_larger_than_anyone_keeps_is_refused() {
    let mut world = World::running();
    world.lock.environment = name("junk");
    world.next_index();
    world.next_lock();
    world.lock.connectors.clear();
    for number in 0..100_u32 {
        // Of a lock that follows none, a release is held against its digest and nothing else.
        let payload = format!("{number} {}", "x".repeat(180_000)).into_bytes();
        let (release, wasm) = (sha256(&payload), world.digest_of("junk"));
        let (named, version) = (name(&format!("acme-{number}")), Version::new(1, 0, 0));
        world.index.releases.push(Listed { name: named.clone(), version: version.clone(), release, wasm });
        world.releases.push((release, dsse::sign("junk", &payload, &world.acme).to_json()));
        world
            .lock
            .connectors
            .insert(named, Locked { version, release, wasm, length: 1, pinned: false, approved: [].into() });
    }
    assert_eq!(world.refused(World::offer), "catalogue.too_large");
}
