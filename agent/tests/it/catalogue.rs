//! A controller that lies about connectors, over the real wire: one test per attack.

use wherry_domain::lock::Mode;
use wherry_proto::frame::{Catalogue, HoldingState};
use wherry_trust::{
    chain::{INDEX_LIFE_MS, MAX_RISE, sign_lock},
    keys::{SigningKey, sha256},
};

use super::support::liar::{CONNECTOR, Liar, connector, now_ms};

/// An agent on the second lock; the first comes along, to be replayed.
async fn moved_on() -> (Liar, Catalogue) {
    let mut liar = Liar::believed().await;
    let first = liar.signed();
    let next = liar.publish(CONNECTOR, "1.1.0", &[]);
    liar.list.version += 1;
    liar.index.version += 1;
    liar.lock_to(next);
    liar.offer().await;
    liar.in_force(2).await;
    (liar, first)
}

#[tokio::test]
async fn a_rolled_back_lock_is_refused() {
    let (mut liar, first) = moved_on().await;
    let attack = Catalogue { locks: first.locks, ..liar.signed() };
    assert_eq!(liar.refused(attack, 2).await, "catalogue.rolled_back");
}

#[tokio::test]
async fn a_rolled_back_index_is_refused() {
    let (mut liar, first) = moved_on().await;
    let attack = Catalogue { index: first.index, ..liar.signed() };
    assert_eq!(liar.refused(attack, 2).await, "catalogue.rolled_back");
}

#[tokio::test]
async fn a_rolled_back_publishers_list_is_refused() {
    let (mut liar, first) = moved_on().await;
    let attack = Catalogue { publishers: first.publishers, ..liar.signed() };
    assert_eq!(liar.refused(attack, 2).await, "catalogue.rolled_back");
}

#[tokio::test]
async fn freezing_is_noticed_once_the_index_expires() {
    let mut liar = Liar::believed().await;
    let next = liar.publish(CONNECTOR, "1.1.0", &[]);
    liar.index.version += 1;
    liar.index.issued_ms = now_ms() - INDEX_LIFE_MS - 1;
    liar.index.expires_ms = now_ms() - 1;
    liar.lock_to(next);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "catalogue.expired");
}

#[tokio::test]
async fn a_lock_mixed_with_an_older_index_is_refused() {
    let mut liar = Liar::believed().await;
    liar.next_lock();
    liar.lock.index += 1;
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "lock.index_older");
}

#[tokio::test]
async fn a_release_of_another_index_is_refused() {
    let mut liar = Liar::believed().await;
    let unlisted = liar.publish(CONNECTOR, "1.1.0", &[]);
    liar.index.releases.pop();
    liar.lock_to(unlisted);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "release.unlisted");
}

#[tokio::test]
async fn a_version_that_jumps_is_refused() {
    let mut liar = Liar::believed().await;
    liar.next_lock();
    liar.lock.version += MAX_RISE;
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "catalogue.fast_forwarded");
}

#[tokio::test]
async fn endless_data_is_refused_before_it_is_read() {
    let mut liar = Liar::believed().await;
    let attack = Catalogue { index: vec![b' '; 700 << 10], ..liar.signed() };
    assert_eq!(liar.refused(attack, 1).await, "envelope.too_large");
}

#[tokio::test]
async fn a_document_of_a_wrong_signer_is_refused() {
    let mut liar = Liar::believed().await;
    liar.next_lock();
    let stranger = SigningKey::generate().unwrap();
    let attack = Catalogue { locks: vec![sign_lock(&liar.lock, &stranger).unwrap().to_json()], ..liar.signed() };
    assert_eq!(liar.refused(attack, 1).await, "catalogue.signer_unknown");
}

#[tokio::test]
async fn a_list_of_operators_is_not_replaced_by_one_of_the_controller() {
    let mut liar = Liar::believed().await;
    liar.list.version += 1;
    liar.list.operators = vec![liar.operator.public()];
    let publishers = liar.list.sign(&liar.operator).unwrap().to_json();
    liar.next_lock();
    let honest = Catalogue { publishers, ..liar.signed() };
    liar.say(honest).await;
    liar.in_force(2).await;
    liar.list.version += 1;
    liar.list.operators.clear();
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 2).await, "catalogue.downgraded");
}

#[tokio::test]
async fn a_held_environment_is_not_moved_by_the_controller() {
    let mut liar = Liar::believed().await;
    let next = liar.publish(CONNECTOR, "1.1.0", &[]);
    liar.index.version += 1;
    liar.next_lock();
    liar.lock.mode = Mode::Held;
    liar.offer().await;
    liar.in_force(2).await;
    liar.lock_to(next);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 2).await, "lock.held");
}

#[tokio::test]
async fn capabilities_do_not_grow_under_an_automatic_signature() {
    let mut liar = Liar::believed().await;
    let mut greedy = liar.publish(CONNECTOR, "1.1.0", &["evil.example"]);
    liar.index.version += 1;
    liar.lock_to(greedy.clone());
    let approved_by_itself = liar.signed();
    assert_eq!(liar.refused(approved_by_itself, 1).await, "lock.capabilities_grown");
    greedy.approved.clear();
    liar.lock_to(greedy);
    let approved_by_nobody = liar.signed();
    assert_eq!(liar.refused(approved_by_nobody, 1).await, "lock.capabilities_grown");
}

#[tokio::test]
async fn a_major_jump_under_an_automatic_signature_is_refused() {
    let mut liar = Liar::believed().await;
    let next = liar.publish(CONNECTOR, "2.0.0", &[]);
    liar.index.version += 1;
    liar.lock_to(next);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "lock.major_jump");
}

#[tokio::test]
async fn a_revoked_release_is_not_taken_over_and_one_that_runs_is_stopped() {
    let mut liar = Liar::believed().await;
    let next = liar.publish(CONNECTOR, "1.1.0", &[]);
    liar.index.version += 1;
    liar.index.revoked.insert(next.release);
    let running = liar.lock.clone();
    liar.lock_to(next);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "release.revoked");
    // Of what runs, the index alone says it: no lock moves.
    let first = running.connectors[&connector()].release;
    liar.lock = running;
    liar.index.version += 1;
    liar.index.revoked.insert(first);
    liar.offer().await;
    liar.inventory("a holding that is revoked", |inventory| {
        let mut holdings = inventory.environments.iter().flat_map(|one| &one.holdings);
        holdings
            .any(|one| matches!(&one.state, HoldingState::Refused { code, .. } if code.as_str() == "release.revoked"))
    })
    .await;
}

#[tokio::test]
async fn what_a_revoked_publisher_key_signed_does_not_run() {
    let mut liar = Liar::believed().await;
    let next = liar.publish(CONNECTOR, "1.1.0", &[]);
    liar.index.version += 1;
    liar.list.version += 1;
    liar.list.revoked_keys.insert(liar.acme.public());
    let running = liar.lock.clone();
    liar.lock_to(next);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "publisher.key_revoked");
    // Of what runs, the list alone says it: no lock moves.
    liar.lock = running;
    liar.offer().await;
    let refused = |state: &HoldingState| {
        matches!(state, HoldingState::Refused { code, message }
        if code.as_str() == "publisher.key_revoked" && message.contains("acme-crm 1.0.0"))
    };
    liar.inventory("a holding of a revoked key", |inventory| {
        let mut holdings = inventory.environments.iter().flat_map(|one| &one.holdings);
        holdings.any(|one| refused(&one.state))
    })
    .await;
}

#[tokio::test]
async fn a_publisher_cannot_sign_outside_its_prefix() {
    let mut liar = Liar::believed().await;
    let foreign = liar.publish("jira", "1.0.0", &[]);
    liar.index.version += 1;
    liar.next_lock();
    liar.lock.connectors.insert("jira".parse().unwrap(), foreign);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "release.prefix_foreign");
}

#[tokio::test]
async fn a_swapped_component_is_refused() {
    let mut liar = Liar::believed().await;
    let mut swapped = liar.publish(CONNECTOR, "1.1.0", &[]);
    swapped.wasm = sha256(b"another component");
    liar.index.version += 1;
    liar.index.releases.last_mut().unwrap().wasm = swapped.wasm;
    liar.lock_to(swapped);
    let attack = liar.signed();
    assert_eq!(liar.refused(attack, 1).await, "release.differs");
}

#[tokio::test]
async fn a_torn_write_leaves_what_was_believed() {
    let (mut liar, first) = moved_on().await;
    let file = liar.agent.data().join("catalogue.json");
    liar.agent.kill().await;
    // What a power cut leaves of the one write that there is: a file that never got its name.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(file.with_extension("json.4711.tmp"), &whole[..whole.len() / 2]).unwrap();
    liar.agent.start();
    liar.controller.hello().await;
    assert_eq!(liar.refused(first, 2).await, "catalogue.rolled_back");
    // A file that something else cut short is not taken for a fresh start.
    liar.agent.kill().await;
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    liar.agent.start();
    assert_eq!(liar.agent.ended().await, Some(74));
}
