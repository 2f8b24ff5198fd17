//! When the token of a connection is good, who may get a new one, and what follows from each answer. Pure.
//!
//! A refresh token is used once. So nothing is sent before it is written down that it is sent, nothing is used before
//! it is written down, and an answer that was lost is asked for once more and not a third time.

mod words;

use std::{cmp::Ordering, time::Duration};

use wherry_domain::time::Timestamp;

use super::trouble::Trouble;
pub(super) use words::{Answer, Claimed, Effect, Event, Found, Held, Means, Verdict};

/// A token with less time left is not begun with: a request takes its time, too.
const MARGIN: Duration = Duration::from_secs(10);
/// A system that answers 401 to a token younger than this means something else: a missing right, or a wrong clock.
const YOUNG: Duration = Duration::from_secs(300);
/// Longest pause after a failure that may pass.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// After a refusal: often enough for whoever corrects the settings, and no storm that locks an account.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// Tokens younger than this are not refreshed because another agent asks: its clock may differ from this one's.
const FRESH: Duration = Duration::from_secs(30);
/// How often an agent that needs a person's consent looks whether another one got it.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Requests whose outcome is unknown: one may be repeated, two may not.
const MOST_DOUBTS: u8 = 2;
/// In place of doubts: the provider has said that the refresh token is gone.
pub(super) const GONE: u8 = u8::MAX;

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Resting,
    /// Something is under way.
    Busy,
    /// The end of a request is being written down; then it pauses.
    Settling(Duration, Trouble),
    Pausing(Timestamp, Trouble),
    /// Only a person, or another agent, can mend it; when to look at the others again.
    Broken(Timestamp, Trouble),
}

/// The tokens of one connection on one agent.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    means: Means,
    held: Option<Held>,
    /// The newest generation that there was, while it is not held.
    floor: u64,
    lost: Option<Trouble>,
    phase: Phase,
    /// The system refused the access token.
    spent: bool,
    /// The values that are set are to be used anew.
    reseed: bool,
    /// A copy may be newer than what the provider refused.
    reread: bool,
    /// The newest generation that the group is known to have; 0 after a start, when nothing is known.
    published: u64,
    doubts: u8,
    failures: u32,
}

impl Machine {
    /// With what was found on disk.
    pub(super) fn new(means: Means, found: Found) -> Self {
        let Found { held, floor, doubts, reseed, lost } = found;
        Self {
            means,
            held,
            floor,
            lost,
            phase: Phase::Resting,
            spent: false,
            reseed,
            reread: false,
            published: 0,
            doubts,
            failures: 0,
        }
    }

    /// The generation that is held. If it was lost, one less than it had: a copy of it is welcome.
    pub(super) fn generation(&self) -> u64 {
        self.held.as_ref().map_or(self.floor.saturating_sub(1), |held| held.generation)
    }

    /// Whether something is under way, so that no other thing may begin.
    pub(super) const fn is_busy(&self) -> bool {
        match self.phase {
            Phase::Busy | Phase::Settling(..) => true,
            Phase::Resting | Phase::Pausing(..) | Phase::Broken(..) => false,
        }
    }

    /// What is wrong, if only a person can mend it.
    pub(super) const fn broken(&self) -> Option<&Trouble> {
        match &self.phase {
            Phase::Broken(_, trouble) => Some(trouble),
            Phase::Resting | Phase::Busy | Phase::Settling(..) | Phase::Pausing(..) => None,
        }
    }

    /// What a request gets that comes now.
    pub(super) fn verdict(&self, now: Timestamp) -> Verdict {
        if let Some(held) = self.held.as_ref().filter(|held| self.usable(held, now)) {
            return Verdict::Use(held.generation);
        }
        match &self.phase {
            Phase::Pausing(until, trouble) if now < *until => Verdict::Fail(trouble.clone()),
            Phase::Broken(_, trouble) => Verdict::Fail(trouble.clone()),
            Phase::Resting | Phase::Busy | Phase::Settling(..) | Phase::Pausing(..) => Verdict::Wait,
        }
    }

    /// Whether a request that comes now sets something in motion.
    pub(super) fn wants(&self, now: Timestamp) -> bool {
        match &self.phase {
            Phase::Busy | Phase::Settling(..) => false,
            Phase::Resting => self.lacks(now),
            Phase::Pausing(until, _) => now >= *until && self.lacks(now),
            Phase::Broken(look, _) => self.means == Means::Refresh && now >= *look,
        }
    }

    /// Takes an event in; what to do next, if anything.
    pub(super) fn on(&mut self, event: Event, now: Timestamp) -> Option<Effect> {
        match event {
            Event::Asked => self.wants(now).then(|| self.begin()),
            Event::Rejected(generation) => self.rejected(generation, now),
            Event::SeedChanged(reseed) => self.seed_changed(reseed),
            Event::WantedElsewhere(generation) => self.wanted(generation, now),
            Event::CopySeen(generation) => self.seen(generation),
            Event::Consented => self.busy(Effect::Save(Duration::ZERO)),
            Event::Disconnected => self.disconnected(now),
            Event::Claimed(claimed) => self.claimed(&claimed, now),
            Event::SeedFailed(trouble) if trouble.needs_consent() => self.broken_by(trouble, now),
            Event::ClaimFailed(trouble) | Event::SeedFailed(trouble) => self.pause(trouble, None, now),
            Event::CopyTaken(held) => self.taken(held, now),
            Event::CopyMissed(trouble) => self.missed(trouble, now),
            Event::Seeded => self.busy(Effect::Save(Duration::ZERO)),
            Event::Noted => self.noted(now),
            Event::NotNoted(trouble) => self.pause(trouble, None, now),
            Event::Answered(answer) => self.answered(answer, now),
            Event::Saved(held) => self.saved(held),
            Event::NotSaved(_) => self.busy(Effect::Save(Duration::from_secs(1))),
            Event::Published => self.published(now),
            Event::Overtaken(true) => self.busy(Effect::TakeCopy),
            Event::Overtaken(false) | Event::NotPublished => self.rest(),
        }
    }

    fn usable(&self, held: &Held, now: Timestamp) -> bool {
        !self.spent && !self.reseed && held.until.is_none_or(|until| now.plus(MARGIN) < until)
    }

    fn lacks(&self, now: Timestamp) -> bool {
        let due = |held: &Held| held.due.is_some_and(|due| due <= now) && self.renewable(held);
        self.held.as_ref().is_none_or(|held| !self.usable(held, now) || due(held))
    }

    fn renewable(&self, held: &Held) -> bool {
        self.means == Means::Acquire || held.refreshable
    }

    fn begin(&mut self) -> Effect {
        self.phase = Phase::Busy;
        match self.means {
            Means::Acquire => Effect::Post(Means::Acquire),
            Means::Refresh => {
                let refreshable = self.held.as_ref().is_some_and(|held| held.refreshable);
                Effect::Claim(refreshable && !self.reseed && !self.reread && self.doubts < MOST_DOUBTS)
            }
        }
    }

    fn rejected(&mut self, generation: u64, now: Timestamp) -> Option<Effect> {
        let old = self.held.as_ref().filter(|held| held.generation == generation && now.since(held.since) >= YOUNG);
        self.spent |= old.is_some_and(|held| self.renewable(held));
        None
    }

    fn seed_changed(&mut self, reseed: bool) -> Option<Effect> {
        self.reseed = reseed;
        if !self.is_busy() {
            self.phase = Phase::Resting;
        }
        None
    }

    fn wanted(&mut self, generation: u64, now: Timestamp) -> Option<Effect> {
        let idle = self.phase == Phase::Resting && self.means == Means::Refresh;
        let held = self.held.as_ref().filter(|_| idle)?;
        match held.generation.cmp(&generation) {
            Ordering::Greater => self.busy(Effect::Publish),
            Ordering::Equal if now.since(held.since) >= FRESH => self.busy(Effect::Claim(held.refreshable)),
            // Who has newer tokens than these gets nothing better from here.
            Ordering::Equal | Ordering::Less => None,
        }
    }

    fn seen(&mut self, generation: u64) -> Option<Effect> {
        if self.is_busy() || generation <= self.generation() { None } else { self.busy(Effect::TakeCopy) }
    }

    fn disconnected(&mut self, now: Timestamp) -> Option<Effect> {
        // A copy of what was forgotten is not welcome, as one of lost tokens is.
        self.floor = self.held.as_ref().map_or(self.floor, |held| held.generation.max(self.floor)).saturating_add(1);
        (self.held, self.doubts, self.spent) = (None, 0, false);
        self.broken_by(Trouble::NotConnected, now)
    }

    fn claimed(&mut self, claimed: &Claimed, now: Timestamp) -> Option<Effect> {
        let have = self.generation();
        if claimed.copy > have {
            return self.busy(Effect::TakeCopy);
        }
        // Not twice the same: a controller that takes it and does not know it afterwards would have no end of it.
        if claimed.mine && claimed.generation < have && self.published < have && self.held.is_some() {
            return self.busy(Effect::Publish);
        }
        if !claimed.mine {
            return self.busy(Effect::AwaitCopy(have));
        }
        if self.reseed {
            return self.busy(Effect::Seed);
        }
        let Some(held) = &self.held else {
            return self.broken_by(self.lost.clone().unwrap_or(Trouble::NotConnected), now);
        };
        if self.reread {
            (self.reread, self.doubts) = (false, GONE);
            return self.settle(Means::Refresh, Trouble::ConsentGone, None, now);
        }
        if claimed.generation > have {
            return self.broken_by(Trouble::NoCopy, now);
        }
        if !held.refreshable {
            return if self.usable(held, now) { self.rest() } else { self.broken_by(Trouble::Expired, now) };
        }
        self.doubts = self.doubts.max(u8::from(claimed.in_doubt));
        match self.hopeless() {
            Some(trouble) => self.broken_by(trouble, now),
            None => self.busy(Effect::Note(self.doubts, true)),
        }
    }

    /// Why the refresh token cannot be used once more.
    const fn hopeless(&self) -> Option<Trouble> {
        match self.doubts {
            GONE => Some(Trouble::ConsentGone),
            MOST_DOUBTS.. => Some(Trouble::Doubt),
            _ => None,
        }
    }

    fn taken(&mut self, held: Held, now: Timestamp) -> Option<Effect> {
        if held.generation < self.generation() {
            return self.rest();
        }
        let failures = self.failures;
        self.published = held.generation;
        self.took(held);
        if !self.lacks(now) {
            return self.rest();
        }
        self.failures = failures;
        if failures > 0 {
            // Again one that is used up on arrival: the clocks differ, and asking for the next one has no end.
            return self.pause(Trouble::Stale, None, now);
        }
        self.failures = 1;
        Some(self.begin())
    }

    fn took(&mut self, held: Held) {
        self.reseed &= !held.seed_is_current;
        self.held = Some(held);
        (self.spent, self.reread, self.doubts, self.failures) = (false, false, 0, 0);
    }

    fn missed(&mut self, trouble: Trouble, now: Timestamp) -> Option<Effect> {
        self.pause(trouble, Some(Duration::from_secs(5)), now)
    }

    fn noted(&mut self, now: Timestamp) -> Option<Effect> {
        match std::mem::replace(&mut self.phase, Phase::Busy) {
            Phase::Settling(wait, trouble) => match self.hopeless() {
                Some(hopeless) => self.broken_by(hopeless, now),
                None => self.pause(trouble, Some(wait), now),
            },
            Phase::Resting | Phase::Busy | Phase::Pausing(..) | Phase::Broken(..) => Some(Effect::Post(Means::Refresh)),
        }
    }

    fn answered(&mut self, answer: Answer, now: Timestamp) -> Option<Effect> {
        match (answer, self.means) {
            (Answer::Got, _) => self.busy(Effect::Save(Duration::ZERO)),
            (Answer::InvalidGrant, Means::Acquire) => {
                self.pause(Trouble::Refused("invalid_grant".to_owned()), Some(AFTER_REFUSAL), now)
            }
            (Answer::InvalidGrant, Means::Refresh) => {
                self.reread = true;
                self.busy(Effect::Claim(false))
            }
            (Answer::Unread(trouble, wait), means) => self.settle(means, trouble, wait, now),
            (Answer::Refused(trouble), means) => self.settle(means, trouble, Some(AFTER_REFUSAL), now),
            (Answer::Unknown(trouble), Means::Acquire) => self.pause(trouble, None, now),
            (Answer::Unknown(trouble), Means::Refresh) => {
                self.doubts = self.doubts.saturating_add(1).min(MOST_DOUBTS);
                if self.doubts < MOST_DOUBTS {
                    return self.busy(Effect::Note(self.doubts, true));
                }
                self.settle(Means::Refresh, trouble, None, now)
            }
        }
    }

    /// Writes down that the request ended, where that matters, and pauses.
    fn settle(&mut self, means: Means, trouble: Trouble, wait: Option<Duration>, now: Timestamp) -> Option<Effect> {
        if means == Means::Acquire {
            return self.pause(trouble, wait, now);
        }
        let wait = wait.unwrap_or_else(|| self.backoff());
        self.phase = Phase::Settling(wait, trouble);
        Some(Effect::Note(self.doubts, false))
    }

    fn saved(&mut self, held: Held) -> Option<Effect> {
        self.took(held);
        match self.means {
            Means::Acquire => self.rest(),
            Means::Refresh => self.busy(Effect::Publish),
        }
    }

    fn published(&mut self, now: Timestamp) -> Option<Effect> {
        self.published = self.generation();
        if self.lacks(now) { Some(self.begin()) } else { self.rest() }
    }

    fn busy(&mut self, effect: Effect) -> Option<Effect> {
        self.phase = Phase::Busy;
        Some(effect)
    }

    fn rest(&mut self) -> Option<Effect> {
        self.phase = Phase::Resting;
        None
    }

    fn broken_by(&mut self, trouble: Trouble, now: Timestamp) -> Option<Effect> {
        self.phase = Phase::Broken(now.plus(LOOK_AGAIN), trouble);
        None
    }

    fn pause(&mut self, trouble: Trouble, wait: Option<Duration>, now: Timestamp) -> Option<Effect> {
        let wait = wait.unwrap_or_else(|| self.backoff());
        self.phase = Phase::Pausing(now.plus(wait), trouble);
        None
    }

    /// 2 s, then twice as long each time.
    fn backoff(&mut self) -> Duration {
        let pause = Duration::from_secs(2_u64.saturating_pow(self.failures.saturating_add(1).min(16)));
        self.failures = self.failures.saturating_add(1);
        pause.min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests;
