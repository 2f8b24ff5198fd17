//! The rules of refreshing, and a search through short histories.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_token_is_refreshed_before_it_expires_and_is_used_meanwhile() {
    let (mut machine, now) = (connected(), at(49 * 60));
    assert_eq!(machine.verdict(now), Verdict::Use(1));
    assert_eq!(machine.on(Event::Asked, now), Some(Effect::Claim(true)));
    assert_eq!(machine.on(Event::Asked, now), None, "one at a time");
    assert_eq!(machine.on(mine(1), now), Some(Effect::Note(0, true)));
    assert_eq!(machine.on(Event::Noted, now), Some(Effect::Post(Means::Refresh)));
    assert_eq!(machine.verdict(now), Verdict::Use(1));
    assert_eq!(machine.on(Event::Answered(Answer::Got), now), Some(Effect::Save(Duration::ZERO)));
    assert_eq!(machine.verdict(now), Verdict::Use(1), "not before it is on disk");
    assert_eq!(machine.on(Event::Saved(held(2, now)), now), Some(Effect::Publish));
    assert_eq!(machine.verdict(now), Verdict::Use(2));
    assert_eq!(machine.on(Event::Published, now), None);
    assert!(!machine.wants(now));
}

#[test]
fn nothing_is_refreshed_that_is_still_young_or_not_asked_for() {
    let mut machine = connected();
    assert_eq!(machine.on(Event::Asked, at(60)), None);
    assert_eq!(machine.on(Event::Rejected(1), at(299)), None);
    assert_eq!(machine.verdict(at(299)), Verdict::Use(1), "a young token is not the reason for a 401");
    assert_eq!(machine.on(Event::Rejected(2), at(600)), None);
    assert_eq!(machine.verdict(at(600)), Verdict::Use(1));
    machine.on(Event::Rejected(1), at(600));
    assert_eq!(machine.verdict(at(600)), Verdict::Wait);
    assert_eq!(machine.on(Event::Asked, at(600)), Some(Effect::Claim(true)));
}

#[test]
fn a_lost_answer_is_asked_for_once_more_and_not_a_third_time() {
    let (mut machine, now) = (connected(), at(3_600));
    posted(&mut machine, now);
    assert_eq!(machine.on(unknown(), now), Some(Effect::Note(1, true)));
    assert_eq!(machine.on(Event::Noted, now), Some(Effect::Post(Means::Refresh)));
    assert_eq!(machine.on(unknown(), now), Some(Effect::Note(2, false)));
    assert_eq!(machine.on(Event::Noted, now), None);
    assert_eq!(machine.verdict(now), Verdict::Fail(Trouble::Doubt));
    let later = now.plus(HOUR);
    assert_eq!(machine.on(Event::Asked, later), Some(Effect::Claim(false)), "it only looks for a copy");
    assert_eq!(machine.on(mine(1), later), None);
    assert_eq!(machine.verdict(later), Verdict::Fail(Trouble::Doubt));
}

#[test]
fn a_process_that_died_in_a_refresh_tries_once_more_and_then_says_so() {
    let mut machine = Machine::new(Means::Refresh, Found { held: Some(held(1, at(0))), doubts: 1, ..Found::default() });
    let now = at(3_600);
    assert_eq!(machine.on(Event::Asked, now), Some(Effect::Claim(true)));
    assert_eq!(machine.on(mine(1), now), Some(Effect::Note(1, true)));
    assert_eq!(machine.on(Event::Noted, now), Some(Effect::Post(Means::Refresh)));
    assert_eq!(machine.on(unknown(), now), Some(Effect::Note(2, false)));
    assert_eq!(machine.on(Event::Noted, now), None);
    assert_eq!(machine.verdict(now), Verdict::Fail(Trouble::Doubt));
}

#[test]
fn a_refused_refresh_token_is_looked_up_once_among_the_copies_and_never_sent_again() {
    let (mut machine, now) = (connected(), at(3_600));
    posted(&mut machine, now);
    assert_eq!(machine.on(Event::Answered(Answer::InvalidGrant), now), Some(Effect::Claim(false)));
    assert_eq!(machine.on(mine(1), now), Some(Effect::Note(GONE, false)));
    assert_eq!(machine.on(Event::Noted, now), None);
    assert_eq!(machine.verdict(now), Verdict::Fail(Trouble::ConsentGone));
    assert_eq!(machine.on(Event::Asked, now), None);
    let later = now.plus(LOOK_AGAIN);
    assert_eq!(machine.on(Event::Asked, later), Some(Effect::Claim(false)));
    assert_eq!(machine.on(mine(1), later), None);
    let newer = Claimed { copy: 2, ..claim(2) };
    assert_eq!(machine.on(Event::Asked, later.plus(LOOK_AGAIN)), Some(Effect::Claim(false)));
    assert_eq!(machine.on(Event::Claimed(newer), later), Some(Effect::TakeCopy));
    assert_eq!(machine.on(Event::CopyTaken(held(2, later)), later), None);
    assert_eq!(machine.verdict(later), Verdict::Use(2));
}

#[test]
fn a_newer_copy_ends_a_refused_refresh_well() {
    let (mut machine, now) = (connected(), at(3_600));
    posted(&mut machine, now);
    assert_eq!(machine.on(Event::Answered(Answer::InvalidGrant), now), Some(Effect::Claim(false)));
    assert_eq!(machine.on(Event::Claimed(Claimed { copy: 2, ..claim(2) }), now), Some(Effect::TakeCopy));
    assert_eq!(machine.on(Event::CopyTaken(held(2, now)), now), None);
    assert_eq!(machine.verdict(now), Verdict::Use(2));
}

#[test]
fn who_does_not_own_the_connection_waits_for_a_copy_and_sends_nothing() {
    let (mut machine, now) = (connected(), at(3_600));
    machine.on(Event::Asked, now);
    let theirs = Claimed { mine: false, ..claim(1) };
    assert_eq!(machine.on(Event::Claimed(theirs), now), Some(Effect::AwaitCopy(1)));
    let elsewhere = Trouble::OwnerElsewhere("a".into());
    assert_eq!(machine.on(Event::CopyMissed(elsewhere.clone()), now), None);
    assert_eq!(machine.verdict(now), Verdict::Fail(elsewhere));
    assert_eq!(machine.on(Event::CopySeen(2), now), Some(Effect::TakeCopy));
    assert_eq!(machine.on(Event::CopyTaken(held(2, now)), now), None);
    assert_eq!(machine.verdict(now), Verdict::Use(2));
}

#[test]
fn new_values_start_a_new_generation_and_end_the_need_for_consent() {
    let (mut machine, now) = (connected(), at(3_600));
    posted(&mut machine, now);
    machine.on(Event::Answered(Answer::InvalidGrant), now);
    machine.on(mine(1), now);
    machine.on(Event::Noted, now);
    machine.on(Event::SeedChanged(true), now);
    assert_eq!(machine.on(Event::Asked, now), Some(Effect::Claim(false)), "nothing of the old family is used");
    assert_eq!(machine.on(mine(1), now), Some(Effect::Seed));
    assert_eq!(machine.on(Event::Seeded, now), Some(Effect::Save(Duration::ZERO)));
    assert_eq!(machine.on(Event::Saved(held(2, now)), now), Some(Effect::Publish));
    assert_eq!(machine.verdict(now), Verdict::Use(2));
}

#[test]
fn values_that_are_set_back_leave_the_tokens_in_use() {
    let (mut machine, now) = (connected(), at(60));
    machine.on(Event::SeedChanged(true), now);
    assert_eq!(machine.verdict(now), Verdict::Wait);
    machine.on(Event::SeedChanged(false), now);
    assert_eq!(machine.verdict(now), Verdict::Use(1));
}

#[test]
fn another_agents_wish_refreshes_no_fresh_tokens_and_no_number_does() {
    let mut machine = connected();
    assert_eq!(machine.on(Event::WantedElsewhere(1), at(29)), None);
    assert_eq!(machine.on(Event::WantedElsewhere(u64::MAX), at(29)), None);
    assert_eq!(machine.on(Event::WantedElsewhere(u64::MAX), at(600)), None);
    assert_eq!(machine.on(Event::WantedElsewhere(1), at(30)), Some(Effect::Claim(true)));
}

#[test]
fn copies_that_are_used_up_on_arrival_are_asked_for_ever_more_rarely() {
    let (mut machine, now) = (connected(), at(3 * 3_600));
    let theirs = |generation| Event::Claimed(Claimed { mine: false, ..claim(generation) });
    assert_eq!(machine.on(Event::Asked, now), Some(Effect::Claim(true)));
    assert_eq!(machine.on(theirs(1), now), Some(Effect::AwaitCopy(1)));
    assert_eq!(machine.on(Event::CopyTaken(held(2, at(0))), now), Some(Effect::Claim(true)), "it may be a late one");
    let mut later = now;
    for generation in 2..12 {
        assert_eq!(machine.on(theirs(generation), later), Some(Effect::AwaitCopy(generation)));
        assert_eq!(machine.on(Event::CopyTaken(held(generation + 1, at(0))), later), None);
        assert_eq!(machine.verdict(later), Verdict::Fail(Trouble::Stale));
        assert_eq!(machine.on(Event::Asked, later.plus(Duration::from_secs(3))), None);
        later = later.plus(LONGEST_PAUSE);
        assert_eq!(machine.on(Event::Asked, later), Some(Effect::Claim(true)));
    }
}

#[test]
fn what_was_disconnected_does_not_come_back_as_a_copy() {
    let (mut machine, now) = (connected(), at(60));
    machine.on(Event::CopySeen(4), now);
    machine.on(Event::CopyTaken(held(4, now)), now);
    machine.on(Event::Disconnected, now);
    assert_eq!(machine.on(Event::CopySeen(4), now), None);
    let later = now.plus(LOOK_AGAIN);
    assert_eq!(machine.on(Event::Asked, later), Some(Effect::Claim(false)));
    assert_eq!(machine.on(Event::Claimed(Claimed { copy: 4, ..claim(4) }), later), None);
    assert_eq!(machine.verdict(later), Verdict::Fail(Trouble::NotConnected));
}

#[test]
fn what_an_ended_process_did_not_publish_the_next_one_does() {
    let found = || Found { held: Some(held(2, at(0))), floor: 2, ..Found::default() };
    let (mut machine, now) = (Machine::new(Means::Refresh, found()), at(3_600));
    assert_eq!(machine.on(Event::Asked, now), Some(Effect::Claim(true)));
    assert_eq!(machine.on(mine(1), now), Some(Effect::Publish));
    assert_eq!(machine.on(Event::Published, now), Some(Effect::Claim(true)));
    assert_eq!(machine.on(mine(1), now), Some(Effect::Note(0, true)), "once, whatever the group says then");
    let mut machine = Machine::new(Means::Refresh, found());
    assert_eq!(machine.on(Event::WantedElsewhere(1), at(1)), Some(Effect::Publish));
}

#[test]
fn a_file_that_was_rolled_back_is_not_used_but_a_copy_is() {
    let lost = Found { floor: 7, lost: Some(Trouble::RolledBack), ..Found::default() };
    let mut machine = Machine::new(Means::Refresh, lost);
    assert_eq!(machine.on(Event::Asked, at(0)), Some(Effect::Claim(false)));
    assert_eq!(machine.on(mine(6), at(0)), None);
    assert_eq!(machine.verdict(at(0)), Verdict::Fail(Trouble::RolledBack));
    assert_eq!(machine.on(Event::CopySeen(6), at(0)), None);
    assert_eq!(machine.on(Event::CopySeen(7), at(0)), Some(Effect::TakeCopy));
}

#[test]
fn what_could_not_be_published_is_published_before_anything_else() {
    let (mut machine, now) = (connected(), at(3_600));
    posted(&mut machine, now);
    machine.on(Event::Answered(Answer::Got), now);
    machine.on(Event::Saved(held(2, now)), now);
    assert_eq!(machine.on(Event::NotPublished, now), None);
    let later = now.plus(HOUR);
    machine.on(Event::Asked, later);
    assert_eq!(machine.on(mine(1), later), Some(Effect::Publish));
    assert_eq!(machine.on(Event::Published, later), Some(Effect::Claim(true)));
}

#[test]
fn a_refused_password_is_tried_once_a_minute_and_not_more() {
    let mut machine = Machine::new(Means::Acquire, Found::default());
    assert_eq!(machine.on(Event::Asked, at(0)), Some(Effect::Post(Means::Acquire)));
    machine.on(Event::Answered(Answer::InvalidGrant), at(0));
    assert_eq!(machine.on(Event::Asked, at(59)), None);
    assert_eq!(machine.verdict(at(59)), Verdict::Fail(Trouble::Refused("invalid_grant".to_owned())));
    assert_eq!(machine.on(Event::Asked, at(60)), Some(Effect::Post(Means::Acquire)));
}

/// Every history of sixteen steps out of the answers that can come, with a death of the process in any of them. No
/// refresh token is sent a third time, and nothing is used that is not on disk.
#[test]
fn no_history_of_answers_and_deaths_uses_a_refresh_token_a_third_time() {
    let disk = Disk { generation: 1, doubts: 0, posting: false };
    let mut histories = 0;
    walk(&connected(), None, Course { now: at(3_600), sent: 0, deaths: 1, left: 16, disk }, &mut histories);
    assert!(histories > 20_000, "{histories}");
}

/// What a new process finds.
#[derive(Clone, Copy)]
struct Disk {
    generation: u64,
    doubts: u8,
    posting: bool,
}

#[derive(Clone, Copy)]
struct Course {
    now: Timestamp,
    /// How often the refresh token of the newest generation may have been used.
    sent: u8,
    deaths: u8,
    left: u8,
    disk: Disk,
}

fn walk(machine: &Machine, effect: Option<&Effect>, course: Course, seen: &mut u64) {
    *seen += 1;
    let Course { now, sent, deaths, left, disk } = course;
    if let Verdict::Use(generation) = machine.verdict(now) {
        assert_eq!(generation, disk.generation, "what is used is on disk");
    }
    if left == 0 {
        return;
    }
    if deaths > 0 && effect.is_some() {
        let doubts = disk.doubts.saturating_add(u8::from(disk.posting));
        let found =
            Found { held: Some(held(disk.generation, at(0))), floor: disk.generation, doubts, ..Found::default() };
        let reborn = Machine::new(Means::Refresh, found);
        walk(&reborn, None, Course { now: now.plus(HOUR), deaths: deaths - 1, left: left - 1, ..course }, seen);
    }
    for event in outcomes(effect, disk.generation, now) {
        let mut next = Course { left: left - 1, ..course };
        match (&event, effect) {
            (Event::Saved(held), _) => {
                next.disk = Disk { generation: held.generation, doubts: 0, posting: false };
                next.sent = 0;
            }
            (Event::Noted, Some(Effect::Note(doubts, posting))) => {
                (next.disk.doubts, next.disk.posting) = (*doubts, *posting);
            }
            (Event::Answered(Answer::Unread(..)), _) => next.sent = sent - 1,
            _ => {}
        }
        let mut changed = machine.clone();
        let effect = changed.on(event, now);
        if effect == Some(Effect::Post(Means::Refresh)) {
            next.sent += 1;
            assert!(
                next.sent <= 2,
                "the refresh token of generation {} is used for the third time",
                next.disk.generation
            );
        }
        next.now = if effect.is_none() { now.plus(HOUR) } else { now };
        walk(&changed, effect.as_ref(), next, seen);
    }
}

fn outcomes(effect: Option<&Effect>, generation: u64, now: Timestamp) -> Vec<Event> {
    let trouble = || Trouble::Unasked;
    match effect {
        None => vec![Event::Asked],
        Some(Effect::Claim(_)) => vec![mine(generation), Event::ClaimFailed(trouble())],
        Some(Effect::Note(..)) => vec![Event::Noted, Event::NotNoted(trouble())],
        Some(Effect::Post(_)) => vec![
            Event::Answered(Answer::Got),
            unknown(),
            Event::Answered(Answer::InvalidGrant),
            Event::Answered(Answer::Unread(trouble(), None)),
        ],
        Some(Effect::Save(_)) => vec![Event::Saved(held(generation + 1, now)), Event::NotSaved(trouble())],
        Some(Effect::Publish) => vec![Event::Published, Event::NotPublished],
        Some(other) => panic!("{other:?} without other agents"),
    }
}

fn posted(machine: &mut Machine, now: Timestamp) {
    assert_eq!(machine.on(Event::Asked, now), Some(Effect::Claim(true)));
    assert_eq!(machine.on(mine(1), now), Some(Effect::Note(0, true)));
    assert_eq!(machine.on(Event::Noted, now), Some(Effect::Post(Means::Refresh)));
}

fn connected() -> Machine {
    Machine::new(Means::Refresh, Found { held: Some(held(1, at(0))), floor: 1, ..Found::default() })
}

fn held(generation: u64, since: Timestamp) -> Held {
    let (until, due) = (since.plus(HOUR), since.plus(HOUR * 4 / 5));
    Held { generation, since, until: Some(until), due: Some(due), refreshable: true, seed_is_current: true }
}

fn mine(generation: u64) -> Event {
    Event::Claimed(claim(generation))
}

fn claim(generation: u64) -> Claimed {
    Claimed { mine: true, generation, copy: 0, in_doubt: false, holder: "a".into() }
}

fn unknown() -> Event {
    Event::Answered(Answer::Unknown(Trouble::Unasked))
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}
