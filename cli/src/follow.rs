//! Watching a run: live on a terminal, plain lines in a pipe, until it ends, the time is up, or the person leaves.

use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;
use wherry_domain::failure::Code;

use crate::client::{Call, Client, Event};
use crate::clock::Stopwatch;
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::screen::Screen;
use crate::table::at;
use crate::text::{grouped, plain, span};

/// Between two lines of progress in a pipe.
const QUIET: Duration = Duration::from_secs(10);
/// Streams that bring no event before the watch is given up: about a minute.
const EMPTY_STREAMS: u32 = 6;
/// The target refused records; all others are written.
const RECORD_REJECTED: &str = "record.rejected";
/// How long one request waits for the end of a run.
const LONG_POLL: Duration = Duration::from_secs(50);

/// Follows the run until its end. Ctrl-C ends the watch, not the run.
pub(crate) async fn follow(client: &Client, run: &str, screen: Screen) -> Outcome<Value> {
    let ended = tokio::select! {
        ended = watch(client, run, screen) => ended?,
        _ = tokio::signal::ctrl_c() => return Err(left(run)),
    };
    judge(ended)
}

/// Follows the run until its end, whoever is interrupted.
pub(crate) async fn watch_to_end(client: &Client, run: &str, screen: Screen) -> Outcome<Value> {
    judge(watch(client, run, screen).await?)
}

/// Waits for the end of the run without a word, for at most `limit`.
pub(crate) async fn wait(client: &Client, run: &str, limit: Duration) -> Outcome<Value> {
    let waiting = async {
        loop {
            let call_path = ["runs", run];
            let call = Call::get(&call_path).query("wait_ms", Some(LONG_POLL.min(limit).as_millis()));
            let now = client.send(call).await?;
            if is_over(&now) {
                return Ok(now);
            }
        }
    };
    tokio::select! {
        ended = tokio::time::timeout(limit, waiting) => match ended {
            Ok(ended) => judge(ended?),
            Err(_) => Err(CliError::new(Exit::TimedOut, codes::WAIT_ENDED, format!("{run} has not ended in time; it goes on"))
                .fix(format!("come back with: wherry run logs {run} --follow"))),
        },
        _ = tokio::signal::ctrl_c() => Err(left(run)),
    }
}

/// The run itself if it succeeded, an error with the run's own code if not.
pub(crate) fn judge(run: Value) -> Outcome<Value> {
    let state = state(&run);
    if state == "succeeded" {
        return Ok(run);
    }
    let id = run.get("id").and_then(Value::as_str).unwrap_or("the run").to_owned();
    let code = at(&run, "failure.code").and_then(Value::as_str).map_or(codes::RUN_NOT_SUCCEEDED, Code::received);
    let why = at(&run, "failure.message").and_then(Value::as_str).map(|why| format!(": {why}")).unwrap_or_default();
    let error = CliError::new(Exit::RunFailed, code, format!("{id} {state}{why}"));
    let mut error = error.fix(next_step(&run, &id));
    error.problem = Some(Box::new(serde_json::json!({ "run": run })));
    Err(error)
}

/// What to do after a run that did not succeed. Where something was changed already, repeating it may change it twice.
fn next_step(run: &Value, id: &str) -> String {
    let begun = at(run, "failure.effects_begun").and_then(Value::as_bool) == Some(true);
    let safe = matches!(run.get("side_effects").and_then(Value::as_str), Some("read" | "idempotent"));
    let count = |name: &str| at(run, name).and_then(Value::as_u64).unwrap_or_default();
    let (written, rejected) = (count("counts.written"), count("counts.rejected"));
    let look = format!("look with: wherry run show {id}");
    if at(run, "failure.code").and_then(Value::as_str) == Some(RECORD_REJECTED) {
        let which = if rejected == 1 { "the refused record" } else { "the refused records" };
        let others = match (safe, written) {
            (true, _) | (false, 0) => String::new(),
            (false, others) => format!(" and writes the {} others once more", grouped(others)),
        };
        return format!(
            "look with: wherry run logs {id}; correct {which}, or leave out what the target refuses with `when:`; \
             wherry run retry {id} begins with the first record again{others}"
        );
    }
    if begun && !safe {
        let confirmed = format!("{} record{} confirmed", grouped(written), if written == 1 { "" } else { "s" });
        return format!(
            "{look}; its target may have been changed ({confirmed}), so look there first: \
             wherry run retry {id} begins with the first record again and may write records twice"
        );
    }
    format!("{look}; repeat it with: wherry run retry {id}")
}

pub(crate) fn is_over(run: &Value) -> bool {
    matches!(state(run), "succeeded" | "failed" | "cancelled")
}

async fn watch(client: &Client, run: &str, screen: Screen) -> Outcome<Value> {
    let mut view = View::new(run, screen);
    let first = client.get(&["runs", run]).await?;
    view.update(&first);
    let (mut seen, mut empty) = (None::<String>, 0);
    while empty < EMPTY_STREAMS {
        let mut stream = match client.events(&["runs", run, "events"], seen.as_deref()).await {
            Ok(stream) => stream,
            Err(error) if error.exit == Exit::Unavailable => {
                empty += 1;
                tokio::time::sleep(Duration::from_secs(1 << empty.min(4))).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        empty += 1;
        while let Some(event) = stream.next().await {
            empty = 0;
            seen = event.id.clone().or(seen);
            if event.name == "end" {
                view.finish();
                return client.get(&["runs", run]).await;
            }
            view.event(&event);
        }
        // A stream that ended without saying so: perhaps the run did, too.
        let now = client.get(&["runs", run]).await?;
        if is_over(&now) {
            view.finish();
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(CliError::new(Exit::Unavailable, codes::UNREACHABLE, "the controller sends no more events; the run goes on")
        .fix(format!("come back with: wherry run logs {run} --follow")))
}

/// What Ctrl-C says.
pub(crate) fn left(run: &str) -> CliError {
    CliError::new(Exit::Interrupted, codes::INTERRUPTED, format!("stopped watching {run}; the run goes on"))
        .fix(format!("come back with: wherry run logs {run} --follow; end it with: wherry run cancel {run}"))
}

fn state(run: &Value) -> &str {
    run.get("state").and_then(Value::as_str).unwrap_or_default()
}

/// What the person sees of a run while it lasts.
pub(crate) struct View {
    screen: Screen,
    bar: ProgressBar,
    run: String,
    last_state: String,
    last_line: Option<Stopwatch>,
    pace: Pace,
}

impl View {
    pub(crate) fn new(run: &str, screen: Screen) -> Self {
        let (bar, run) = (screen.spinner(run.to_owned()), run.to_owned());
        Self { screen, bar, run, last_state: String::new(), last_line: None, pace: Pace::default() }
    }

    /// What is drawn; whoever writes beside it suspends it first.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    fn event(&mut self, event: &Event) {
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else { return };
        match event.name.as_str() {
            "run" => self.update(&data),
            "log" => self.line(&log_line(&data)),
            _ => {}
        }
    }

    pub(crate) fn update(&mut self, run: &Value) {
        let summary = self.summary(run);
        self.bar.set_message(summary.clone());
        let state = standing(run);
        let changed = state != self.last_state;
        let due = self.last_line.is_none_or(|last| last.elapsed() >= QUIET);
        if changed && state.starts_with("unknown") {
            self.line("its agent, or the process of its connector, was lost after effects may have begun: it waits for that agent, or for you (wherry run retry, wherry run cancel)");
        }
        if !self.screen.is_live() && (changed || due) {
            self.screen.progress(&summary);
            self.last_line = Some(Stopwatch::start());
        }
        self.last_state = state;
    }

    fn line(&self, text: &str) {
        if self.screen.is_live() {
            self.bar.println(text);
        } else {
            self.screen.progress(text);
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn summary(&mut self, run: &Value) -> String {
        let count = |name: &str| at(run, name).and_then(Value::as_u64).unwrap_or_default();
        let (read, written) = (count("counts.read"), count("counts.written"));
        let (rejected, batches) = (count("counts.rejected"), count("counts.batches"));
        let mut text = format!("{}  {}", self.run, standing(run));
        // Of a run that is over, nothing is an answer, too.
        if read + written + batches > 0 || (is_over(run) && run.get("counts").is_some()) {
            text += &format!("  read {}  written {}  batches {}", grouped(read), grouped(written), grouped(batches));
        }
        if rejected > 0 {
            text += &format!("  rejected {}", grouped(rejected));
        }
        if !is_over(run)
            && let Some(rate) = self.pace.rate(read.max(written))
        {
            text += &format!("  {} records/s", grouped(rate));
        }
        text
    }
}

/// State, attempt and agent in words.
fn standing(run: &Value) -> String {
    let mut text = plain(state(run));
    if let Some(agent) = run.get("agent").and_then(Value::as_str) {
        text += &format!(" on {}", plain(agent));
    }
    if let Some(attempt @ 2..) = run.get("attempt").and_then(Value::as_u64) {
        text += &format!(" (attempt {attempt})");
    }
    if run.get("cancelling").and_then(Value::as_bool) == Some(true) {
        text += ", cancelling";
    }
    if let Some(millis) = run.get("duration_ms").and_then(Value::as_u64) {
        text += &format!(" in {}", span(millis));
    }
    text
}

/// A line of a run's log, as `run logs` prints it.
pub(crate) fn log_line(entry: &Value) -> String {
    let text = |key: &str| plain(entry.get(key).and_then(Value::as_str).unwrap_or_default());
    format!("{}  {:<5}  {}", text("at"), text("level"), text("text"))
}

/// Records per second since the first that was seen.
#[derive(Default)]
struct Pace(Option<(Stopwatch, u64)>);

impl Pace {
    fn rate(&mut self, records: u64) -> Option<u64> {
        if records == 0 {
            self.0 = None;
            return None;
        }
        let (since, first) = self.0.get_or_insert_with(|| (Stopwatch::start(), records));
        let millis = u64::try_from(since.elapsed().as_millis()).ok().filter(|millis| *millis >= 500)?;
        Some(records.saturating_sub(*first).saturating_mul(1_000) / millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_that_failed_becomes_exit_code_8_with_its_own_code() {
        let run = json!({"id": "run_1", "state": "failed", "failure": {"code": "http.status", "message": "500 from the tracker"}});
        let error = judge(run).unwrap_err();
        assert_eq!((error.exit, error.code.as_str()), (Exit::RunFailed, "http.status"));
        assert_eq!(error.message, "run_1 failed: 500 from the tracker");
        assert!(judge(json!({"id": "run_1", "state": "succeeded"})).is_ok());
        assert_eq!(judge(json!({"state": "cancelled"})).unwrap_err().exit, Exit::RunFailed);
    }

    #[test]
    fn repeating_what_changed_something_already_comes_with_a_warning() {
        let failed = |class: &str, begun: bool| json!({"id": "run_1", "side_effects": class, "failure": {"effects_begun": begun}});
        for (class, begun, warned) in [("unsafe", true, true), ("unsafe", false, false), ("read", true, false)] {
            let fix = next_step(&failed(class, begun), "run_1");
            assert_eq!(fix.contains("twice"), warned, "{class} {begun}: {fix}");
            assert!(fix.contains("wherry run retry run_1"), "{fix}");
        }
    }

    #[test]
    fn what_to_do_says_how_much_the_target_confirmed() {
        let failed = |code: &str, written: u64, rejected: u64, class: &str| {
            let counts = json!({"read": 58, "written": written, "rejected": rejected});
            next_step(
                &json!({"side_effects": class, "counts": counts, "failure": {"code": code, "effects_begun": true}}),
                "run_1",
            )
        };
        let one = failed("http.not_found", 0, 0, "unsafe");
        assert!(one.contains("may have been changed (0 records confirmed)"), "{one}");
        assert!(failed("http.status", 1, 0, "unsafe").contains("(1 record confirmed)"));
        let refused = failed("record.rejected", 56, 2, "unsafe");
        assert!(refused.contains("correct the refused records, or leave out what"), "{refused}");
        assert!(
            refused.ends_with("begins with the first record again and writes the 56 others once more"),
            "{refused}"
        );
        assert!(failed("record.rejected", 56, 1, "idempotent").ends_with("the first record again"));
    }

    #[test]
    fn a_run_that_is_over_is_told_with_its_counts_also_if_it_wrote_nothing() {
        let mut view = View::new("run_1", Screen::new(crate::screen::Format::Json));
        let counts = json!({"read": 0, "written": 0, "rejected": 0, "batches": 0});
        let over = view.summary(&json!({"state": "failed", "counts": counts}));
        assert_eq!(over, "run_1  failed  read 0  written 0  batches 0");
        assert_eq!(view.summary(&json!({"state": "leased", "counts": counts})), "run_1  leased");
    }

    #[test]
    fn where_a_run_stands_is_said_in_words() {
        let run = json!({"state": "leased", "agent": "eu-1", "attempt": 3, "cancelling": true});
        assert_eq!(standing(&run), "leased on eu-1 (attempt 3), cancelling");
        assert_eq!(standing(&json!({"state": "succeeded", "attempt": 1, "duration_ms": 1400})), "succeeded in 1.4 s");
    }
}
