//! Keeps an invocation within its time: computing, waiting, and stopping when asked.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::fault::{ConnectorFault, Limit};
use crate::inbox::{Cancelled, Pump};

/// Most that is charged for one poll. Code hands the thread back every 10 ms: what is much longer was a pause of the
/// machine.
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// The time an invocation has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) cancel_grace: Duration,
}

/// Runs `work` until it ends or its time does. Dropping it then ends its exchanges and frees its memory.
pub(crate) async fn supervise<W: Future>(
    work: Pin<Box<W>>,
    pump: Pump,
    mut cancelled: Cancelled,
    deadline: Instant,
    allowance: Allowance,
) -> Result<W::Output, ConnectorFault> {
    // The engine's clock stands still for code that waits in the host, so the wall clock needs a guard of its own.
    let grace = async {
        cancelled.wait().await;
        tokio::time::sleep(allowance.cancel_grace).await;
    };
    let pump = async {
        let never: Infallible = pump.run().await;
        match never {}
    };
    tokio::select! {
        biased;
        result = Metered::new(work, allowance.cpu) => result.map_err(ConnectorFault::from),
        () = grace => Err(ConnectorFault::Cancelled),
        () = tokio::time::sleep_until(deadline) => Err(Limit::Time { limit_ms: millis(allowance.wall) }.into()),
        never = pump => match never {},
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Measures how long a future computes, and ends it when that is too long. Counting the engine's ticks instead would
/// charge a tick for every wait, however short the work between.
pub(crate) struct Metered<W> {
    work: Pin<Box<W>>,
    spent: Duration,
    limit: Duration,
}

impl<W> Metered<W> {
    pub(crate) fn new(work: Pin<Box<W>>, limit: Duration) -> Self {
        Self { work, spent: Duration::ZERO, limit }
    }
}

impl<W: Future> Future for Metered<W> {
    type Output = Result<W::Output, Limit>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let begun = clock::now();
        let polled = self.work.as_mut().poll(cx);
        self.spent += begun.elapsed().min(LONGEST_POLL);
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.spent > self.limit => Poll::Ready(Err(Limit::Cpu { limit_ms: millis(self.limit) })),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::inbox;
    use crate::message::ToConnector;

    const ALLOWANCE: Allowance = Allowance {
        wall: Duration::from_secs(60),
        cpu: Duration::from_millis(50),
        cancel_grace: Duration::from_secs(1),
    };

    async fn supervised<W: Future<Output = ()>>(work: W, messages: &[ToConnector]) -> Result<(), ConnectorFault> {
        let (tx, rx) = mpsc::channel(8);
        for message in messages {
            tx.send(message.clone()).await.unwrap();
        }
        let (pump, _rows, cancelled) = inbox::open(rx, false);
        let deadline = clock::now() + ALLOWANCE.wall;
        supervise(Box::pin(work), pump, cancelled, deadline, ALLOWANCE).await
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_not_computing() {
        assert_eq!(supervised(tokio::time::sleep(Duration::from_secs(59)), &[]).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_too_long_is_ended_by_the_wall_clock() {
        let ended = supervised(std::future::pending(), &[]).await;
        assert_eq!(ended, Err(Limit::Time { limit_ms: 60_000 }.into()));
    }

    #[tokio::test]
    async fn computing_too_long_is_ended_at_the_next_yield() {
        let busy = std::future::poll_fn(|cx| {
            let begun = clock::now();
            while begun.elapsed() < Duration::from_millis(10) {}
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(supervised(busy, &[]).await, Err(Limit::Cpu { limit_ms: 50 }.into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connector_that_ignores_a_cancel_is_stopped_after_the_grace() {
        let begun = clock::now();
        let ended = supervised(std::future::pending(), &[ToConnector::Cancel]).await;
        assert_eq!((ended, begun.elapsed().as_secs()), (Err(ConnectorFault::Cancelled), 1));
    }
}
