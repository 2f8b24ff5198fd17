//! Tests of presence.

use super::*;
use std::vec::Vec;

const ONE: InstanceId = InstanceId::from_u128(1);
const TWO: InstanceId = InstanceId::from_u128(2);

#[test]
fn a_silent_agent_becomes_suspect_and_then_lost_and_a_hello_brings_it_back() {
    let mut agent = live(1);
    assert!(agent.may_take_work());
    assert_eq!(agent.deadline(), Some(at(30)));
    assert_eq!(agent.on(Event::Tick, at(29)), []);
    assert_eq!(agent.on(Event::Tick, at(30)), [Effect::MarkSuspect]);
    assert!(!agent.may_take_work());
    assert_eq!(agent.deadline(), Some(at(75)));
    assert_eq!(agent.on(Event::Tick, at(75)), [Effect::Close { epoch: epoch(1) }, Effect::MarkLost]);
    assert_eq!(agent.on(Event::Beat { epoch: epoch(1) }, at(76)), []);
    assert_eq!((agent.state(), agent.deadline()), (State::Lost, None));
    assert_eq!(agent.on(hello(2, ONE), at(80)), [Effect::MarkLive]);
}

#[test]
fn a_silent_agent_is_suspect_before_its_leases_end_however_short_they_are() {
    let lease = LeaseTerms { term: Duration::from_secs(4), grace: Duration::from_secs(1), ..LeaseTerms::default() };
    let mut agent = Presence::enrolled(lease);
    agent.on(hello(1, ONE), at(0));
    assert_eq!(agent.on(Event::Tick, at(2)), [Effect::MarkSuspect]);
    assert_eq!(agent.on(Event::Tick, at(5)), [Effect::Close { epoch: epoch(1) }, Effect::MarkLost]);
}

#[test]
fn a_beat_of_a_silent_stream_brings_the_agent_back_but_not_one_of_an_ended_stream() {
    let mut agent = live(1);
    agent.on(Event::Tick, at(30));
    assert_eq!(agent.on(Event::Beat { epoch: epoch(1) }, at(40)), [Effect::MarkLive]);
    assert_eq!(agent.on(Event::Closed { epoch: epoch(1) }, at(41)), [Effect::MarkSuspect]);
    assert_eq!(agent.on(Event::Beat { epoch: epoch(1) }, at(42)), []);
    assert_eq!(agent.on(Event::Tick, at(115)), [Effect::MarkLost]);
}

#[test]
fn a_newer_epoch_supersedes_the_older_stream_and_never_the_other_way_round() {
    let mut agent = live(5);
    assert_eq!(agent.on(hello(6, ONE), at(1)), [Effect::Supersede { epoch: epoch(5) }]);
    for event in [Event::Beat { epoch: epoch(5) }, Event::Closed { epoch: epoch(5) }, hello(6, TWO)] {
        assert_eq!(agent.on(event, at(2)), [], "{event:?}");
    }
    assert_eq!(agent.on(hello(4, TWO), at(3)), [Effect::Supersede { epoch: epoch(4) }]);
    assert_eq!(agent.state(), State::Live { epoch: epoch(6) });
    assert_eq!(agent.deadline(), Some(at(31)));
}

#[test]
fn two_processes_with_one_identity_are_locked_out_at_the_third_change() {
    let mut agent = live(1);
    agent.on(hello(2, TWO), at(60));
    agent.on(hello(3, ONE), at(70));
    assert_eq!(
        agent.on(hello(4, TWO), at(80)),
        [Effect::Supersede { epoch: epoch(3) }, Effect::LockDuplicate, Effect::Close { epoch: epoch(4) }]
    );
    assert_eq!(agent.state(), State::Locked);
}

#[test]
fn neither_a_crash_loop_nor_a_flapping_stream_nor_slow_changes_look_like_a_copy() {
    let mut crashing = live(1);
    let mut flapping = live(1);
    let mut slow = live(1);
    for turn in 2..20 {
        crashing.on(hello(turn, InstanceId::from_u128(turn.into())), at(turn.into()));
        flapping.on(hello(turn, ONE), at(turn.into()));
        let epoch = slow.newest().unwrap();
        slow.on(Event::Beat { epoch }, at(u64::from(turn) * 160 - 1));
        slow.on(hello(turn, if turn % 2 == 0 { TWO } else { ONE }), at(u64::from(turn) * 160));
    }
    for agent in [crashing, flapping, slow] {
        assert_eq!(agent.state(), State::Live { epoch: epoch(19) });
    }
}

#[test]
fn a_locked_agent_keeps_no_stream_until_it_is_unlocked() {
    let mut agent = live(1);
    assert_eq!(agent.on(Event::Lock, at(1)), [Effect::Close { epoch: epoch(1) }]);
    assert_eq!(agent.on(hello(2, ONE), at(2)), [Effect::Close { epoch: epoch(2) }]);
    assert_eq!(agent.on(Event::Beat { epoch: epoch(2) }, at(3)), []);
    agent.on(Event::Unlock, at(4));
    assert_eq!(agent.state(), State::Lost);
    assert_eq!(agent.on(hello(3, ONE), at(5)), [Effect::MarkLive]);
}

#[test]
fn a_drain_by_the_agent_ends_with_its_instance_and_one_by_a_person_with_the_persons_word() {
    let mut agent = live(1);
    for by in [Asker::Agent, Asker::Operator] {
        agent.on(Event::Drain { by }, at(1));
    }
    agent.on(hello(2, ONE), at(2));
    agent.on(Event::Resume { by: Asker::Operator }, at(3));
    assert!(agent.is_draining());
    agent.on(Event::Drain { by: Asker::Operator }, at(4));
    agent.on(hello(3, TWO), at(5));
    assert!(!agent.may_take_work());
    agent.on(Event::Resume { by: Asker::Operator }, at(6));
    assert!(agent.may_take_work());
}

#[test]
fn after_a_restart_of_the_controller_an_agent_has_a_whole_lease_to_come_back() {
    let mut known = Presence::restored(LeaseTerms::default(), Some(epoch(7)), at(100));
    assert_eq!(known.on(Event::Tick, at(174)), []);
    assert_eq!(known.on(Event::Tick, at(175)), [Effect::MarkLost]);
    assert_eq!(Presence::restored(LeaseTerms::default(), None, at(100)).state(), State::AwaitingFirst);
}

fn live(epoch: u32) -> Presence {
    let mut agent = Presence::enrolled(LeaseTerms::default());
    assert_eq!(agent.on(hello(epoch, ONE), at(0)), Vec::from([Effect::MarkLive]));
    agent
}

fn hello(count: u32, instance: InstanceId) -> Event {
    Event::Hello { epoch: epoch(count), instance }
}

fn epoch(count: u32) -> Epoch {
    Epoch::from_bits(count.into())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}
