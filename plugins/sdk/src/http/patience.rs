//! Refusals that ask for patience: waited out, and then the same request goes out again. Otherwise a system that takes
//! fewer requests in its window than a batch has records would never see the end of the batch.

use std::time::Duration;

use super::{Answer, Client, Method, Request};
use crate::context;
use crate::error::{Error, Kind, Result};
use crate::host::Level;
use crate::log;

/// Waits for one request at most. A window is over after one, but others wait for it too.
const WAITS: u32 = 8;
/// Longest wait; whoever wants more is left to the next attempt, which need not hold a place meanwhile.
const LONGEST: Duration = Duration::from_secs(60);
/// The shortest, for systems that say 0 and do not mean it; each further one is twice as long, up to
/// [`LONGEST_UNASKED`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST_UNASKED: Duration = Duration::from_secs(1);
/// Time that must be left after a wait, so that it was not in vain.
const RESERVE: Duration = Duration::from_secs(2);

/// The waits for one request.
#[derive(Default)]
pub(super) struct Patience {
    waits: u32,
}

impl Patience {
    /// Comes back when the request may go out again.
    pub(super) fn wait_out(&mut self, client: &Client<'_>, request: &Request, answer: &Answer) -> Result<()> {
        let refused = client.refused(answer);
        let asked = answer.retry_after(answer.received_at()).or(refused.retry_after);
        let Some(asked) = asked.filter(|_| may_go_again(client, request, answer, &refused)) else {
            return Err(refused);
        };
        let wait = asked.max((SHORTEST * 2_u32.saturating_pow(self.waits)).min(LONGEST_UNASKED));
        if self.waits >= WAITS || wait > LONGEST || wait + RESERVE > client.host.remaining() {
            return Err(refused);
        }
        self.waits += 1;
        tell(client, wait);
        if client.host.pause(wait) { Ok(()) } else { Err(context::stopped()) }
    }
}

/// Whether the refusal asks for patience, and the request was not carried out or may be carried out twice. What the
/// connector itself makes of the answer counts: it may know that no waiting helps.
fn may_go_again(client: &Client<'_>, request: &Request, answer: &Answer, refused: &Error) -> bool {
    let is_harmless = request.repeatable || client.repeatable || request.method == Method::Get;
    request.patient
        && match (answer.status(), refused.kind) {
            (429, Kind::Throttled | Kind::Transient) | (400..=499, Kind::Throttled) => true,
            (503, Kind::Throttled | Kind::Transient) => is_harmless,
            (
                _,
                Kind::Config
                | Kind::Auth
                | Kind::Forbidden
                | Kind::NotFound
                | Kind::Throttled
                | Kind::Transient
                | Kind::Data
                | Kind::Cancelled
                | Kind::Unsupported
                | Kind::Internal,
            ) => false,
        }
}

/// Once for the agent owner, who would read it for each record otherwise.
fn tell(client: &Client<'_>, wait: Duration) {
    let level = if client.told.replace(true) { Level::Debug } else { Level::Info };
    let seconds = wait.as_secs_f64();
    log::write(
        client.host,
        level,
        "the system asks for patience; requests wait and go out again",
        &[("seconds", &seconds as &dyn log::Field)],
    );
}
