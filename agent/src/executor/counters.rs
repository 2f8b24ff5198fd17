//! What connectors count, summed up over an attempt, for the run's log.
//!
//! A counter's name is the connector's word, and words of connectors stay on the agent. Those that its descriptor
//! declares are known before any record is read, so that they can say nothing of one: they may leave, and their sums
//! with them, like all counts.

use std::collections::BTreeMap;

use super::plan::Step;

/// Counters in one line of the log: with the longest names and sums they fit.
const IN_A_LINE: usize = 16;

/// Sums by step and counter.
#[derive(Debug, Default)]
pub(super) struct Counters(BTreeMap<String, BTreeMap<String, u64>>);

impl Counters {
    /// Adds what an invocation counted, if the activity declares the counter.
    pub(super) fn add(&mut self, step: &Step, name: &str, sum: u64) {
        if step.access.declares_counter(&step.activity, name) {
            self.count(&step.label, name, sum);
        }
    }

    fn count(&mut self, label: &str, name: &str, sum: u64) {
        let total = self.0.entry(label.to_owned()).or_default().entry(name.to_owned()).or_default();
        *total = total.saturating_add(sum);
    }

    /// The lines for the log.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (label, sums) in &self.0 {
            let told: Vec<String> = sums.iter().map(|(name, sum)| format!("{name} {sum}")).collect();
            lines.extend(told.chunks(IN_A_LINE).map(|some| format!("{label} counted: {}", some.join(", "))));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_several_invocations_stand_in_lines_that_fit_the_log() {
        let mut counters = Counters::default();
        for _ in 0..2 {
            counters.count("query of desk", "pages", 3);
            (10..70)
                .for_each(|number| counters.count("create of desk", &format!("{number}{}", "x".repeat(62)), u64::MAX));
        }
        let lines = counters.lines();
        assert_eq!(lines.last().map(String::as_str), Some("query of desk counted: pages 6"));
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|line| line.len() < wherry_proto::MAX_LOG_TEXT), "{lines:?}");
    }
}
