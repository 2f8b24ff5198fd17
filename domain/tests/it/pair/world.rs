//! Time, chance, the link, and a ledger of what really happened, which neither side can see.

use std::collections::{BTreeMap, BTreeSet};

use wherry_domain::{
    execution::{Ending, Stage, Verdict},
    fence::Fence,
    id::{InstanceId, RunId},
    run::{Outcome, Terms},
    time::Timestamp,
};

use super::chance::Chance;

/// Milliseconds that neither side's clock shows.
pub(super) type Moment = u64;

/// One stream; numbered over the whole history.
pub(super) type Stream = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attempt {
    pub(super) run: RunId,
    pub(super) fence: Fence,
}

#[derive(Clone, Debug)]
pub(super) enum ToController {
    Hello { instance: InstanceId, in_flight: Vec<(Attempt, Stage)> },
    Heartbeat { number: u64, in_flight: Vec<(Attempt, Stage)> },
    Result { attempt: Attempt, ending: Ending },
    Declined { attempt: Attempt },
}

#[derive(Clone, Debug)]
pub(super) enum ToAgent {
    Welcome { verdicts: Vec<(Attempt, Verdict)> },
    Offer { attempt: Attempt, terms: Terms },
    Cancel(Attempt),
    Ack(Attempt),
    HeartbeatAck { number: u64 },
    Superseded,
}

impl ToAgent {
    /// An agent counts the lease of an offer from the last heartbeat that was answered before, so
    /// an answer must not overtake an offer. A stream keeps all its frames in order; this is all of
    /// it that the rules rely on.
    pub(super) const fn keeps_order(&self) -> bool {
        matches!(self, Self::Offer { .. } | Self::HeartbeatAck { .. })
    }
}

/// What arrives somewhere, later.
#[derive(Clone, Debug)]
pub(super) enum Arrival {
    ToController {
        agent: usize,
        stream: Stream,
        message: ToController,
    },
    ToAgent {
        agent: usize,
        stream: Stream,
        message: ToAgent,
    },
    StreamGone {
        agent: usize,
        stream: Stream,
    },
    StreamLost {
        agent: usize,
        stream: Stream,
    },
    /// For this process of the agent, not for a later one.
    Io {
        agent: usize,
        life: u64,
        io: Io,
    },
    AgentCrash {
        agent: usize,
    },
    AgentStart {
        agent: usize,
    },
    ControllerCrash,
    ControllerStart,
    Close {
        stream: Stream,
    },
    Cut {
        agent: usize,
    },
    Dark {
        agent: usize,
    },
    Cancel {
        run: RunId,
    },
    Retry {
        run: RunId,
    },
}

/// What an agent process hears from its own machine.
#[derive(Clone, Debug)]
pub(super) enum Io {
    Dialled,
    DialFailed,
    Journalled,
    Ready(Attempt),
    Effect(Attempt),
    Exit(Attempt, Outcome),
    Killed(Attempt),
}

pub(super) struct World {
    pub(super) now: Moment,
    pub(super) chance: Chance,
    pub(super) faults_until: Moment,
    arrivals: BTreeMap<(Moment, u64), Arrival>,
    count: u64,
    alive: BTreeMap<Stream, usize>,
    dark_until: BTreeMap<usize, Moment>,
    last_in_order: BTreeMap<Stream, Moment>,
    /// The latest fence that was offered, while only the rules offered it.
    pub(super) current: BTreeMap<RunId, Fence>,
    /// Attempts whose work was begun.
    pub(super) started: BTreeSet<Attempt>,
    /// Attempts that had an effect outside.
    pub(super) effects: BTreeSet<Attempt>,
    /// How work really ended.
    pub(super) truth: BTreeMap<Attempt, Outcome>,
    /// What happened, line by line, if `WHERRY_STORY` is set.
    story: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let faults_until = 60_000 + chance.below(180_000);
        Self {
            now: 0,
            chance,
            faults_until,
            arrivals: BTreeMap::new(),
            count: 0,
            alive: BTreeMap::new(),
            dark_until: BTreeMap::new(),
            last_in_order: BTreeMap::new(),
            current: BTreeMap::new(),
            started: BTreeSet::new(),
            effects: BTreeSet::new(),
            truth: BTreeMap::new(),
            story: std::env::var_os("WHERRY_STORY").is_some(),
        }
    }

    /// Whether a fault of this share happens now.
    pub(super) fn fault(&mut self, percent: u64) -> bool {
        self.now < self.faults_until && self.chance.percent(percent)
    }

    pub(super) fn after(&mut self, millis: u64, arrival: Arrival) {
        self.count += 1;
        self.arrivals.insert((self.now + millis, self.count), arrival);
    }

    pub(super) fn within(&mut self, millis: u64, arrival: Arrival) {
        let wait = self.chance.below(millis);
        self.after(wait, arrival);
    }

    pub(super) fn next_arrival(&self) -> Option<Moment> {
        self.arrivals.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn take_arrival(&mut self) -> Option<Arrival> {
        let at = *self.arrivals.keys().next().filter(|(at, _)| *at <= self.now)?;
        self.arrivals.remove(&at)
    }

    pub(super) fn open(&mut self, agent: usize) -> Stream {
        self.count += 1;
        self.alive.insert(self.count, agent);
        self.count
    }

    /// From now on nothing gets through; each side notices in its own time.
    pub(super) fn cut(&mut self, stream: Stream) {
        if let Some(agent) = self.alive.remove(&stream) {
            self.within(30_000, Arrival::StreamGone { agent, stream });
            self.within(30_000, Arrival::StreamLost { agent, stream });
        }
    }

    /// For a while nothing gets through, and nobody is told.
    pub(super) fn darken(&mut self, agent: usize) {
        let until = self.now + self.chance.below(120_000);
        self.dark_until.insert(agent, until);
    }

    pub(super) fn cut_all(&mut self, of: Option<usize>) {
        let streams: Vec<_> = self.alive.iter().filter(|(_, agent)| of.is_none_or(|of| of == **agent)).collect();
        let streams: Vec<_> = streams.into_iter().map(|(stream, _)| *stream).collect();
        for stream in streams {
            self.cut(stream);
        }
    }

    /// Sends over a link that loses, repeats, delays and so reorders, while faults last. Only what
    /// is `in_order` keeps its order: see [`ToAgent::keeps_order`].
    pub(super) fn send(&mut self, stream: Stream, in_order: bool, message: impl Fn(usize, Stream) -> Arrival) {
        let Some(agent) = self.alive.get(&stream).copied() else { return };
        let dark = self.dark_until.get(&agent).is_some_and(|until| self.now < *until);
        let copies = if dark || self.fault(5) { 0 } else { 1 + u64::from(self.fault(5)) };
        for _ in 0..copies {
            let delay = if self.fault(5) { self.chance.below(60_000) } else { 1 + self.chance.below(50) };
            let mut at = self.now + delay;
            if in_order {
                let last = self.last_in_order.entry(stream).or_default();
                at = at.max(*last);
                *last = at;
            }
            self.after(at - self.now, message(agent, stream));
        }
    }

    pub(super) fn owner(&self, stream: Stream) -> Option<usize> {
        self.alive.get(&stream).copied()
    }

    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        if self.story {
            println!("{:>8} {}", self.now, line());
        }
    }
}

/// A clock that starts anywhere and runs up to 15 % too fast or too slow.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    origin: u64,
    per_mille: u64,
    started: Moment,
}

impl Clock {
    pub(super) fn new(world: &mut World) -> Self {
        let origin = world.chance.below(1_000_000_000);
        Self { origin, per_mille: 850 + world.chance.below(301), started: world.now }
    }

    pub(super) fn read(&self, now: Moment) -> Timestamp {
        Timestamp::from_millis(self.origin + (now - self.started) * self.per_mille / 1_000)
    }

    /// The first moment at which the clock shows `at` or more.
    pub(super) fn moment(&self, at: Timestamp) -> Moment {
        self.started + (at.as_millis().saturating_sub(self.origin) * 1_000).div_ceil(self.per_mille)
    }
}
