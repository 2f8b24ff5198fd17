//! Requests that Jira wants later. A refusal for asking too often says that nothing was done, so the same request may
//! go out again, which is true of no other failure here. The kit's own patience is not enough: Jira does not always say
//! how long, and it wants those who were told the same to come back one after the other.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use wherry_sdk::http::{Answer, RequestBuilder};
use wherry_sdk::prelude::*;
use wherry_sdk::warn;

use crate::Cx;

/// How often a request goes out at most.
const TRIES: u32 = 6;
/// The first wait where Jira names none; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(2);
/// The shortest, because Data Center may say 0.
const SHORTEST: Duration = Duration::from_millis(50);
/// Longest wait for one request; whoever wants more is left to the next run.
const LONGEST: Duration = Duration::from_secs(120);
/// Time that must be left after a wait.
const RESERVE: Duration = Duration::from_secs(5);

/// Sends a request, later if Jira wants it later.
pub(super) fn send<'c>(cx: &'c Cx<'_>, request: impl Fn() -> RequestBuilder<'c>) -> Result<Answer> {
    let mut tried = 1;
    loop {
        let refused = match request().impatient().start()?.hand_over() {
            Err(error) if error.kind == Kind::Throttled => error,
            answered => return answered,
        };
        let wait = spread(refused.retry_after.unwrap_or_else(|| FIRST * 2_u32.pow(tried - 1)).max(SHORTEST));
        if tried >= TRIES || wait > LONGEST || wait + RESERVE > cx.remaining() {
            return Err(refused);
        }
        warn!(cx, "Jira asks for patience", seconds = wait.as_secs());
        cx.count("throttled", 1);
        cx.pause(wait)?;
        tried += 1;
    }
}

/// Up to a third longer, so that several that were told the same do not come back at once.
fn spread(wait: Duration) -> Duration {
    let thousandths = u32::try_from(RandomState::new().hash_one(()) % 334).unwrap_or_default();
    wait + wait * thousandths / 1_000
}
