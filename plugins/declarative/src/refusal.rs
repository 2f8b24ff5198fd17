//! What an answer means that is a refusal, by its status or by what it says.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use wherry_manifest::{Activity, Manifest, Reset, Rule, Sort};
use wherry_sdk::http::Answer;
use wherry_sdk::json::{JsonPath, find};
use wherry_sdk::{Error, Kind, Result};

/// The longest wait that is taken from a header.
const DAY: Duration = Duration::from_secs(86_400);
/// Characters of the system's own words.
const REASON: usize = 500;

thread_local! {
    /// The activity that runs.
    static RUNNING: Cell<Option<&'static Activity>> = const { Cell::new(None) };
}

/// Remembers what runs.
pub(crate) fn note_activity(activity: &'static Activity) {
    RUNNING.set(Some(activity));
}

/// What a status other than 2xx means.
pub(crate) fn refusal(manifest: &Manifest, answer: &Answer) -> Error {
    if let Some(error) = ruled(manifest, answer) {
        return error;
    }
    let error = answer.error(answer.received_at());
    let details = details(manifest, answer);
    let exhausted = manifest.rate_limit.remaining.as_deref().and_then(|name| answer.header(name));
    let is_throttled = answer.status() == 429
        || (answer.status() == 403 && exhausted.is_some_and(|remaining| remaining.trim() == "0"));
    if is_throttled {
        let message = format!("the system answered {}: too many requests", answer.status());
        let error = Error::new(Kind::Throttled, "http.throttled", message);
        return error.after(wait(manifest, answer)).with_details(details);
    }
    error.with_details(details)
}

/// Refuses answers with a good status that a rule calls bad.
pub(crate) fn accepts(manifest: &Manifest, answer: &Answer) -> Result<()> {
    ruled(manifest, answer).map_or(Ok(()), Err)
}

fn ruled(manifest: &Manifest, answer: &Answer) -> Option<Error> {
    let own = RUNNING.get().map(|activity| activity.rules.as_slice()).unwrap_or_default();
    let rule = own.iter().chain(&manifest.errors.rules).find(|rule| fits(rule, answer))?;
    let error = Error::new(kind(rule.kind), rule.code.clone(), rule.message.clone());
    let asked = wait(manifest, answer).or(rule.retry_after.map(Duration::from_secs));
    let waits = matches!(rule.kind, Sort::Throttled | Sort::Transient);
    Some(error.after(asked.filter(|_| waits)).with_details(details(manifest, answer)))
}

fn fits(rule: &Rule, answer: &Answer) -> bool {
    if !(rule.statuses.from..=rule.statuses.to).contains(&answer.status()) {
        return false;
    }
    let Some(at) = &rule.at else {
        return rule.contains.as_ref().is_none_or(|words| answer.text().contains(words.as_str()));
    };
    let Some(found) = value_at(answer, at).filter(|value| !value.is_null()) else { return false };
    let is_equal = rule.equals.as_ref().is_none_or(|wanted| *wanted == found);
    let contains = rule.contains.as_ref().is_none_or(|words| match found.as_str() {
        Some(text) => text.contains(words.as_str()),
        None => found.to_string().contains(words.as_str()),
    });
    is_equal && contains
}

fn value_at(answer: &Answer, path: &str) -> Option<Value> {
    let text = std::str::from_utf8(answer.body()).ok()?;
    let found = find(text, &[&JsonPath::parse(path)]).ok()?.into_iter().next().flatten()?;
    serde_json::from_str(found.get()).ok()
}

/// How long the system asks to wait.
fn wait(manifest: &Manifest, answer: &Answer) -> Option<Duration> {
    let now = answer.received_at();
    let reset = || {
        let (name, reset) = manifest.rate_limit.reset.as_ref()?;
        let number: u64 = answer.header(name)?.trim().parse().ok()?;
        let seconds = match reset {
            Reset::Seconds => number,
            Reset::Time => number.saturating_sub(now),
        };
        Some(Duration::from_secs(seconds).min(DAY))
    };
    answer.retry_after(now).or_else(reset)
}

/// The answer's beginning and the system's own words, for the agent owner.
fn details(manifest: &Manifest, answer: &Answer) -> Value {
    let mut details = answer.shown();
    let reason = manifest.errors.message_at.as_deref().and_then(|path| value_at(answer, path));
    if let (Value::Object(fields), Some(reason)) = (&mut details, reason) {
        let text = reason.as_str().map_or_else(|| reason.to_string(), str::to_owned);
        fields.insert("reason".to_owned(), json!(text.chars().take(REASON).collect::<String>()));
    }
    details
}

const fn kind(sort: Sort) -> Kind {
    match sort {
        Sort::Config => Kind::Config,
        Sort::Auth => Kind::Auth,
        Sort::Forbidden => Kind::Forbidden,
        Sort::NotFound => Kind::NotFound,
        Sort::Throttled => Kind::Throttled,
        Sort::Transient => Kind::Transient,
        Sort::Data => Kind::Data,
        Sort::Unsupported => Kind::Unsupported,
    }
}
