//! A run against a naive model of it, and against what must hold whatever the model says.

use std::time::Duration;

use proptest::prelude::*;
use wherry_domain::{
    effects::SideEffects,
    failure::{Code, Failure, FailureClass},
    fence::Fence,
    id::AgentId,
    lease::LeaseTerms,
    retry::{Backoff, Jitter, RetryRule},
    run::{AGENT_LOST, Effect, Event, Outcome, Reason, Run, State, Stored, Terms, WORKER_DIED},
    time::Timestamp,
};

use model::Model;

mod classes;
mod model;

proptest! {
    #[test]
    fn a_run_does_what_the_naive_model_does(terms in terms(), steps in steps()) {
        let mut run = Run::submitted(terms, 0, Timestamp::default());
        let mut model = Model::new(terms);
        for Step { event, now } in play(&steps) {
            let event = event(run.fence());
            let effects: Vec<_> = run.on(event.clone(), now).iter().map(word).collect();
            prop_assert_eq!(effects, model.on(&event, now), "{:?}", &event);
            prop_assert_eq!(run.state(), &model.state(), "{:?}", &event);
            prop_assert_eq!(run.deadline(), model.deadline(), "{:?}", &event);
        }
    }

    #[test]
    fn a_finished_run_never_changes_and_only_the_current_fence_moves_a_run(terms in terms(), steps in steps()) {
        let mut run = Run::submitted(terms, 0, Timestamp::default());
        for Step { event, now } in play(&steps) {
            let (event, before) = (event(run.fence()), run.stored());
            run.on(event.clone(), now);
            if matches!(before.state, State::Finished { .. }) || fence_of(&event).is_some_and(|f| f != before.fence) {
                prop_assert_eq!(&run.stored(), &before, "{:?}", &event);
            }
            prop_assert!(run.fence() >= before.fence);
        }
    }

    #[test]
    fn a_run_that_is_given_up_is_cancelled_only_if_no_lost_agent_may_have_begun_it(terms in terms(), steps in steps()) {
        let mut run = Run::submitted(terms, 0, Timestamp::default());
        for Step { event, now } in play(&steps) {
            let event = event(run.fence());
            run.on(event, now);
            let (before, class) = (run.stored(), run.side_effects());
            let mut given_up = run.clone();
            given_up.on(Event::GivenUp, now);
            let harmless = class == SideEffects::Read || before.losses == 0 && !before.begun;
            match (before.state, given_up.stored().state) {
                (State::Queued { .. } | State::Unknown { .. }, State::Finished { outcome: Outcome::Cancelled }) => {
                    prop_assert!(harmless);
                }
                (State::Queued { .. } | State::Unknown { .. }, State::Finished { outcome: Outcome::Failed(failure) }) => {
                    prop_assert!(!harmless && failure.effects_begun && failure.code == AGENT_LOST);
                }
                (State::Leased { agent, .. }, after) => {
                    prop_assert_eq!(after, State::Leased { agent, cancelling: true }, "who holds it is asked to stop");
                    let lost = given_up.deadline().unwrap();
                    let stored = given_up.stored();
                    prop_assert!(stored.given_up);
                    given_up.on(Event::Tick, lost);
                    match (given_up.state(), class) {
                        (State::Unknown { .. }, class) => prop_assert_eq!(class, SideEffects::Unsafe),
                        (State::Finished { outcome: Outcome::Failed(failure) }, class) => {
                            prop_assert!(class != SideEffects::Read);
                            prop_assert!(failure.effects_begun && failure.code == AGENT_LOST);
                        }
                        (over, class) => {
                            prop_assert_eq!(over, &State::Finished { outcome: Outcome::Cancelled });
                            prop_assert_eq!(class, SideEffects::Read);
                        }
                    }
                }
                (before, after) => prop_assert_eq!(before, after),
            }
        }
    }

    /// A restart in the middle loses nothing but time.
    #[test]
    fn a_run_that_was_stored_and_read_back_goes_on_where_it_was(terms in terms(), steps in steps()) {
        let mut run = Run::submitted(terms, 0, Timestamp::default());
        for Step { event, now } in play(&steps) {
            let event = event(run.fence());
            run.on(event, now);
            let json = serde_json::to_string(&run.stored()).unwrap();
            let stored: Stored = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&stored, &run.stored(), "{}", json);
            prop_assert_eq!(Run::restored(terms, stored.clone(), now).stored(), stored);
        }
    }

    #[test]
    fn an_unsafe_run_is_offered_again_only_if_it_never_began_or_a_person_asked(
        terms in terms(), steps in steps(), restarts: bool,
    ) {
        let terms = Terms { side_effects: SideEffects::Unsafe, ..terms };
        let mut run = Run::submitted(terms, 0, Timestamp::default());
        let (mut may_offer, mut interrupted) = (true, false);
        for Step { event, now } in play(&steps) {
            let event = event(run.fence());
            let (fence, holder) = (run.fence(), holder(run.state()));
            let effects = run.on(event.clone(), now);
            if restarts {
                run = Run::restored(terms, run.stored(), now);
            }
            interrupted |= event == (Event::Interrupted { fence });
            may_offer |= match &event {
                Event::Declined { fence: of } => *of == fence && !interrupted,
                Event::Absent { agent } => Some(*agent) == holder && !interrupted,
                Event::Reported { fence: of, outcome: Outcome::Failed(failure), .. } => {
                    *of == fence && !failure.effects_begun && failure.class == FailureClass::Retry
                }
                Event::Reported { .. } | Event::Placed { .. } | Event::Renewed { .. } => false,
                Event::Interrupted { .. } | Event::CancelAsked | Event::GivenUp | Event::Tick => false,
                Event::Revoked { .. } | Event::Recalled { .. } | Event::Judged { .. } => false,
                Event::RetryAsked => true,
            };
            if matches!(event, Event::Recalled { fence: newer, .. } if newer > fence) {
                (may_offer, interrupted) = (false, true);
            }
            if effects.iter().any(|effect| matches!(effect, Effect::Offer { .. })) {
                prop_assert!(may_offer, "{:?}", event);
                (may_offer, interrupted) = (false, false);
            }
        }
    }

    #[test]
    fn a_cancelled_run_is_not_offered_unless_a_person_asks_for_a_retry(terms in terms(), steps in steps()) {
        let mut run = Run::submitted(terms, 0, Timestamp::default());
        let mut cancelled = false;
        for Step { event, now } in play(&steps) {
            let event = event(run.fence());
            let offered = run.on(event.clone(), now).iter().any(|effect| matches!(effect, Effect::Offer { .. }));
            prop_assert!(!(cancelled && offered));
            cancelled = event == Event::CancelAsked || cancelled && event != Event::RetryAsked;
        }
    }
}

#[test]
fn a_run_that_takes_every_agent_down_with_it_stops_somewhere() {
    let terms = Terms { side_effects: SideEffects::Read, ..plain() };
    let mut run = Run::submitted(terms, 0, Timestamp::default());
    let (agent, mut now, mut offers) = (AgentId::from_u128(1), Timestamp::default(), 0);
    while !matches!(run.state(), State::Finished { .. }) {
        offers += run.on(Event::Placed { agent, generation: 0 }, now).len();
        now = run.deadline().unwrap();
        run.on(Event::Tick, now);
    }
    let State::Finished { outcome: Outcome::Failed(failure) } = run.state() else { panic!("{run:?}") };
    assert_eq!((offers, failure.code.as_str()), (4, "run.agent_lost"));
}

#[test]
fn an_unsafe_run_whose_worker_died_after_effects_began_waits_for_a_person() {
    let (agent, now) = (AgentId::from_u128(1), Timestamp::default());
    let died = |class, begun| {
        let retry = RetryRule { attempts: 3, ..RetryRule::default() };
        let mut run = Run::submitted(Terms { side_effects: class, retry, ..plain() }, 0, now);
        run.on(Event::Placed { agent, generation: 0 }, now);
        let failure = Failure::retry(WORKER_DIED, "signal 9").after_effects(begun);
        let outcome = Outcome::Failed(failure);
        let effects = run.on(Event::Reported { fence: run.fence(), outcome: outcome.clone(), jitter: Jitter(0) }, now);
        // An answer that was lost is sent again.
        let again = Event::Reported { fence: run.fence(), outcome, jitter: Jitter(0) };
        assert_eq!(run.on(again, now), []);
        (effects, run)
    };
    let (effects, mut run) = died(SideEffects::Unsafe, true);
    assert_eq!(effects, [Effect::Hold { reason: Reason::WorkerDied }]);
    assert_eq!(run.on(Event::Absent { agent }, now), [], "that its agent knows no more of it proves nothing");
    assert!(matches!(run.on(Event::RetryAsked, now).as_slice(), [Effect::Requeue { reason: Reason::Asked, .. }]));
    for (class, begun) in [(SideEffects::Unsafe, false), (SideEffects::Keyed, true), (SideEffects::Read, false)] {
        let (effects, _) = died(class, begun);
        assert!(matches!(effects.as_slice(), [Effect::Requeue { reason: Reason::AttemptFailed, .. }]), "{class}");
    }
}

#[test]
fn a_run_read_from_a_copy_waits_for_whoever_may_have_it_and_takes_their_word() {
    let stored = Run::submitted(plain(), 0, Timestamp::default()).stored();
    let mut run = Run::restored_from_copy(plain(), stored, Duration::from_secs(100), Timestamp::default());
    let agent = AgentId::from_u128(1);
    let placed = Event::Placed { agent, generation: 1 };
    assert_eq!(run.on(placed.clone(), Timestamp::from_millis(99_999)), [], "somebody may be at it");
    let elsewhere = Fence::unused(0).next(0).unwrap();
    run.on(Event::Recalled { agent, fence: elsewhere }, Timestamp::from_millis(100_000));
    assert_eq!(run.on(placed, Timestamp::from_millis(100_000)), [], "somebody is at it");
    assert_eq!(run.on(Event::Absent { agent }, Timestamp::from_millis(100_000)), []);
    let reported = Event::Reported { fence: elsewhere, outcome: Outcome::Succeeded, jitter: Jitter(0) };
    assert_eq!(run.on(reported, Timestamp::from_millis(100_000)), [Effect::Settle]);
}

#[test]
fn a_system_that_asks_to_wait_is_left_alone_for_that_long_and_at_most_an_hour() {
    for (asked, waits) in [(600, 600), (0, 0), (86_400, 3_600)] {
        let retry = RetryRule { attempts: 2, ..RetryRule::default() };
        let terms = Terms { retry, side_effects: SideEffects::Read, ..plain() };
        let mut run = Run::submitted(terms, 0, Timestamp::default());
        run.on(Event::Placed { agent: AgentId::from_u128(1), generation: 0 }, Timestamp::default());
        let failure = Failure::retry(Code::new("http.throttled"), "the system asks for patience");
        let failure = failure.asked_to_wait(Some(Duration::from_secs(asked)));
        let reported = Event::Reported { fence: run.fence(), outcome: Outcome::Failed(failure), jitter: Jitter(0) };
        let effects = run.on(reported, Timestamp::default());
        let due = Timestamp::from_millis(waits * 1_000);
        assert!(matches!(effects.as_slice(), [Effect::Requeue { due: at, .. }] if *at == due), "{asked}: {effects:?}");
    }
}

#[test]
fn a_run_whose_fences_are_used_up_fails_instead_of_repeating_one() {
    let last = Fence::from_bits(u64::from(u32::MAX));
    let stored = Stored { fence: last, ..Run::submitted(plain(), 0, Timestamp::default()).stored() };
    let mut run = Run::restored(plain(), stored, Timestamp::default());
    let placed = Event::Placed { agent: AgentId::from_u128(1), generation: 0 };
    assert_eq!(run.on(placed, Timestamp::default()), [Effect::Settle]);
    let State::Finished { outcome: Outcome::Failed(failure) } = run.state() else { panic!("{run:?}") };
    assert_eq!(failure.code.as_str(), "run.fence_exhausted");
}

/// One step of a history; which fence an event names is known only when it happens.
struct Step<E> {
    event: E,
    now: Timestamp,
}

fn play(steps: &[(u64, Draft)]) -> impl Iterator<Item = Step<impl Fn(Fence) -> Event + '_>> {
    let mut now = Timestamp::default();
    steps.iter().map(move |(pause, draft)| {
        now = now.plus(Duration::from_millis(*pause));
        Step { event: move |current| draft.event(current), now }
    })
}

#[derive(Clone, Debug)]
enum Draft {
    /// Without a fence.
    Plain(Event),
    /// With a fence that is this far from the current one.
    Fenced(i64, Event),
}

impl Draft {
    fn event(&self, current: Fence) -> Event {
        let near = |by: i64| Fence::from_bits(current.bits().saturating_add_signed(by));
        match self.clone() {
            Self::Fenced(by, Event::Renewed { .. }) => Event::Renewed { fence: near(by) },
            Self::Fenced(by, Event::Declined { .. }) => Event::Declined { fence: near(by) },
            Self::Fenced(by, Event::Recalled { agent, .. }) => Event::Recalled { agent, fence: near(by) },
            Self::Fenced(by, Event::Interrupted { .. }) => Event::Interrupted { fence: near(by) },
            Self::Fenced(by, Event::Reported { outcome, jitter, .. }) => {
                Event::Reported { fence: near(by), outcome, jitter }
            }
            Self::Fenced(_, event) | Self::Plain(event) => event,
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(u64, Draft)>> {
    let agent = (1..4_u128).prop_map(AgentId::from_u128);
    let plain = prop_oneof![
        6 => (agent.clone(), Just(0)).prop_map(|(agent, generation)| Event::Placed { agent, generation }),
        2 => agent.clone().prop_map(|agent| Event::Absent { agent }),
        1 => agent.clone().prop_map(|agent| Event::Revoked { agent }),
        1 => Just(Event::CancelAsked),
        2 => Just(Event::RetryAsked),
        3 => Just(Event::Tick),
        1 => (class(), prop::option::of(agent.clone()))
            .prop_map(|(side_effects, last)| Event::Judged { side_effects, last }),
    ];
    let any_fence = Fence::from_bits(0);
    let fenced = prop_oneof![
        2 => Just(Event::Renewed { fence: any_fence }),
        1 => Just(Event::Declined { fence: any_fence }),
        1 => Just(Event::Interrupted { fence: any_fence }),
        1 => agent.prop_map(move |agent| Event::Recalled { agent, fence: any_fence }),
        4 => (outcome(), any::<u16>()).prop_map(move |(outcome, jitter)| {
            Event::Reported { fence: any_fence, outcome, jitter: Jitter(jitter) }
        }),
    ];
    let by = prop_oneof![4 => Just(0), 1 => -2..3_i64];
    let draft =
        prop_oneof![plain.prop_map(Draft::Plain), (by, fenced).prop_map(|(by, event)| Draft::Fenced(by, event))];
    let pause = prop_oneof![4 => 0..5_000_u64, 1 => 0..100_000_u64];
    prop::collection::vec((pause, draft), 0..50)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let codes = prop_oneof![3 => Just(Code::new("connection.refused")), 1 => Just(WORKER_DIED)];
    let failed = (any::<bool>(), any::<bool>(), codes).prop_map(|(retry, begun, code)| {
        let failure = if retry { Failure::retry(code, "") } else { Failure::permanent(code, "") };
        Outcome::Failed(failure.after_effects(begun))
    });
    prop_oneof![1 => Just(Outcome::Succeeded), 1 => Just(Outcome::Cancelled), 4 => failed]
}

fn class() -> impl Strategy<Value = SideEffects> {
    let class = prop::sample::select(vec![SideEffects::Read, SideEffects::Idempotent, SideEffects::Keyed]);
    prop_oneof![class, Just(SideEffects::Unsafe)]
}

fn terms() -> impl Strategy<Value = Terms> {
    (class(), 1..5_u32, 0..200_u64).prop_map(|(side_effects, attempts, offline)| Terms {
        side_effects,
        retry: RetryRule { attempts, backoff: Backoff::Fixed, ..RetryRule::default() },
        offline_term: Duration::from_secs(offline),
        lease: LeaseTerms::default(),
    })
}

fn plain() -> Terms {
    Terms {
        side_effects: SideEffects::Unsafe,
        retry: RetryRule::default(),
        offline_term: Duration::ZERO,
        lease: LeaseTerms::default(),
    }
}

fn holder(state: &State) -> Option<AgentId> {
    match state {
        State::Leased { agent, .. } | State::Unknown { agent } => Some(*agent),
        State::Queued { .. } | State::Finished { .. } => None,
    }
}

const fn fence_of(event: &Event) -> Option<Fence> {
    match event {
        Event::Renewed { fence } | Event::Declined { fence } | Event::Interrupted { fence } => Some(*fence),
        Event::Reported { fence, .. } => Some(*fence),
        // A recalled fence is newer than the known one, or changes nothing.
        Event::Recalled { .. } | Event::Revoked { .. } | Event::Placed { .. } | Event::Absent { .. } => None,
        Event::CancelAsked | Event::GivenUp | Event::RetryAsked | Event::Tick | Event::Judged { .. } => None,
    }
}

const fn word(effect: &Effect) -> &'static str {
    match effect {
        Effect::Offer { .. } => "offer",
        Effect::AskCancel { .. } => "ask to cancel",
        Effect::Requeue { .. } => "requeue",
        Effect::Hold { .. } => "hold",
        Effect::Settle => "settle",
        Effect::KeepLate { .. } => "keep late",
    }
}
