//! One test per attack.

use wherry_domain::lock::Mode;
use wherry_trust::chain::{Believed, Documents, INDEX_LIFE_MS, MAX_AHEAD_MS, MAX_RISE, sign_lock};
use wherry_trust::keys::SigningKey;

use super::world::{NOW, World, name};

#[test]
fn a_rolled_back_lock_is_refused() {
    let mut world = World::running();
    let old = world.lock.clone();
    world.lock_to(world.known("1.1.0"));
    world.offer().unwrap();
    world.lock = old;
    assert_eq!(world.refused(World::offer), "catalogue.rolled_back");
    assert_eq!(world.runs(), "1.1.0");
}

#[test]
fn a_rolled_back_index_is_refused() {
    let mut world = World::running();
    let old = world.index.clone();
    world.next_index();
    world.offer().unwrap();
    world.index = old;
    assert_eq!(world.refused(World::offer), "catalogue.rolled_back");
}

#[test]
fn a_rolled_back_publishers_list_is_refused() {
    let mut world = World::running();
    let old = world.list.clone();
    world.list.version += 1;
    world.offer().unwrap();
    world.list = old;
    assert_eq!(world.refused(World::offer), "catalogue.rolled_back");
}

#[test]
fn a_second_document_under_a_known_version_is_refused() {
    let mut world = World::running();
    let locked = world.known("1.1.0");
    world.lock.connectors.insert(name("acme-crm"), locked);
    assert_eq!(world.refused(World::offer), "catalogue.version_reused");
}

#[test]
fn freezing_is_noticed_once_the_index_expires() {
    let mut world = World::running();
    world.now_ms = NOW + INDEX_LIFE_MS;
    world.list.version += 1;
    world.list.issued_ms = world.now_ms;
    world.list.expires_ms = world.now_ms + INDEX_LIFE_MS;
    assert_eq!(world.refused(World::offer), "catalogue.expired");
    // What runs goes on.
    assert!(world.believed.admit(&name("acme-crm"), &world.known("1.0.0")).is_ok());
}

#[test]
fn a_clock_that_was_set_back_does_not_make_an_old_index_fresh() {
    let mut world = World::running();
    let (stale_index, stale_list) = (world.index.clone(), world.list.clone());
    world.now_ms = NOW + 2 * INDEX_LIFE_MS;
    for times in [
        (&mut world.index.issued_ms, &mut world.index.expires_ms),
        (&mut world.list.issued_ms, &mut world.list.expires_ms),
    ] {
        *times.0 = NOW + 2 * INDEX_LIFE_MS;
        *times.1 = NOW + 3 * INDEX_LIFE_MS;
    }
    world.index.version += 1;
    world.list.version += 1;
    world.offer().unwrap();
    world.now_ms = NOW;
    world.index = wherry_trust::chain::Index { version: world.index.version + 1, ..stale_index };
    world.list = wherry_trust::chain::PublishersList { version: world.list.version + 1, ..stale_list };
    assert_eq!(world.refused(World::offer), "catalogue.expired");
}

#[test]
fn a_document_from_the_future_cannot_make_later_ones_look_old() {
    let mut world = World::running();
    world.next_index();
    world.index.issued_ms = NOW + MAX_AHEAD_MS + 1;
    world.index.expires_ms = world.index.issued_ms + INDEX_LIFE_MS;
    assert_eq!(world.refused(World::offer), "catalogue.from_the_future");
}

#[test]
fn a_lock_mixed_with_an_older_index_is_refused() {
    let mut world = World::running();
    world.lock_to(world.known("1.1.0"));
    world.lock.index = world.index.version + 1;
    assert_eq!(world.refused(World::offer), "lock.index_older");
}

#[test]
fn a_release_of_another_index_is_refused() {
    let mut world = World::running();
    let foreign = world.publish("1.2.0", &[]);
    world.index.releases.pop();
    world.lock_to(foreign.locked());
    assert_eq!(world.refused(World::offer), "release.unlisted");
}

#[test]
fn a_version_that_jumps_is_refused() {
    for document in ["list", "index", "lock"] {
        let mut world = World::running();
        let version = match document {
            "list" => &mut world.list.version,
            "index" => &mut world.index.version,
            _ => &mut world.lock.version,
        };
        *version += MAX_RISE + 1;
        assert_eq!(world.refused(World::offer), "catalogue.fast_forwarded", "{document}");
    }
}

#[test]
fn endless_data_is_refused_before_it_is_read() {
    let mut world = World::running();
    let endless = vec![b'{'; 2 << 20];
    let documents = Documents { publishers: &endless, index: &endless, locks: &[] };
    let refused = world.refused(|world| world.take(&documents, None));
    assert_eq!(refused, "envelope.too_large");
    let list = world.list.sign(&world.catalogue).unwrap().to_json();
    assert_eq!(world.refused(|world| world.offer_these(&list, &endless, None)), "envelope.too_large");
}

#[test]
fn a_document_of_a_wrong_signer_is_refused() {
    let stranger = SigningKey::generate().unwrap();
    let mut world = World::running();
    world.lock_to(world.known("1.1.0"));
    world.list.version += 1;
    let list = world.list.sign(&world.catalogue).unwrap().to_json();
    let lock = sign_lock(&world.lock, &world.catalogue).unwrap().to_json();
    let foreign_lock = sign_lock(&world.lock, &stranger).unwrap().to_json();
    let foreign_list = world.list.sign(&stranger).unwrap().to_json();
    assert_eq!(world.refused(|world| world.offer_these(&list, &foreign_lock, None)), "catalogue.signer_unknown");
    assert_eq!(world.refused(|world| world.offer_these(&foreign_list, &lock, None)), "catalogue.signer_unknown");
    // A publisher signs releases and nothing else.
    let acme = SigningKey::from_pem(&world.acme.to_pem().unwrap()).unwrap();
    let by_publisher = sign_lock(&world.lock, &acme).unwrap().to_json();
    assert_eq!(world.refused(|world| world.offer_these(&list, &by_publisher, None)), "catalogue.signer_unknown");
}

#[test]
fn an_agent_with_a_roster_believes_its_operators_alone() {
    let mut world = World::running();
    let stranger = SigningKey::generate().unwrap();
    let roster = Some(vec![world.operator.public()]);
    world.list.version += 1;
    world.list.operators = vec![stranger.public()];
    let list = world.list.sign(&stranger).unwrap().to_json();
    let lock = sign_lock(&world.lock, &world.catalogue).unwrap().to_json();
    let refused = world.refused(|world| world.offer_these(&list, &lock, roster.clone()));
    assert_eq!(refused, "catalogue.signer_unknown");
    let list = world.list.sign(&world.operator).unwrap().to_json();
    world.offer_these(&list, &lock, roster).unwrap();
}

#[test]
fn the_controller_cannot_name_operators() {
    let mut world = World::running();
    world.list.version += 1;
    world.list.operators = vec![world.catalogue.public()];
    // The list names its own signer, so that it counts as an operator's word; a roster settles that.
    let roster = Some(vec![world.operator.public()]);
    let list = world.list.sign(&world.catalogue).unwrap().to_json();
    let lock = sign_lock(&world.lock, &world.catalogue).unwrap().to_json();
    assert_eq!(world.refused(|world| world.offer_these(&list, &lock, roster)), "catalogue.signer_unknown");
    let mut world = World::run_by_operators();
    world.list.version += 1;
    world.list.operators = vec![world.catalogue.public()];
    assert_eq!(world.refused(World::offer), "catalogue.downgraded");
}

#[test]
fn a_list_of_operators_is_not_replaced_by_one_of_the_controller() {
    let mut world = World::run_by_operators();
    world.list.version += 1;
    assert_eq!(world.refused(World::offer), "catalogue.downgraded");
}

#[test]
fn a_held_environment_is_not_moved_by_the_controller() {
    let mut world = World::run_by_operators();
    world.next_lock();
    world.lock.mode = Mode::Held;
    let list = world.list.sign(&world.operator).unwrap().to_json();
    let by = |world: &World, key: &SigningKey| sign_lock(&world.lock, key).unwrap().to_json();
    let held = by(&world, &world.operator);
    world.offer_these(&list, &held, None).unwrap();
    let controllers = SigningKey::from_pem(&world.catalogue.to_pem().unwrap()).unwrap();
    world.lock_to(world.known("1.1.0"));
    let raised = by(&world, &controllers);
    assert_eq!(world.refused(|world| world.offer_these(&list, &raised, None)), "lock.held");
    world.lock.mode = Mode::Automatic;
    let released = by(&world, &controllers);
    assert_eq!(world.refused(|world| world.offer_these(&list, &released, None)), "lock.held");
    let signed = by(&world, &world.operator);
    world.offer_these(&list, &signed, None).unwrap();
    assert_eq!(world.runs(), "1.1.0");
}

#[test]
fn capabilities_do_not_grow_under_an_automatic_signature() {
    let mut world = World::running();
    let greedy = world.publish("1.2.0", &["login.example"]);
    world.next_index();
    // Approved by the controller itself,
    world.lock_to(greedy.locked());
    assert_eq!(world.refused(World::offer), "lock.capabilities_grown");
    // or by nobody.
    let mut quiet = greedy.locked();
    quiet.approved.clear();
    world.lock.connectors.insert(name("acme-crm"), quiet);
    assert_eq!(world.refused(World::offer), "lock.capabilities_grown");
}

#[test]
fn a_way_to_authenticate_that_is_new_takes_an_operator_unless_nobody_was_ever_asked() {
    for (before, refused) in [(vec!["basic"], Some("lock.capabilities_grown")), (vec![], None)] {
        let mut world = World::running();
        for (version, auth) in [("1.2.0", before), ("1.3.0", vec!["basic", "bearer"])] {
            world.auth = auth.into_iter().map(str::to_owned).collect();
            world.publish(version, &[]);
        }
        world.next_index();
        world.lock_to(world.known("1.2.0"));
        world.offer().unwrap();
        world.lock_to(world.known("1.3.0"));
        match refused {
            Some(code) => assert_eq!(world.refused(World::offer), code),
            None => world.offer().unwrap(),
        }
        // Saying nothing of them is no way around it.
        world.lock.connectors.get_mut(&name("acme-crm")).unwrap().approved.clear();
        world.lock.version += 1;
        assert_eq!(world.refused(World::offer), "lock.capabilities_grown");
    }
}

#[test]
fn an_operator_approves_capabilities_that_grow() {
    let mut world = World::run_by_operators();
    let greedy = world.publish("1.2.0", &["login.example"]);
    world.next_index();
    world.lock_to(greedy.locked());
    world.offer_signed_by_operator().unwrap();
    assert_eq!(world.runs(), "1.2.0");
    assert!(world.believed.admit(&name("acme-crm"), &greedy.locked()).is_ok());
}

#[test]
fn a_major_jump_under_an_automatic_signature_is_refused() {
    let mut world = World::running();
    let next = world.publish("2.0.0", &[]);
    world.next_index();
    world.lock_to(next.locked());
    assert_eq!(world.refused(World::offer), "lock.major_jump");
    world.lock.connectors.insert(name("acme-crm"), world.known("1.0.0"));
    world.lock.trials.insert(name("acme-crm"), next.locked());
    assert_eq!(world.refused(World::offer), "lock.major_jump");
}

#[test]
fn a_revoked_release_is_not_taken_over_and_one_that_runs_is_stopped() {
    let mut world = World::running();
    world.next_index();
    world.index.revoked.insert(world.known("1.1.0").release);
    world.lock_to(world.known("1.1.0"));
    assert_eq!(world.refused(World::offer), "release.revoked");
    assert_eq!(world.runs(), "1.0.0");
    let mut world = World::running();
    world.next_index();
    world.index.revoked.insert(world.known("1.0.0").release);
    world.offer().unwrap();
    let refused = world.believed.admit(&name("acme-crm"), &world.known("1.0.0")).unwrap_err();
    assert_eq!(refused.code().as_str(), "release.revoked");
}

#[test]
fn a_revocation_is_never_taken_back() {
    let mut world = World::running();
    world.next_index();
    world.index.revoked.insert(world.known("1.0.0").release);
    world.list.version += 1;
    world.list.revoked_keys.insert(SigningKey::generate().unwrap().public());
    world.offer().unwrap();
    let revoked = std::mem::take(&mut world.index.revoked);
    let keys = std::mem::take(&mut world.list.revoked_keys);
    world.next_index();
    world.list.version += 1;
    world.offer().unwrap();
    let refused = |believed: &Believed| believed.admit(&name("acme-crm"), &world.known("1.0.0")).unwrap_err().code();
    assert_eq!(refused(&world.believed).as_str(), "release.revoked", "what leaves it out does not take it back");
    let again = Believed::from_json(&world.believed.to_json()).unwrap();
    assert_eq!(again, world.believed, "nor does a restart");
    assert_eq!(refused(&again).as_str(), "release.revoked");
    assert_eq!(again.index().unwrap().document.revoked, revoked);
    assert_eq!(again.publishers().unwrap().document.revoked_keys, keys);
}

#[test]
fn what_a_revoked_publisher_key_signed_does_not_run() {
    let mut world = World::running();
    world.list.version += 1;
    world.list.revoked_keys.insert(world.acme.public());
    world.offer().unwrap();
    let refused = world.believed.admit(&name("acme-crm"), &world.known("1.0.0")).unwrap_err();
    assert_eq!(refused.code().as_str(), "envelope.signer_unknown");
    world.lock_to(world.known("1.1.0"));
    assert_eq!(world.refused(World::offer), "envelope.signer_unknown");
}

#[test]
fn a_publisher_cannot_sign_outside_its_prefix() {
    let mut world = World::running();
    let acme = SigningKey::from_pem(&world.acme.to_pem().unwrap()).unwrap();
    let foreign = world.publish_as("jira", "1.0.0", &[], &acme);
    world.next_index();
    world.next_lock();
    world.lock.connectors.insert(name("jira"), foreign.locked());
    assert_eq!(world.refused(World::offer), "release.prefix_foreign");
}

#[test]
fn a_swapped_component_is_refused() {
    let mut world = World::running();
    let wasm = world.digest_of("another component");
    let mut swapped = world.known("1.1.0");
    swapped.wasm = wasm;
    world.next_index();
    for listed in &mut world.index.releases {
        if listed.release == swapped.release {
            listed.wasm = wasm;
        }
    }
    world.lock_to(swapped);
    assert_eq!(world.refused(World::offer), "release.differs");
}

#[test]
fn other_contents_under_the_version_that_runs_are_refused() {
    let mut world = World::running();
    let acme = SigningKey::from_pem(&world.acme.to_pem().unwrap()).unwrap();
    let mut twin = world.known("1.0.0");
    twin.release = world.publish_as("acme-crm", "1.0.0", &["login.example"], &acme).digest;
    world.next_index();
    world.lock_to(twin);
    assert_eq!(world.refused(World::offer), "lock.altered");
}

#[test]
fn a_catalogue_of_another_organisation_is_refused() {
    let mut world = World::running();
    world.list.version += 1;
    world.list.organisation = wherry_domain::id::OrganisationId::from_u128(2);
    assert_eq!(world.refused(World::offer), "catalogue.foreign");
}

#[test]
fn a_torn_file_is_not_taken_for_an_empty_one() {
    let world = World::running();
    let whole = world.believed.to_json();
    for cut in [1, whole.len() / 2, whole.len() - 1] {
        let error = wherry_trust::chain::Believed::from_json(&whole[..cut]).unwrap_err();
        assert_eq!(error.code().as_str(), "catalogue.damaged");
    }
}
