//! Groups' keys and sealed secrets: kept and carried as they were signed, and refused where every agent would.

use std::time::Duration;

use wherry_domain::id::GroupId;
use wherry_proto::frame::{FromAgent, KeyringReport, KeyringState, KeyringTrouble, WrappedKey};
use wherry_trust::{
    keys::SigningKey,
    sealing::{
        key::SealingKey,
        roster::Op,
        secret::{Place, SealedSecret},
        wrap::Wrap,
    },
};

use crate::support::{Bench, Crew, Disk, keys, name, on_each_store, secret, soon};

on_each_store!(
    the_first_agent_founds_and_gets_what_the_operator_seals_also_after_a_restart,
    a_second_agent_is_admitted_by_the_first_and_gets_everything,
    what_no_agent_would_take_is_refused,
    a_removed_agent_is_a_duty_and_its_secrets_are_to_be_set_anew,
    of_two_entries_at_one_place_the_first_stands_and_the_keys_of_the_other_are_ignored,
    a_duty_that_is_not_done_goes_to_another_member,
    a_duty_that_nobody_can_do_does_not_keep_the_writer_busy,
    a_removed_secret_stays_removed_and_its_version_counts_on,
    an_agent_that_is_ahead_of_a_restored_controller_hands_back_what_is_missing,
    many_secrets_come_in_frames_that_fit,
    a_group_that_is_reset_is_founded_anew,
);

async fn the_first_agent_founds_and_gets_what_the_operator_seals_also_after_a_restart(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    assert_eq!(keys(&bench, &first).await, "pending_keys");
    let empty = first.report(&bench, KeyringState::PendingKeys, |_| ()).await;
    assert_eq!((empty.roster_n, empty.tends), (0, false));
    crew.found(&bench, &mut first).await;
    assert_eq!(keys(&bench, &first).await, "member");
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    let frame = first.keyring().await;
    assert_eq!(crew.open(&frame.secrets[0]), b"hunter2");
    let bench = bench.restart().await;
    first.agent.connect(&bench, &[]).await;
    first.frames = Vec::new();
    let all = first.report(&bench, KeyringState::Member, |report| report.roster_n = 0).await;
    assert_eq!((all.entries.len(), all.roster_first, all.wraps.len(), all.secrets.len()), (1, 0, 1, 1));
    assert_eq!(crew.open(&all.secrets[0]), b"hunter2");
}

async fn a_second_agent_is_admitted_by_the_first_and_gets_everything(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    first.keyring().await;
    let mut second = crew.enrol(&bench, "pier-2").await;
    // It asks while nobody is there who could admit it.
    bench.ledger.close_session(first.agent.id, first.agent.epoch).await;
    let join = second.join.to_json();
    let answer = second.report(&bench, KeyringState::PendingKeys, |report| report.join.clone_from(&join)).await;
    assert_eq!((answer.entries.len(), answer.wraps.len(), answer.secrets.len()), (1, 0, 0));
    assert_eq!(keys(&bench, &second).await, "pending_keys");
    first.agent.connect(&bench, &[]).await;
    let duty = first.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    assert!(duty.tends && duty.joins.len() == 1);
    assert_eq!(duty.joins[0].invite, second.invite.to_json());
    crew.admit(&bench, &mut first, &second).await;
    let admitted = second.keyring().await;
    assert_eq!((admitted.entries.len(), admitted.wraps.len()), (1, 1));
    let key = Wrap::from_json(&admitted.wraps[0].wrapped).unwrap().open(&second.sealing, &crew.roster).unwrap();
    let all = second.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    let sealed = SealedSecret::from_json(&all.secrets[0].envelope).unwrap();
    assert_eq!(sealed.open(&key).unwrap().as_slice(), b"hunter2");
    assert_eq!(keys(&bench, &second).await, "member");
}

async fn what_no_agent_would_take_is_refused(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let refused = crew.seal(&bench, "helix", b"x").await.unwrap_err();
    assert_eq!(refused.code.as_str(), "secret.no_keyring");
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    let stranger = SigningKey::generate().unwrap();
    let (epoch, key) = crew.roster.epoch();
    let here = crew.place("helix");
    let seal = |place: &Place, epoch, signer: &SigningKey| {
        SealedSecret::seal(place, 1, epoch, &key, b"x", signer).unwrap().to_json()
    };
    let elsewhere = Place::secret(crew.organisation, GroupId::from_u128(9), &name("prod"), &name("helix"));
    let cases = [
        (seal(&here, epoch, &stranger), "seal.signer_unknown"),
        (seal(&here, epoch + 1, &crew.operator), "seal.epoch_unknown"),
        (seal(&crew.place("other"), epoch, &crew.operator), "seal.misplaced"),
        (seal(&elsewhere, epoch, &crew.operator), "seal.misplaced"),
        (b"{}".to_vec(), "seal.malformed"),
    ];
    for (sealed, code) in cases {
        let error = soon(bench.ledger.set_secret("ada".to_owned(), (name("prod"), name("helix")), 0, sealed)).await;
        assert_eq!(error.unwrap_err().code.as_str(), code);
    }
    let entry = crew.roster.entry(1, Op::OperatorAdd { key: stranger.public() }, &crew.operator).unwrap();
    let mut changed = entry.clone();
    changed[40] ^= 1;
    for (entry, code) in [(changed, "roster."), (b"{}".to_vec(), "roster.malformed")] {
        let error = soon(bench.ledger.append_roster("ada".to_owned(), name("berlin"), entry, Vec::new())).await;
        assert!(error.unwrap_err().code.as_str().starts_with(code));
    }
    // An agent's own word is not an operator's.
    let own = crew.roster.entry(1, Op::OperatorAdd { key: stranger.public() }, &first.identity);
    assert!(own.is_err());
    let view = soon(bench.ledger.append_roster("ada".to_owned(), name("berlin"), entry.clone(), Vec::new())).await;
    assert_eq!(view.unwrap().n, 2);
    let again = soon(bench.ledger.append_roster("ada".to_owned(), name("berlin"), entry, Vec::new())).await;
    assert_eq!(again.unwrap().n, 2, "the same entry twice is one");
}

async fn a_removed_agent_is_a_duty_and_its_secrets_are_to_be_set_anew(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let (mut first, second) = crew.two(&bench).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    first.keyring().await;
    bench.ledger.remove_agent("ada".to_owned(), "pier-2".to_owned()).await.unwrap();
    let duty = first.keyring().await;
    assert_eq!(duty.departed.iter().map(|gone| gone.agent).collect::<Vec<_>>(), [second.agent.id]);
    // The duty is done in two reports: out of the roster with a new key, then every secret sealed anew.
    let head = crew.roster.head();
    let remove = crew.say(Op::Remove { agent: second.agent.id, reason: "removed".to_owned() }, &first.identity);
    crew.epoch_key = SealingKey::generate().unwrap();
    let begin = crew.say(Op::Epoch { epoch: 2, epoch_key: crew.epoch_key.public() }, &first.identity);
    let wrap = crew.wrap(2, &first);
    let rotated = first
        .report(&bench, KeyringState::Member, |report| {
            (report.roster_n, report.roster_head) = (head.n, head.hash.as_bytes().to_vec());
            (report.append, report.wraps) = (vec![remove, begin], vec![wrap]);
        })
        .await;
    assert_eq!((rotated.entries.len(), rotated.wraps.len()), (2, 1));
    assert!(secret(&bench, "helix").await.record.epoch == 1);
    let late = SealedSecret::seal(&crew.place("helix"), 9, 1, crew.roster.epoch_key(1).unwrap(), b"x", &crew.operator);
    let late = late.unwrap().to_json();
    let stale = bench.ledger.set_secret("ada".to_owned(), (name("prod"), name("helix")), 1, late).await.unwrap_err();
    assert_eq!(stale.code.as_str(), "secret.epoch_stale");
    let resealed = crew.resealed("helix", 2, b"hunter2", &first.identity);
    first
        .report(&bench, KeyringState::Member, |report| {
            crew.known(report);
            report.resealed = vec![resealed];
        })
        .await;
    let view = secret(&bench, "helix").await;
    assert_eq!((view.record.version, view.record.epoch, view.record.set_by.as_str()), (2, 2, "ada"));
    assert_eq!(view.exposed_to.len(), 1, "a new seal does not unsay what the agent has read");
    crew.seal(&bench, "helix", b"correct horse").await.unwrap();
    assert_eq!(secret(&bench, "helix").await.exposed_to.len(), 0);
}

async fn of_two_entries_at_one_place_the_first_stands_and_the_keys_of_the_other_are_ignored(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let (mut first, mut second) = crew.two(&bench).await;
    let late = crew.roster.entry(1, Op::OperatorAdd { key: second.identity.public() }, &crew.operator);
    assert!(late.is_err(), "an agent's key is no operator's");
    let third = SigningKey::generate().unwrap().public();
    let lost = crew.roster.entry(1, Op::OperatorAdd { key: third }, &crew.operator).unwrap();
    let fourth = SealingKey::generate().unwrap().public();
    let stands = crew.say_as_operator(Op::Recovery { key: fourth });
    first.report(&bench, KeyringState::Member, |report| report.append = vec![stands.clone()]).await;
    let wrap = WrappedKey {
        epoch: 1,
        recipient: fourth.to_string(),
        wrapped: Wrap::seal((crew.organisation, crew.group), 1, &crew.epoch_key, fourth).unwrap().to_json(),
    };
    second
        .report(&bench, KeyringState::Member, |report| {
            (report.append, report.wraps) = (vec![lost], vec![wrap.clone()]);
        })
        .await;
    assert_eq!(bench.ledger.roster(name("berlin"), 2, 200).await.unwrap().entries.len(), 1);
    assert!(bench.ledger.wraps(name("berlin"), fourth.to_string()).await.unwrap().is_empty());
    // Said again without the entry that lost, it is taken; and what is there already may be said again.
    second
        .report(&bench, KeyringState::Member, |report| {
            (report.append, report.wraps) = (vec![stands], vec![wrap.clone(), wrap]);
        })
        .await;
    assert_eq!(bench.ledger.wraps(name("berlin"), fourth.to_string()).await.unwrap().len(), 1);
}

async fn a_duty_that_is_not_done_goes_to_another_member(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let (mut first, mut second) = crew.two(&bench).await;
    let third = crew.enrol(&bench, "pier-3").await;
    let join = third.join.to_json();
    let report = KeyringReport { state: KeyringState::PendingKeys, join, ..KeyringReport::default() };
    third.agent.say(&bench, FromAgent::Keyring(report)).await;
    let asked = first.keyring().await;
    assert!(asked.tends && asked.joins.len() == 1);
    bench.pass(Duration::from_secs(14)).await;
    assert!(first.silent(&bench).await && second.silent(&bench).await);
    bench.pass(Duration::from_secs(2)).await;
    let next = second.keyring().await;
    assert!(next.tends && next.joins.len() == 1);
    // One that does not follow the roster tends nothing.
    let code = wherry_domain::failure::Code::new("roster.forked");
    let trouble = Some(KeyringTrouble { code, message: "entry 1 differs".to_owned() });
    let report = KeyringReport { state: KeyringState::Member, trouble, ..KeyringReport::default() };
    second.agent.say(&bench, FromAgent::Keyring(report)).await;
    assert!(first.keyring().await.tends);
    let view = bench.ledger.agent("pier-2".to_owned()).await.unwrap();
    assert_eq!(view.keys_trouble.map(|trouble| trouble.code.to_string()).as_deref(), Some("roster.forked"));
}

async fn a_duty_that_nobody_can_do_does_not_keep_the_writer_busy(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    let second = crew.enrol(&bench, "pier-2").await;
    let join = second.join.to_json();
    let report = KeyringReport { state: KeyringState::PendingKeys, join, ..KeyringReport::default() };
    second.agent.say(&bench, FromAgent::Keyring(report)).await;
    assert_eq!(first.keyring().await.joins.len(), 1);
    // The only member leaves with its duty undone, and its time passes.
    bench.ledger.close_session(first.agent.id, first.agent.epoch).await;
    bench.pass(Duration::from_secs(20)).await;
    let before = on_processor();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let used = on_processor() - before;
    // Looking again and again takes 36 ms and more, being idle less than one.
    assert!(used < Duration::from_millis(10), "an idle writer used {used:?} of 500 ms");
    // It is there again, and so is its duty.
    first.agent.connect(&bench, &[]).await;
    let duty = first.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    assert!(duty.tends && duty.joins.len() == 1);
}

/// Time that this thread, which is also the writer's, has spent on a processor.
fn on_processor() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(spent.split(' ').next().unwrap().parse().unwrap())
}

async fn a_removed_secret_stays_removed_and_its_version_counts_on(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    first.keyring().await;
    bench.ledger.remove_secret("ada".to_owned(), name("prod"), name("helix")).await.unwrap();
    let told = first.keyring().await;
    assert_eq!((told.removed.len(), told.removed[0].version), (1, 2));
    // A member that sealed it anew at the same moment does not bring it back.
    let late = crew.resealed("helix", 2, b"hunter2", &first.identity);
    first
        .agent
        .say(
            &bench,
            FromAgent::Keyring(KeyringReport {
                state: KeyringState::Member,
                resealed: vec![late],
                secrets_revision: told.revision,
                roster_n: 1,
                roster_head: crew.roster.head().hash.as_bytes().to_vec(),
                ..KeyringReport::default()
            }),
        )
        .await;
    bench.settle().await;
    let bench = bench.restart().await;
    let (view, version, next) = bench.ledger.secret(name("prod"), name("helix")).await.unwrap();
    assert!(view.is_none() && (version, next) == (2, 3));
    assert!(bench.ledger.secrets(name("prod"), None, 50).await.unwrap().items.is_empty());
    let again = bench.ledger.remove_secret("ada".to_owned(), name("prod"), name("helix")).await.unwrap_err();
    assert_eq!(again.code.as_str(), "secret.not_found");
    assert_eq!(crew.seal(&bench, "helix", b"new").await.unwrap(), 3);
    // An environment takes its secrets with it, and one of the same name does not bring them back.
    bench.ledger.delete_environment("ada".to_owned(), name("prod")).await.unwrap();
    bench.ledger.create_environment("ada".to_owned(), name("prod"), name("berlin")).await.unwrap();
    let (view, version, _) = bench.ledger.secret(name("prod"), name("helix")).await.unwrap();
    assert!(view.is_none() && version == 4);
}

async fn an_agent_that_is_ahead_of_a_restored_controller_hands_back_what_is_missing(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    first.keyring().await;
    let tail = crew.say_as_operator(Op::Recovery { key: SealingKey::generate().unwrap().public() });
    let answer = first
        .report(&bench, KeyringState::Member, |report| {
            crew.known(report);
            (report.append, report.secrets_revision) = (vec![tail], 99);
        })
        .await;
    assert_eq!(bench.ledger.roster(name("berlin"), 0, 200).await.unwrap().n, 2);
    assert_eq!((answer.since, answer.secrets.len()), (0, 1), "what it has of another life is told anew");
}

async fn many_secrets_come_in_frames_that_fit(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    let large = vec![b'x'; 64 << 10];
    for index in 0..12 {
        crew.seal(&bench, &format!("secret-{index}"), &large).await.unwrap();
    }
    first.agent.connect(&bench, &[]).await;
    first.frames = Vec::new();
    let mut held = 0;
    let mut revision = 0;
    first.agent.say(&bench, crew.report_at(0)).await;
    while held < 12 {
        let frame = first.next().await;
        assert_eq!(frame.since, revision, "no frame is missing");
        let size: usize = frame.secrets.iter().map(|secret| secret.envelope.len()).sum();
        assert!(size <= 512 << 10, "{size} bytes");
        for secret in &frame.secrets {
            assert_eq!(crew.open(secret), large);
        }
        held += frame.secrets.len();
        revision = frame.revision;
        if !frame.more && held < 12 {
            first.agent.say(&bench, crew.report_at(revision)).await;
        }
    }
    assert_eq!(held, 12);
}

async fn a_group_that_is_reset_is_founded_anew(disk: Disk) {
    let bench = Bench::open(disk);
    let mut crew = Crew::new(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    let founding = bench.ledger.roster(name("berlin"), 0, 200).await.unwrap().entries.remove(0);
    bench.ledger.reset_roster("ada".to_owned(), name("berlin")).await.unwrap();
    let again = bench.ledger.reset_roster("ada".to_owned(), name("berlin")).await.unwrap_err();
    assert_eq!(again.code.as_str(), "secret.no_keyring");
    assert!(bench.ledger.secrets(name("prod"), None, 50).await.unwrap().items.is_empty());
    let bench = bench.restart().await;
    assert_eq!(bench.ledger.roster(name("berlin"), 0, 200).await.unwrap().n, 0);
    // One that was away has the roster still, and reminds of it.
    first.agent.connect(&bench, &[]).await;
    let reminder = KeyringReport { append: vec![founding.into_bytes()], ..KeyringReport::default() };
    first.agent.say(&bench, FromAgent::Keyring(KeyringReport { state: KeyringState::Member, ..reminder })).await;
    bench.settle().await;
    assert_eq!(bench.ledger.roster(name("berlin"), 0, 200).await.unwrap().n, 0);
    let mut second = crew.enrol(&bench, "pier-2").await;
    crew.found(&bench, &mut second).await;
    assert_eq!(keys(&bench, &second).await, "member");
    assert_eq!(keys(&bench, &first).await, "pending_keys");
}
