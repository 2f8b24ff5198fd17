//! Runs that turn out to be more dangerous than they were said to be.

use wherry_domain::{
    effects::SideEffects,
    failure::{Code, Failure},
    fence::Fence,
    id::AgentId,
    retry::{Jitter, RetryRule},
    run::{Effect, Event, Outcome, Reason, Run, State, Terms},
    time::Timestamp,
};

use super::plain;

/// What became of a run whose first attempt ended by `first`, when its next one would be of class `to`.
fn judged(from: SideEffects, to: SideEffects, first: impl Fn(Fence, AgentId) -> Event) -> (Vec<Effect>, Run) {
    let (agent, now) = (AgentId::from_u128(1), Timestamp::default());
    let retry = RetryRule { attempts: 3, ..RetryRule::default() };
    let mut run = Run::submitted(Terms { side_effects: from, retry, ..plain() }, 0, now);
    run.on(Event::Placed { agent, generation: 0 }, now);
    run.on(first(run.fence(), agent), now);
    assert!(matches!(run.state(), State::Queued { .. }), "{run:?}");
    let effects = run.on(Event::Judged { side_effects: to, last: Some(agent) }, now);
    (effects, run)
}

#[test]
fn a_run_that_became_unsafe_after_an_attempt_may_have_acted_waits_for_a_person() {
    let (agent, now) = (AgentId::from_u128(1), Timestamp::default());
    let lost = |fence, _| Event::Interrupted { fence };
    let failed = |begun| {
        let failure = Failure::retry(Code::new("connection.refused"), "").after_effects(begun);
        move |fence, _| Event::Reported { fence, outcome: Outcome::Failed(failure.clone()), jitter: Jitter(0) }
    };
    let held = [Effect::Hold { reason: Reason::ClassRaised }];
    for (effects, mut run) in [
        judged(SideEffects::Keyed, SideEffects::Unsafe, lost),
        judged(SideEffects::Keyed, SideEffects::Unsafe, failed(true)),
        judged(SideEffects::Idempotent, SideEffects::Keyed, lost),
    ] {
        assert_eq!(effects, held);
        assert_eq!(run.on(Event::Absent { agent }, now), [], "that its agent knows no more of it proves nothing");
        assert!(matches!(run.on(Event::RetryAsked, now).as_slice(), [Effect::Requeue { reason: Reason::Asked, .. }]));
        let again = run.on(Event::Judged { side_effects: run.side_effects(), last: Some(agent) }, now);
        assert_eq!(again, [], "the person knew");
    }
    for (effects, run) in [
        judged(SideEffects::Keyed, SideEffects::Unsafe, failed(false)),
        judged(SideEffects::Keyed, SideEffects::Unsafe, |fence, _| Event::Declined { fence }),
        judged(SideEffects::Read, SideEffects::Unsafe, lost),
    ] {
        assert_eq!((effects, run.side_effects()), (vec![], SideEffects::Unsafe), "nothing can have been done");
    }
    let (effects, run) = judged(SideEffects::Keyed, SideEffects::Read, lost);
    assert_eq!((effects, run.side_effects()), (vec![], SideEffects::Keyed), "a class is never loosened");
}

#[test]
fn an_attempt_that_runs_on_something_unsafe_is_not_repeated_when_its_agent_is_lost() {
    let (agent, now) = (AgentId::from_u128(1), Timestamp::default());
    let mut run = Run::submitted(Terms { side_effects: SideEffects::Keyed, ..plain() }, 0, now);
    assert_eq!(run.on(Event::Judged { side_effects: SideEffects::Unsafe, last: None }, now), []);
    let mut run = Run::restored(Terms { side_effects: SideEffects::Keyed, ..plain() }, run.stored(), now);
    run.on(Event::Placed { agent, generation: 0 }, now);
    assert_eq!(
        run.on(Event::Interrupted { fence: run.fence() }, now),
        [Effect::Hold { reason: Reason::AgentRestarted }]
    );
}
