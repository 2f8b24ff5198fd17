//! Tests of one execution.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const NOW: Timestamp = Timestamp::from_millis(0);
const DONE: Ending = Ending::Ended(Outcome::Succeeded);

#[test]
fn the_work_starts_only_once_its_start_is_on_disk_and_its_result_is_told_only_once_it_is() {
    let mut attempt = Execution::new(fence(), SideEffects::Unsafe);
    assert_eq!(attempt.on(Event::Begin, NOW), []);
    assert_eq!(attempt.on(Event::Offered, NOW), [Effect::Journal(Stage::Accepted)]);
    assert_eq!(attempt.on(Event::Offered, NOW), []);
    assert_eq!(attempt.on(Event::Begin, NOW), [Effect::Journal(Stage::Started)]);
    assert_eq!(attempt.on(Event::Journalled(Stage::Accepted), NOW), []);
    assert_eq!(attempt.on(Event::Journalled(Stage::Started), NOW), [Effect::Start]);
    assert_eq!(attempt.on(Event::Journalled(Stage::Started), NOW), []);
    assert_eq!(attempt.on(exited(), NOW), [Effect::Journal(Stage::Finished)]);
    assert_eq!(attempt.on(Event::Verdict(Verdict::Report), NOW), []);
    assert_eq!(attempt.on(Event::Acked, NOW), []);
    assert_eq!(attempt.stored(Stage::Finished), Some(Stored::Finished(DONE)));
    assert_eq!(attempt.on(Event::Journalled(Stage::Finished), NOW), [report(DONE)]);
}

#[test]
fn a_result_is_reported_again_until_it_is_acknowledged() {
    let mut attempt = Execution::restored(fence(), SideEffects::Unsafe, Stored::Finished(DONE));
    assert_eq!(attempt.on(Event::Restarted, NOW), [report(DONE)]);
    let later = NOW.plus(REPORT_AGAIN);
    assert_eq!((attempt.on(Event::Tick, NOW), attempt.deadline()), (Vec::new(), Some(later)));
    assert_eq!(attempt.on(Event::Tick, later), [report(DONE)]);
    assert_eq!(attempt.on(Event::Verdict(Verdict::Report), later), [report(DONE)]);
    assert_eq!(attempt.on(Event::Acked, later), [Effect::Prune]);
    assert_eq!((attempt.on(Event::Acked, later), attempt.deadline(), attempt.stage()), (Vec::new(), None, None));
}

#[test]
fn a_new_process_asks_before_it_begins_and_never_begins_what_an_older_one_may_have_begun() {
    let mut accepted = Execution::restored(fence(), SideEffects::Unsafe, Stored::Accepted);
    assert_eq!(accepted.on(Event::Restarted, NOW), []);
    assert_eq!(accepted.on(Event::Begin, NOW), []);
    accepted.on(Event::Verdict(Verdict::Keep), NOW);
    assert_eq!(accepted.on(Event::Begin, NOW), [Effect::Journal(Stage::Started)]);
    let mut started = Execution::restored(fence(), SideEffects::Read, Stored::Started);
    assert_eq!(started.on(Event::Restarted, NOW), [report(Ending::Interrupted)]);
    for event in [Event::Verdict(Verdict::Keep), Event::Begin, Event::Journalled(Stage::Started), Event::Offered] {
        assert!(!started.on(event, NOW).contains(&Effect::Start));
    }
}

#[test]
fn the_end_of_the_lease_stops_whoever_changes_something_and_gives_back_what_has_not_begun() {
    let mut waiting = Execution::new(fence(), SideEffects::Unsafe);
    waiting.on(Event::Offered, NOW);
    assert_eq!(waiting.on(Event::EffectsEnd, NOW), [Effect::Decline, Effect::Prune]);
    assert_eq!(waiting.on(Event::Begin, NOW), []);
    let mut about_to_begin = Execution::new(fence(), SideEffects::Read);
    for event in [Event::Offered, Event::Begin, Event::EffectsEnd] {
        about_to_begin.on(event, NOW);
    }
    assert_eq!(about_to_begin.on(Event::Journalled(Stage::Started), NOW), []);
    let mut reading = started(SideEffects::Read);
    assert_eq!(reading.on(Event::EffectsEnd, NOW), []);
    let mut writing = started(SideEffects::Keyed);
    assert_eq!(writing.on(Event::EffectsEnd, NOW), [Effect::Kill { why: Why::LeaseEnded }]);
    writing.on(Event::Killed { effects_begun: true }, NOW);
    let Some(Ending::Ended(Outcome::Failed(failure))) = writing.ending() else { panic!("{writing:?}") };
    assert_eq!((&failure.code, failure.effects_begun), (&LEASE_ENDED, true));
}

#[test]
fn a_cancelled_attempt_ends_cancelled_whether_or_not_it_began() {
    let cancelled = Ending::Ended(Outcome::Cancelled);
    let mut waiting = Execution::new(fence(), SideEffects::Unsafe);
    waiting.on(Event::Offered, NOW);
    assert_eq!(waiting.on(Event::CancelAsked, NOW), [Effect::Journal(Stage::Finished)]);
    assert_eq!(waiting.on(Event::Journalled(Stage::Finished), NOW), [report(cancelled.clone())]);
    let mut working = started(SideEffects::Unsafe);
    assert_eq!(working.on(Event::CancelAsked, NOW), [Effect::Kill { why: Why::CancelAsked }]);
    assert_eq!(working.on(Event::EffectsEnd, NOW), []);
    working.on(Event::Killed { effects_begun: true }, NOW);
    assert_eq!(working.ending(), Some(&cancelled));
    let mut too_late = started(SideEffects::Unsafe);
    too_late.on(Event::CancelAsked, NOW);
    too_late.on(exited(), NOW);
    assert_eq!(too_late.ending(), Some(&DONE), "what was done is not called cancelled");
}

#[test]
fn a_dropped_attempt_is_stopped_and_forgotten_without_a_report() {
    let mut attempt = started(SideEffects::Unsafe);
    assert_eq!(attempt.on(Event::Verdict(Verdict::Drop), NOW), [Effect::Kill { why: Why::Dropped }]);
    assert_eq!(attempt.on(Event::Killed { effects_begun: true }, NOW), [Effect::Prune]);
    assert_eq!(attempt.stage(), None);
}

proptest! {
    /// Any order of events, with restarts from whatever was on disk.
    #[test]
    fn whatever_arrives_the_work_starts_at_most_once_and_only_from_disk(
        events in prop::collection::vec(prop::option::weighted(0.9, event()), 0..60),
    ) {
        let mut attempt = Execution::new(fence(), SideEffects::Unsafe);
        let (mut disk, mut writing) = (None, Vec::new());
        let (mut starts, mut told) = (0, None);
        for (millis, event) in (0_u64..).map(|second| second * 10_000).zip(events) {
            let event = match event {
                None => {
                    writing.clear();
                    let Some(stored) = disk.clone() else { return Ok(()) };
                    attempt = Execution::restored(fence(), SideEffects::Unsafe, stored);
                    Event::Restarted
                }
                Some(Event::Journalled(_)) => {
                    if writing.is_empty() { continue }
                    let stored: Stored = writing.remove(0);
                    disk = Some(stored.clone());
                    Event::Journalled(match stored {
                        Stored::Accepted => Stage::Accepted,
                        Stored::Started => Stage::Started,
                        Stored::Finished(_) => Stage::Finished,
                    })
                }
                Some(event) => event,
            };
            for effect in attempt.on(event, Timestamp::from_millis(millis)) {
                match effect {
                    Effect::Journal(stage) => writing.push(attempt.stored(stage).unwrap()),
                    Effect::Start => {
                        prop_assert_eq!(&disk, &Some(Stored::Started));
                        starts += 1;
                    }
                    Effect::Report { ending } => {
                        let on_disk = disk == Some(Stored::Finished(ending.clone())) || ending == Ending::Interrupted;
                        prop_assert!(on_disk && told.get_or_insert_with(|| ending.clone()) == &ending);
                    }
                    Effect::Decline => prop_assert!(starts == 0),
                    Effect::Kill { .. } | Effect::Prune => (),
                }
            }
            prop_assert!(starts <= 1);
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Offered),
        4 => Just(Event::Journalled(Stage::Accepted)),
        2 => Just(Event::Begin),
        1 => Just(exited()),
        1 => any::<bool>().prop_map(|effects_begun| Event::Killed { effects_begun }),
        1 => Just(Event::CancelAsked),
        1 => Just(Event::EffectsEnd),
        1 => Just(Event::Verdict(Verdict::Keep)),
        1 => Just(Event::Verdict(Verdict::Drop)),
        1 => Just(Event::Verdict(Verdict::Report)),
        1 => Just(Event::Acked),
        1 => Just(Event::Tick),
    ]
}

fn started(side_effects: SideEffects) -> Execution {
    let mut attempt = Execution::new(fence(), side_effects);
    for event in [Event::Offered, Event::Begin, Event::Journalled(Stage::Started)] {
        attempt.on(event, NOW);
    }
    attempt
}

fn exited() -> Event {
    Event::Exited { outcome: Outcome::Succeeded }
}

fn report(ending: Ending) -> Effect {
    Effect::Report { ending }
}

fn fence() -> Fence {
    Fence::from_bits(1)
}
