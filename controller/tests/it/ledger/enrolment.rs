//! One token, one agent; and certificates that tell a copied key.

use std::{collections::BTreeSet, time::Duration};

use tokio::task::JoinSet;
use wherry_controller::engine::Kind;
use wherry_trust::token::{AuthPart, EnrolmentToken, SpkiPin};

use crate::support::{Agent, Bench, Disk, invite, name, on_each_store, request, soon};

on_each_store!(
    a_token_shown_a_hundred_times_at_once_admits_one_agent,
    the_key_that_was_admitted_may_ask_again_also_after_a_restart,
    twenty_wrong_secrets_burn_a_token_and_the_right_one_comes_too_late,
    a_token_ends_with_its_life,
    a_name_is_given_to_one_agent,
    an_old_generation_locks_the_agent_and_the_one_before_the_newest_does_not,
);

async fn a_token_shown_a_hundred_times_at_once_admits_one_agent(disk: Disk) {
    let bench = Bench::open(disk);
    let token = token();
    invite(&bench, &token, 600).await;
    let mut tries = JoinSet::new();
    for n in 0..100 {
        let (ledger, request) = (bench.ledger.clone(), request(&token, &format!("pier-{n}"), &[n]));
        tries.spawn(async move { ledger.admit(request).await });
    }
    let mut admitted = BTreeSet::new();
    while let Some(tried) = soon(tries.join_next()).await {
        match tried.unwrap() {
            Ok(admission) => drop(admitted.insert(admission.agent)),
            Err(refusal) => assert_eq!(refusal.code.as_str(), "enrolment.token_invalid"),
        }
    }
    let agents: BTreeSet<_> = bench.ledger.agents().await.unwrap().into_iter().map(|view| view.agent.id).collect();
    assert_eq!((admitted.len(), &admitted), (1, &agents));
    let bench = bench.restart().await;
    assert_eq!(bench.ledger.agents().await.unwrap().len(), 1);
}

async fn the_key_that_was_admitted_may_ask_again_also_after_a_restart(disk: Disk) {
    let bench = Bench::open(disk);
    let token = token();
    invite(&bench, &token, 600).await;
    let first = bench.ledger.admit(request(&token, "pier-1", b"key")).await.unwrap();
    let again = bench.ledger.admit(request(&token, "pier-1", b"key")).await.unwrap();
    assert_eq!((again.agent, again.generation), (first.agent, 1));
    let bench = bench.restart().await;
    assert_eq!(bench.ledger.admit(request(&token, "pier-1", b"key")).await.unwrap().agent, first.agent);
    let stranger = bench.ledger.admit(request(&token, "pier-2", b"another key")).await.unwrap_err();
    assert_eq!((stranger.kind, stranger.code.as_str()), (Kind::Unauthenticated, "enrolment.token_invalid"));
    let audit = bench.ledger.audit(None, 1).await.unwrap().items.remove(0);
    assert_eq!((audit.what.as_str(), audit.target.as_str()), ("enrolment-token.reused", token.id().as_str()));
}

async fn twenty_wrong_secrets_burn_a_token_and_the_right_one_comes_too_late(disk: Disk) {
    let bench = Bench::open(disk);
    let token = token();
    invite(&bench, &token, 600).await;
    for _ in 0..20 {
        let mut wrong = request(&token, "pier-1", b"key");
        wrong.auth_part = AuthPart::from_slice(&[9; 32]).unwrap();
        assert_eq!(bench.ledger.admit(wrong).await.unwrap_err().code.as_str(), "enrolment.token_invalid");
    }
    // Counted on disk, so that a restart gives no new tries.
    let bench = bench.restart().await;
    let late = bench.ledger.admit(request(&token, "pier-1", b"key")).await.unwrap_err();
    assert_eq!(late.code.as_str(), "enrolment.token_invalid");
    assert!(bench.ledger.agents().await.unwrap().is_empty());
}

async fn a_token_ends_with_its_life(disk: Disk) {
    let bench = Bench::open(disk);
    let token = token();
    invite(&bench, &token, 600).await;
    bench.pass(Duration::from_secs(600)).await;
    let late = bench.ledger.admit(request(&token, "pier-1", b"key")).await.unwrap_err();
    assert_eq!(late.code.as_str(), "enrolment.token_invalid");
    let hash = token.auth_hash();
    for life_s in [0, 86_401] {
        let made =
            bench.ledger.create_enrolment_token("ada".to_owned(), name("berlin"), "x".to_owned(), hash, life_s, None);
        assert_eq!(made.await.unwrap_err().code.as_str(), "token.life_invalid", "{life_s}");
    }
}

async fn a_name_is_given_to_one_agent(disk: Disk) {
    let bench = Bench::open(disk);
    Agent::enrol(&bench, "pier-1", 1).await;
    let token = token();
    invite(&bench, &token, 600).await;
    let taken = bench.ledger.admit(request(&token, "pier-1", b"another key")).await.unwrap_err();
    assert_eq!((taken.kind, taken.code.as_str()), (Kind::Conflict, "agent.name_taken"));
    // The token is not spent by that.
    bench.ledger.admit(request(&token, "pier-2", b"another key")).await.unwrap();
}

async fn an_old_generation_locks_the_agent_and_the_one_before_the_newest_does_not(disk: Disk) {
    let bench = Bench::open(disk);
    let agent = Agent::enrol(&bench, "pier-1", 1).await;
    let renew = async |generation| bench.ledger.renew(agent.id, generation).await;
    assert_eq!(renew(Some(1)).await.unwrap().generation, 2);
    assert_eq!(renew(Some(1)).await.unwrap().generation, 2, "the answer was lost");
    assert_eq!(renew(Some(2)).await.unwrap().generation, 3);
    assert_eq!(renew(None).await.unwrap().generation, 4, "a recovery");
    let copied = renew(Some(2)).await.unwrap_err();
    assert_eq!((copied.kind, copied.code.as_str()), (Kind::Forbidden, "agent.locked"));
    for generation in [Some(4), Some(u64::MAX), None] {
        assert_eq!(renew(generation).await.unwrap_err().code.as_str(), "agent.locked", "{generation:?}");
    }
    bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), None).await.unwrap();
    assert_eq!(renew(Some(u64::MAX)).await.unwrap_err().code.as_str(), "agent.locked", "a number out of thin air");
    assert_eq!(bench.ledger.agent("pier-1".to_owned()).await.unwrap().state, "locked");
}

fn token() -> EnrolmentToken {
    EnrolmentToken::generate(SpkiPin::of_spki(b"root")).unwrap()
}
