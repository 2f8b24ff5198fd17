//! What agents report of their keyring: taken from members only, and for what it says it is.

use wherry_proto::frame::{FromAgent, KeyringReport, KeyringState, KeyringTrouble, SealedItem, WrappedKey};
use wherry_trust::sealing::{
    key::{SealingKey, SealingPublic},
    roster::Op,
    wrap::Wrap,
};

use crate::support::{Bench, Crew, Disk, Hand, name, on_each_store, secret};

on_each_store!(
    keys_come_from_members_and_only_what_nobody_can_have_used_is_replaced,
    what_is_sealed_anew_is_what_it_is_said_to_be,
    an_agent_in_trouble_with_a_secret_still_follows_and_tends,
);

async fn keys_come_from_members_and_only_what_nobody_can_have_used_is_replaced(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let (mut first, second) = crew.two(&bench).await;
    let third = crew.enrol(&bench, "pier-3").await;
    let recovery = SealingKey::generate().unwrap().public();
    let entry = crew.say_as_operator(Op::Recovery { key: recovery });
    first.report(&bench, KeyringState::Member, |report| report.append = vec![entry]).await;
    let wrap = |to| {
        let wrapped = Wrap::seal((crew.organisation, crew.group), 1, &crew.epoch_key, to).unwrap().to_json();
        WrappedKey { epoch: 1, recipient: to.to_string(), wrapped }
    };
    let say = async |hand: &Hand, state, wraps| {
        hand.agent.say(&bench, FromAgent::Keyring(KeyringReport { state, wraps, ..KeyringReport::default() })).await;
        bench.settle().await;
    };
    let kept = async |to: SealingPublic| bench.ledger.wraps(name("berlin"), to.to_string()).await.unwrap();
    say(&third, KeyringState::PendingKeys, vec![wrap(recovery)]).await;
    assert!(kept(recovery).await.is_empty(), "it is no member");
    for wrapped in [wrap(recovery), wrap(recovery)] {
        say(&first, KeyringState::Member, vec![wrapped.clone()]).await;
        assert_eq!(kept(recovery).await, [String::from_utf8(wrapped.wrapped).unwrap()]);
    }
    let to = second.sealing.public();
    let before = kept(to).await;
    say(&first, KeyringState::Member, vec![wrap(to)]).await;
    assert_eq!(kept(to).await, before, "it has used it");
    say(&second, KeyringState::PendingKeys, Vec::new()).await;
    let better = wrap(to);
    say(&first, KeyringState::Member, vec![better.clone()]).await;
    assert_eq!(kept(to).await, [String::from_utf8(better.wrapped).unwrap()]);
}

async fn what_is_sealed_anew_is_what_it_is_said_to_be(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    let misnamed = SealedItem { name: name("other"), ..crew.resealed("helix", 2, b"hunter2", &first.identity) };
    let highest = crew.resealed("helix", 1 << 62, b"hunter2", &first.identity);
    for (item, version) in [(misnamed, 1), (highest, 1), (crew.resealed("helix", 2, b"x", &first.identity), 2)] {
        let mut report =
            KeyringReport { state: KeyringState::Member, resealed: vec![item], ..KeyringReport::default() };
        crew.known(&mut report);
        first.agent.say(&bench, FromAgent::Keyring(report)).await;
        bench.settle().await;
        assert_eq!(secret(&bench, "helix").await.record.version, version);
    }
}

async fn an_agent_in_trouble_with_a_secret_still_follows_and_tends(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    first.agent.connect(&bench, &[]).await;
    first.frames = Vec::new();
    let code = wherry_domain::failure::Code::new("seal.epoch_unknown");
    let trouble = Some(KeyringTrouble { code, message: "one secret does not hold".to_owned() });
    let told = first.report(&bench, KeyringState::Member, |report| report.trouble = trouble).await;
    assert_eq!((told.entries.len(), told.wraps.len(), told.secrets.len(), told.tends), (1, 1, 1, true));
}
