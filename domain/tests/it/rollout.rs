//! Canaries by script: each file of `rollout/` says what happens, and its second half what the canary said to it.
//!
//! ```text
//! share 20% time 10m attempts 5
//! old ok 20 120ms          twenty attempts on the old version that took 120 ms
//! new failed 3             three that failed on the new one
//! +5m                      time passes
//! restart                  the controller restarts, an hour later
//! ---
//! 5m back: 5 of 5 attempts failed; on the old version 0 of 20 did
//! ```

use std::{fmt::Write, fs, path::Path, time::Duration};

use wherry_domain::{
    duration,
    failure::Code,
    rollout::{Effect, Event, Observed, Rollout, Side, Terms, Verdict},
    time::Timestamp,
};

/// Between the events and what is expected.
const LINE: &str = "---\n";

#[test]
fn every_canary_ends_as_its_script_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rollout");
    let mut scripts: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 10, "{} scripts", scripts.len());
    for script in scripts {
        let text = fs::read_to_string(&script).unwrap();
        let (events, expected) = text.split_once(LINE).unwrap();
        let said = play(events);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&script, format!("{events}{LINE}{said}")).unwrap();
        } else {
            assert_eq!(said, expected, "{}", script.display());
        }
    }
}

struct Stage {
    rollout: Rollout,
    begun: Timestamp,
    now: Timestamp,
    said: String,
}

fn play(events: &str) -> String {
    let mut lines = events.lines().map(|line| line.split('#').next().unwrap().trim()).filter(|line| !line.is_empty());
    let terms: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let ["share", share, "time", time, "attempts", attempts] = terms[..] else { panic!("{terms:?}") };
    let time = duration::parse(time).unwrap();
    let terms = Terms { share: share.parse().unwrap(), time, attempts: attempts.parse().unwrap() }.check().unwrap();
    let begun = Timestamp::from_millis(1_000);
    let mut stage = Stage { rollout: Rollout::new(terms, begun), begun, now: begun, said: String::new() };
    lines.for_each(|line| stage.line(line));
    let end = match (stage.rollout.settled(), stage.rollout.deadline()) {
        (Some(_), deadline) => {
            assert_eq!(deadline, None);
            "over".to_owned()
        }
        (None, deadline) => format!("goes on, looks again at {}", stage.shown(deadline.unwrap())),
    };
    writeln!(stage.said, "{end}").unwrap();
    stage.said
}

impl Stage {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [side @ ("old" | "new"), how, count] => self.attempts(side, how, count, "100ms"),
            [side @ ("old" | "new"), how, count, took] => self.attempts(side, how, count, took),
            ["refused", code] => self.event(Event::Refused { code: Code::received(code) }),
            ["promote"] => self.event(Event::Asked { verdict: Verdict::Everyone }),
            ["abort"] => self.event(Event::Asked { verdict: Verdict::Back }),
            ["superseded"] => self.event(Event::Superseded),
            ["restart"] => {
                let stored = serde_json::to_vec(&self.rollout.stored(self.now)).unwrap();
                self.begun = self.begun.plus(Duration::from_secs(3_600));
                self.now = self.now.plus(Duration::from_secs(3_600));
                self.rollout = Rollout::restored(serde_json::from_slice(&stored).unwrap(), self.now);
            }
            [time] if time.starts_with('+') => self.pass(duration::parse(&time[1..]).unwrap()),
            _ => panic!("what is {line}?"),
        }
    }

    /// Time passes, and the machine is woken when it asked for it.
    fn pass(&mut self, time: Duration) {
        let until = self.now.plus(time);
        while let Some(deadline) = self.rollout.deadline().filter(|at| *at <= until) {
            self.now = deadline;
            self.event(Event::Tick);
            let next = self.rollout.deadline();
            assert!(next.is_none_or(|next| next > deadline), "it asks to be woken at once, for ever");
        }
        self.now = until;
    }

    fn attempts(&mut self, side: &str, how: &str, count: &str, took: &str) {
        let side = if side == "old" { Side::Old } else { Side::New };
        let observed = match how {
            "ok" => Observed::Succeeded,
            "failed" => Observed::Failed,
            "broke" => Observed::Broke,
            other => panic!("what is {other}?"),
        };
        for _ in 0..count.parse::<u32>().unwrap() {
            self.event(Event::Attempt { side, observed, took: duration::parse(took).unwrap() });
        }
    }

    fn event(&mut self, event: Event) {
        for Effect::Settle { verdict, reason } in self.rollout.on(event, self.now) {
            let verdict = if verdict == Verdict::Everyone { "everyone" } else { "back" };
            let at = self.shown(self.now);
            writeln!(self.said, "{at} {verdict}: {reason}").unwrap();
        }
    }

    fn shown(&self, at: Timestamp) -> String {
        duration::format(at.since(self.begun))
    }
}
