//! Judging a canary by what was counted.
//!
//! Early, whenever an attempt ended, only for what is plain; at the end also for what is merely likely. Two rates are
//! compared by the square of the usual test statistic for two proportions, in whole numbers:
//! `z² = (x₁n₂ - x₂n₁)² n / (n₁ n₂ x (n - x))` with `n = n₁ + n₂` and `x = x₁ + x₂`.

use super::{Reason, Stored, Tally, Verdict};

/// Attempts in which the new version breaks its box before it is taken back at once: the same number for which an agent
/// puts a component into quarantine.
const BREAKS: u32 = 3;
/// A hundred times the square of 2.8: by chance once in four hundred canaries.
const PLAIN: u128 = 784;
/// A hundred times the square of 1.65: by chance once in twenty.
const LIKELY: u128 = 272;
/// At the end, this many more of a hundred attempts must have failed before likeliness matters.
const MARGIN: u64 = 2;
/// A new version may take twice as long,
const SLOWER: u64 = 2;
/// and this much longer in any case, in milliseconds: nobody rolls back for less.
const SLACK_MS: u64 = 50;

type Judged = Option<(Verdict, Reason)>;

/// After each attempt.
pub(super) fn early(stored: &Stored) -> Judged {
    let Stored { old, new, terms, .. } = stored;
    if new.broke >= BREAKS && breaks_more(old, new) {
        let reason = Reason::Broke { new: new.broke, old: old.broke, attempts: new.attempts };
        return Some((Verdict::Back, reason));
    }
    (new.attempts >= terms.attempts && fails_more(old, new, PLAIN)).then(|| failing(old, new))
}

/// Once the time is over; `hurry` if it will not wait for more attempts.
pub(super) fn late(stored: &Stored, hurry: bool) -> Judged {
    let Stored { old, new, terms, .. } = stored;
    if new.attempts < terms.attempts {
        let reason = Reason::TooFew { attempts: new.attempts, least: terms.attempts };
        return hurry.then_some((Verdict::Back, reason));
    }
    if more_by_margin(old, new) && fails_more(old, new, LIKELY) {
        return Some(failing(old, new));
    }
    let (new_ms, old_ms) = (new.took.median_ms(), old.took.median_ms());
    let enough = new.took.count().min(old.took.count()) >= terms.attempts.min(super::ATTEMPTS);
    if enough && new_ms > old_ms.saturating_mul(SLOWER) && new_ms > old_ms.saturating_add(SLACK_MS) {
        return Some((Verdict::Back, Reason::Slower { new_ms, old_ms }));
    }
    Some((Verdict::Everyone, Reason::Healthy { attempts: new.attempts }))
}

fn failing(old: &Tally, new: &Tally) -> (Verdict, Reason) {
    let reason = Reason::Failing {
        failed: new.failed,
        attempts: new.attempts,
        old_failed: old.failed,
        old_attempts: old.attempts,
    };
    (Verdict::Back, reason)
}

/// Whether it breaks its box at more than twice the rate of the old version.
fn breaks_more(old: &Tally, new: &Tally) -> bool {
    u64::from(new.broke) * u64::from(old.attempts.max(1)) > 2 * u64::from(old.broke) * u64::from(new.attempts)
        || old.attempts == 0
}

fn more_by_margin(old: &Tally, new: &Tally) -> bool {
    let (n1, n2) = (u64::from(new.attempts), u64::from(old.attempts));
    if n2 == 0 {
        return true;
    }
    100 * u64::from(new.failed) * n2 > 100 * u64::from(old.failed) * n1 + MARGIN * n1 * n2
}

/// Whether its failures are more than chance makes of the rate of both. With nothing to compare with, half is too many.
fn fails_more(old: &Tally, new: &Tally, bar: u128) -> bool {
    let of = |tally: &Tally| (u128::from(tally.failed), u128::from(tally.attempts));
    let ((x1, n1), (x2, n2)) = (of(new), of(old));
    if n2 == 0 {
        return 2 * x1 > n1;
    }
    let (x, n) = (x1 + x2, n1 + n2);
    let ahead = (x1 * n2).saturating_sub(x2 * n1);
    // Each factor has 33 bits at most, so the square of the first times the last can outgrow 128.
    let left = ahead.saturating_mul(ahead).saturating_mul(n).saturating_mul(100);
    let right = bar.saturating_mul(n1 * n2).saturating_mul(x).saturating_mul(n - x);
    ahead > 0 && left > right
}
