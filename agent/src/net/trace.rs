//! What `wherry connection test` tells of the way: noted while a connection is made, and costs nothing otherwise.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use wherry_domain::{
    failure::Code,
    path::{Certificate, Obstacle, Path, Phase, Session, Step, Way, plain},
};

/// Where a way is noted, if anyone wants to know.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Arc<Mutex<Record>>>);

/// One attempt to connect.
#[derive(Debug, Default)]
pub struct Dial(Option<Arc<Mutex<Record>>>);

#[derive(Debug, Default)]
struct Record {
    path: Option<Path>,
    /// The phase under way.
    open: Option<(Phase, Instant)>,
    /// A way is being noted, or one that led through has been.
    taken: bool,
}

impl Trace {
    /// One that notes the first way that leads through, or else the last that did not.
    pub fn wanted() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether anyone wants to know.
    pub const fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Begins to note a way.
    pub fn dial(&self, way: impl FnOnce() -> Way) -> Dial {
        let Some(shared) = &self.0 else { return Dial(None) };
        let mut record = lock(shared);
        if record.taken {
            return Dial(None);
        }
        let path = Path { way: way(), address: None, tls: None, steps: Vec::new(), obstacle: None };
        *record = Record { path: Some(path), open: None, taken: true };
        Dial(Some(Arc::clone(shared)))
    }

    /// What was dialled ended all the same, in a phase that seemed to be over.
    pub fn ended(&self, phase: Phase, code: Code, cause: &str) {
        let Some(shared) = &self.0 else { return };
        if let Some(path) = lock(shared).path.as_mut().filter(|path| path.obstacle.is_none()) {
            path.obstacle = Some(Obstacle { phase, code, cause: plain(cause) });
        }
    }

    /// What was noted; none if nothing was dialled. A phase that did not end is where `failure` happened.
    pub fn path(&self, failure: Option<(&Code, &str)>) -> Option<Path> {
        let mut record = lock(self.0.as_ref()?);
        let open = record.close();
        let path = record.path.as_mut()?;
        if let (Some(phase), None, Some((code, cause))) = (open, &path.obstacle, failure) {
            path.obstacle = Some(Obstacle { phase, code: code.clone(), cause: plain(cause) });
        }
        record.path.clone()
    }
}

impl Dial {
    /// The phase before has ended and this one begins. A phase that comes back, as where several addresses are tried,
    /// is told once with all of its time.
    pub fn begin(&self, phase: Phase) {
        self.note(|record| {
            record.close();
            record.open = Some((phase, now()));
        });
    }

    /// Whom the agent is connected to.
    pub fn connected(&self, address: Option<SocketAddr>) {
        self.note(|record| {
            if let Some(path) = &mut record.path {
                path.address = address.map(|address| address.to_string());
            }
        });
    }

    /// The TLS session with the system, or what was seen of it.
    pub fn secured(&self, version: &str, certificate: Option<Certificate>) {
        self.note(|record| {
            if let Some(path) = &mut record.path {
                path.tls = Some(Session { version: plain(version), certificate });
            }
        });
    }

    /// It ended in the phase under way.
    pub fn failed(&self, code: Code, cause: &str) {
        self.note(|record| {
            let phase = record.close();
            if let (Some(path), Some(phase)) = (&mut record.path, phase) {
                path.obstacle = Some(Obstacle { phase, code, cause: plain(cause) });
            }
            // Another attempt may say more.
            record.taken = false;
        });
    }

    /// The first byte of an answer is here.
    pub fn answered(&mut self) {
        self.note(|record| {
            record.close();
        });
        self.0 = None;
    }

    fn note(&self, change: impl FnOnce(&mut Record)) {
        if let Some(shared) = &self.0 {
            change(&mut lock(shared));
        }
    }
}

impl Record {
    /// Ends the phase under way and says which it was.
    fn close(&mut self) -> Option<Phase> {
        let (phase, since) = self.open.take()?;
        let duration = now().saturating_duration_since(since);
        if let Some(path) = &mut self.path {
            match path.steps.iter_mut().find(|step| step.phase == phase) {
                Some(step) => step.duration += duration,
                None => path.steps.push(Step { phase, duration }),
            }
        }
        Some(phase)
    }
}

fn lock(shared: &Mutex<Record>) -> MutexGuard<'_, Record> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "differences of it are shown to a person and nothing depends on them")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(path: &Path) -> Vec<Phase> {
        path.steps.iter().map(|step| step.phase).collect()
    }

    #[test]
    fn the_first_way_that_leads_through_is_told_and_later_ones_are_not() {
        let trace = Trace::wanted();
        let failed = trace.dial(|| Way::Direct);
        failed.begin(Phase::Resolve);
        failed.failed(Code::new("egress.dns_failed"), "no such name");
        let mut through = trace.dial(|| Way::Direct);
        for phase in [Phase::Resolve, Phase::Connect, Phase::FirstByte] {
            through.begin(phase);
        }
        through.connected(Some(([127, 0, 0, 1], 80).into()));
        through.answered();
        let late = trace.dial(|| Way::Direct);
        late.begin(Phase::Connect);
        late.failed(Code::new("egress.connect_refused"), "nobody is there");
        let path = trace.path(None).unwrap();
        assert_eq!(phases(&path), [Phase::Resolve, Phase::Connect, Phase::FirstByte]);
        assert_eq!((path.address.as_deref(), path.obstacle), (Some("127.0.0.1:80"), None));
    }

    #[test]
    fn a_failure_is_told_with_its_phase_and_cause() {
        let trace = Trace::wanted();
        let dial = trace.dial(|| Way::Direct);
        dial.begin(Phase::Resolve);
        dial.begin(Phase::Connect);
        dial.failed(Code::new("egress.connect_refused"), "nobody\u{1b} listens");
        let path = trace.path(Some((&Code::new("http.exchange_failed"), "it failed"))).unwrap();
        let obstacle = path.obstacle.as_ref().unwrap();
        assert_eq!((obstacle.phase, obstacle.code.as_str()), (Phase::Connect, "egress.connect_refused"));
        assert_eq!(obstacle.cause, "nobody\\u{1b} listens");
        assert_eq!(phases(&path), [Phase::Resolve, Phase::Connect]);
    }

    #[test]
    fn a_phase_that_never_ended_is_where_the_failure_happened() {
        let trace = Trace::wanted();
        trace.dial(|| Way::Direct).begin(Phase::FirstByte);
        let late = (Code::new("connection.timed_out"), "nothing came of it");
        let obstacle = trace.path(Some((&late.0, late.1))).unwrap().obstacle.unwrap();
        assert_eq!((obstacle.phase, obstacle.cause.as_str()), (Phase::FirstByte, "nothing came of it"));
    }

    #[test]
    fn a_phase_that_comes_back_is_told_once() {
        let trace = Trace::wanted();
        let dial = trace.dial(|| Way::Direct);
        for phase in [Phase::Resolve, Phase::Resolve, Phase::Connect, Phase::Proxy, Phase::Connect, Phase::Proxy] {
            dial.begin(phase);
        }
        dial.failed(Code::new("egress.proxy_failed"), "it did not get there");
        trace.ended(Phase::FirstByte, Code::new("a.b"), "too late");
        let path = trace.path(None).unwrap();
        assert_eq!(phases(&path), [Phase::Resolve, Phase::Connect, Phase::Proxy]);
        assert_eq!(path.obstacle.unwrap().phase, Phase::Proxy);
    }

    #[test]
    fn without_a_dial_there_is_nothing_to_tell() {
        assert_eq!(Trace::wanted().path(None), None);
        assert_eq!(Trace::default().path(None), None);
        assert!(!Trace::default().is_wanted());
    }
}
