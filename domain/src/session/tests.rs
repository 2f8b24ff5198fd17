//! Tests of the session.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const ALL: Jitter = Jitter(u16::MAX);

#[test]
fn a_session_dials_greets_and_lives() {
    let mut session = Session::starting(at(5));
    assert_eq!(session.on(tick(), at(4)), []);
    assert_eq!(session.on(tick(), at(5)), [Effect::Dial]);
    assert_eq!(session.on(Event::Dialled, at(6)), [Effect::SendHello]);
    assert_eq!((session.deadline(), session.is_open()), (Some(at(16)), false));
    assert_eq!(session.on(Event::Welcomed, at(7)), []);
    assert_eq!((session.state(), session.deadline()), (&State::Live { since: at(7) }, None));
}

#[test]
fn a_controller_that_never_answers_is_left_after_a_while() {
    let mut session = Session::starting(at(0));
    session.on(tick(), at(0));
    assert_eq!(session.on(tick(), at(30)), [Effect::Close]);
    assert_eq!(session.on(Event::Dialled, at(30)), [Effect::Close]);
    session.on(tick(), at(31));
    session.on(Event::Dialled, at(32));
    assert_eq!(session.on(tick(), at(41)), []);
    assert_eq!(session.on(tick(), at(42)), [Effect::Close]);
    assert_eq!(session.deadline(), Some(Timestamp::from_millis(43_600)));
}

#[test]
fn only_a_stream_that_was_good_for_a_minute_resets_the_wait() {
    let mut session = Session::starting(at(0));
    let mut waits = Vec::new();
    for (start, lived) in [(0, 59), (200, 59), (400, 60), (600, 0)] {
        connect(&mut session, start);
        session.on(Event::Lost { jitter: ALL }, at(start + lived));
        waits.push(session.deadline().unwrap().since(at(start + lived)).as_millis());
    }
    assert_eq!(waits, [1_000, 1_600, 1_000, 1_600]);
}

#[test]
fn a_controller_that_asks_to_come_back_later_is_obeyed_within_limits() {
    let asked = |lived, seconds| {
        let mut session = Session::starting(at(0));
        connect(&mut session, 0);
        let event = Event::GoAway { reconnect_after: Duration::from_secs(seconds), jitter: ALL };
        assert_eq!(session.on(event, at(lived)), [Effect::Close]);
        session.deadline().unwrap().since(at(lived)).as_secs()
    };
    assert_eq!([asked(60, 5), asked(1, 5), asked(1, 0), asked(60, 0), asked(60, 1_000_000)], [5, 5, 1, 1, 900]);
}

#[test]
fn a_superseded_session_comes_back() {
    let mut session = Session::starting(at(0));
    connect(&mut session, 0);
    assert_eq!(session.on(Event::Superseded { jitter: ALL }, at(1)), [Effect::Close]);
    assert_eq!(session.on(tick(), at(2)), [Effect::Dial]);
}

#[test]
fn a_stopping_agent_reconnects_until_nothing_is_left_to_say() {
    let mut session = Session::starting(at(0));
    connect(&mut session, 0);
    assert_eq!(session.on(Event::Drained, at(1)), [], "nobody asked it to stop");
    session.on(Event::Stop, at(1));
    assert_eq!(session.state(), &State::Draining { since: at(0) });
    session.on(Event::Lost { jitter: ALL }, at(2));
    connect(&mut session, 10);
    assert_eq!(session.state(), &State::Draining { since: at(10) });
    assert_eq!(session.on(Event::Drained, at(11)), [Effect::Close]);
    assert_eq!(session.state(), &State::Ended { end: End::Stopped });
}

proptest! {
    #[test]
    fn whatever_arrives_the_wait_is_bounded_and_after_a_final_code_nothing_is_dialled(
        events in prop::collection::vec((event(), 0..200_000_u64), 0..60),
    ) {
        let mut session = Session::starting(at(0));
        let (mut now, mut ended) = (at(0), false);
        for (event, pause) in events {
            now = now.plus(Duration::from_millis(pause));
            let effects = session.on(event, now);
            prop_assert!(!ended || effects.iter().all(|effect| *effect == Effect::Close));
            ended |= effects.iter().any(|effect| matches!(effect, Effect::GiveUp { .. }));
            prop_assert!(!ended || session.deadline().is_none());
            if let Some(deadline) = session.deadline() {
                prop_assert!(deadline <= now.plus(MAX_RECONNECT_AFTER));
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let jitter = any::<u16>().prop_map(Jitter);
    prop_oneof![
        3 => Just(Event::Dialled),
        3 => Just(Event::Welcomed),
        6 => jitter.clone().prop_map(|jitter| Event::Tick { jitter }),
        1 => jitter.clone().prop_map(|jitter| Event::Failed { kind: FailureKind::Transient, jitter }),
        1 => jitter.clone().prop_map(|jitter| {
            Event::Failed { kind: FailureKind::Final(Code::new("agent.locked")), jitter }
        }),
        1 => jitter.clone().prop_map(|jitter| Event::Lost { jitter }),
        1 => jitter.clone().prop_map(|jitter| Event::Superseded { jitter }),
        1 => (any::<u64>(), jitter).prop_map(|(seconds, jitter)| {
            Event::GoAway { reconnect_after: Duration::from_secs(seconds), jitter }
        }),
        1 => Just(Event::Stop),
    ]
}

fn connect(session: &mut Session, seconds: u64) {
    for event in [tick(), Event::Dialled, Event::Welcomed] {
        session.on(event, at(seconds));
    }
    assert!(session.is_open());
}

fn tick() -> Event {
    Event::Tick { jitter: ALL }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}
