//! Following a run by server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use tokio::sync::watch;
use wherry_domain::{id::RunId, run::State as RunState};

use super::{Web, auth::Reader, body::Named, problem::Problem, run_view::Run, runs::Line};
use crate::{engine::Watch, model::RunRecord};

/// Log lines sent at once.
const LINES: usize = 500;
/// A sign of life, so that proxies keep the stream open.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

struct Following {
    web: Web,
    run: RunId,
    changes: Option<watch::Receiver<Arc<RunRecord>>>,
    latest: Arc<RunRecord>,
    /// Log lines sent so far.
    lines: usize,
    /// There is something to say without a change.
    at_once: bool,
    done: bool,
}

/// Follows a run: `run` at each change, `log` for each line, `end` when it is over. Begin again
/// with `Last-Event-ID` to leave out the log lines that came before.
#[utoipa::path(get, path = "/v1/runs/{run}/events", params(("run" = String, Path)),
    responses((status = 200, description = "events run, log, end", content_type = "text/event-stream")))]
pub(super) async fn follow(
    State(web): State<Web>,
    _caller: Reader,
    Named(run): Named<RunId>,
    headers: axum::http::HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let lines = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0);
    let (changes, latest) = match web.ledger.watch(run).await? {
        Watch::Over(record) => (None, Arc::new(*record)),
        Watch::Live(changes) => {
            let latest = Arc::clone(&changes.borrow());
            (Some(changes), latest)
        }
    };
    let following = Following { web, run, changes, latest, lines, at_once: true, done: false };
    let events = stream::unfold(following, |following| async {
        let (events, following) = following.next().await?;
        Some((stream::iter(events.into_iter().map(Ok)), following))
    });
    Ok(Sse::new(futures::StreamExt::flatten(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Following {
    /// The next events; `None` at the end, or when the controller cannot say, after which the
    /// follower comes back for the rest.
    async fn next(mut self) -> Option<(Vec<Event>, Self)> {
        if self.done {
            return None;
        }
        if !self.at_once {
            let changes = self.changes.as_mut()?;
            changes.changed().await.ok()?;
            self.latest = Arc::clone(&changes.borrow_and_update());
        }
        let page = self.web.ledger.logs(self.run, self.lines, LINES).await.ok()?;
        // A long log goes out in parts, and whole before the end.
        self.at_once = page.next.is_some();
        self.lines += page.items.len();
        let mut events: Vec<Event> = page.items.into_iter().map(Line::from).filter_map(line).collect();
        if !self.at_once {
            events.push(self.change()?);
            self.done = matches!(self.latest.stored.state, RunState::Finished { .. });
            events.extend(self.done.then(|| Event::default().event("end").data("{}")));
        }
        Some((events, self))
    }

    fn change(&self) -> Option<Event> {
        Event::default()
            .id(self.lines.to_string())
            .event("run")
            .json_data(Run::new(&self.latest, &self.web.ledger.directory))
            .ok()
    }
}

fn line(line: Line) -> Option<Event> {
    Event::default().id(line.number()).event("log").json_data(line).ok()
}
