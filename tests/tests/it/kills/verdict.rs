//! Looking at everything that was acknowledged: is it there, did it end once, did it happen once?

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::json;
use wherry_tests::world::{Ledger, Run, World};

use super::load::Book;

/// Requests at the desk, each of which every copy makes an issue of.
pub(super) const RECORDS: usize = 2;

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) acknowledged: u64,
    pub(crate) lost: Vec<String>,
    pub(crate) twice: Vec<String>,
}

/// Looks at what `book` holds. Runs up to `checked` were looked at before.
pub(super) async fn examine(world: &World, book: &Book, checked: &mut Option<String>) -> Result<Found> {
    let mut found = Found { acknowledged: book.len() as u64, ..Found::default() };
    let all = all_over(world, checked.as_deref(), &mut found).await?;
    let by_id: BTreeMap<&str, &Run> = all.iter().map(|run| (run.id.as_str(), run)).collect();
    for (id, seen) in book {
        match by_id.get(id.as_str()) {
            Some(run) => check_end(seen.as_ref(), run, &mut found),
            None => found.lost.push(format!("{id} was acknowledged and is gone")),
        }
    }
    check_keys_and_followers(book, &all, &mut found);
    check_effects(&by_id, &world.sandbox.ledger().await?, &mut found);
    // A suite in which nothing works loses nothing either.
    let succeeded = all.iter().filter(|run| run.state == "succeeded").count();
    ensure!(succeeded * 4 >= all.len() * 3, "only {succeeded} of {} runs succeeded", all.len());
    *checked = all.first().map(|run| run.id.clone()).or_else(|| checked.take());
    Ok(found)
}

/// Every run since the last look, once all of them are over. One that nobody can tell about is called off.
async fn all_over(world: &World, checked: Option<&str>, found: &mut Found) -> Result<Vec<Run>> {
    let mut held = BTreeSet::new();
    loop {
        let all = since(world, checked).await?;
        let Some(open) = all.iter().find(|run| !run.is_over()) else { return Ok(all) };
        if open.state == "unknown" {
            if open.operation != "copy-unsafe" {
                found.lost.push(format!("{} may be repeated and is held: {open:?}", open.id));
            }
            world.api.post(&format!("/v1/runs/{}/cancel", open.id), &json!({})).await?.accepted()?;
            ensure!(held.insert(open.id.clone()), "it cannot be called off: {open:?}");
        } else {
            let answer = world.api.get(&format!("/v1/runs/{}?wait_ms=45000", open.id)).await?;
            let now = Run::read(answer.accepted()?)?;
            ensure!(now.is_over() || now.state == "unknown", "a run does not end: {now:?}");
        }
    }
}

/// The run ended as its caller saw it end.
fn check_end(seen: Option<&Run>, run: &Run, found: &mut Found) {
    if let Some(seen) = seen.filter(|seen| !same_end(seen, run)) {
        found.twice.push(format!("{} ended as {seen:?} and then as {run:?}", run.id));
    }
}

/// A late result may be noted; nothing else of a run that is over may change.
fn same_end(one: &Run, other: &Run) -> bool {
    let end = |run: &Run| (run.state.clone(), run.attempt, run.agent.clone(), run.counts, run.failure.clone());
    end(one) == end(other)
}

/// Every run since the last look, newest first.
pub(super) async fn since(world: &World, checked: Option<&str>) -> Result<Vec<Run>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = world.api.get(&format!("/v1/runs?limit=200{cursor}")).await?.accepted()?;
        let items: Vec<Run> = serde_json::from_value(page["items"].take())?;
        for run in items {
            if Some(run.id.as_str()) == checked {
                return Ok(all);
            }
            all.push(run);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

/// One run for each key, and one that follows for each success that wants one.
fn check_keys_and_followers(book: &Book, all: &[Run], found: &mut Found) {
    let mut followers: BTreeMap<&str, usize> = BTreeMap::new();
    for run in all {
        match &run.caused_by {
            Some(cause) => *followers.entry(cause).or_default() += 1,
            None if !book.contains_key(&run.id) => {
                found.twice.push(format!("{} was made of a key that became another run: {run:?}", run.id));
            }
            None => {}
        }
    }
    for run in all {
        let got = followers.get(run.id.as_str()).copied().unwrap_or_default();
        let wanted = usize::from(run.operation == "chain" && run.state == "succeeded");
        if got > wanted {
            found.twice.push(format!("{} was followed by {got} runs: {run:?}", run.id));
        } else if got < wanted {
            found.lost.push(format!("{} was not followed: {run:?}", run.id));
        }
    }
}

/// Every record of a success arrived, with one key, and what may not be repeated was not even tried twice.
fn check_effects(runs: &BTreeMap<&str, &Run>, ledger: &Ledger, found: &mut Found) {
    let ours = |id: &&String| id.split_once('/').is_some_and(|(run, _)| runs.contains_key(run));
    found.twice.extend(ledger.duplicates.keys().filter(ours).map(|id| format!("{id} became several issues")));
    let mut keys: BTreeMap<&str, BTreeSet<Option<&String>>> = BTreeMap::new();
    let mut arrived: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &ledger.entries {
        let Some((id, (run, _))) = entry.external_id.as_ref().and_then(|id| Some((id, id.split_once('/')?))) else {
            continue;
        };
        let Some(end) = runs.get(run) else { continue };
        keys.entry(id).or_default().insert(entry.idempotency_key.as_ref());
        *arrived.entry(run).or_default() += usize::from(entry.outcome == "created");
        if end.operation == "copy-unsafe" && entry.outcome != "created" {
            found.twice.push(format!("{id} was sent twice by an unsafe run: {end:?}"));
        }
    }
    found.twice.extend(
        keys.iter().filter(|(_, keys)| keys.len() > 1).map(|(id, _)| format!("{id} was sent with several keys")),
    );
    for (id, run) in runs.iter().filter(|(_, run)| run.state == "succeeded" && run.operation != "after") {
        let issues = arrived.get(id).copied().unwrap_or_default();
        if issues != RECORDS {
            found.lost.push(format!("{id} succeeded with {issues} of {RECORDS} issues: {run:?}"));
        }
    }
}

#[test]
fn whatever_is_lost_or_happens_twice_is_noticed() {
    let chain = run("run_1", "chain", "succeeded", None);
    let follower = run("run_2", "after", "succeeded", Some("run_1"));
    let once = run("run_3", "copy-unsafe", "cancelled", None);
    let book = Book::from([chain.clone(), once.clone()].map(|run| (run.id.clone(), Some(run))));
    let good = json!([
        { "outcome": "created", "idempotency_key": "a", "external_id": "run_1/1" },
        { "outcome": "created", "idempotency_key": "b", "external_id": "run_1/2" },
        { "outcome": "created", "idempotency_key": "c", "external_id": "run_3/1" },
    ]);
    let judge = |runs: &[Run], entries: &serde_json::Value, duplicates: &serde_json::Value| {
        let ledger = json!({ "created": 0, "replayed": 0, "duplicates": duplicates, "entries": entries });
        let mut found = Found::default();
        let by_id = runs.iter().map(|run| (run.id.as_str(), run)).collect();
        runs.iter()
            .filter(|run| book.contains_key(&run.id))
            .for_each(|run| check_end(book[&run.id].as_ref(), run, &mut found));
        check_keys_and_followers(&book, runs, &mut found);
        check_effects(&by_id, &serde_json::from_value(ledger).unwrap(), &mut found);
        (found.lost.len(), found.twice.len())
    };
    let all = [chain.clone(), follower.clone(), once.clone()];
    assert_eq!(judge(&all, &good, &json!({})), (0, 0));
    // The run that should follow is missing, or there twice; a key became two runs; an end changed.
    assert_eq!(judge(&[chain.clone(), once.clone()], &good, &json!({})), (1, 0));
    let again = Run { id: "run_4".to_owned(), ..follower.clone() };
    assert_eq!(judge(&[&all[..], &[again]].concat(), &good, &json!({})), (0, 1));
    let extra = run("run_5", "copy-keyed", "cancelled", None);
    assert_eq!(judge(&[&all[..], &[extra]].concat(), &good, &json!({})), (0, 1));
    let changed = Run { attempt: 2, ..once };
    assert_eq!(judge(&[chain, follower, changed], &good, &json!({})), (0, 1));
    // A record is missing, there twice, sent with two keys, or sent again by an unsafe run.
    let entries = good.as_array().unwrap();
    let more = |outcome: &str, key: &str, id: &str| {
        let entry = json!({ "outcome": outcome, "idempotency_key": key, "external_id": id });
        json!([entries.as_slice(), &[entry]].concat())
    };
    assert_eq!(judge(&all, &json!(entries[1..]), &json!({})), (1, 0));
    assert_eq!(judge(&all, &good, &json!({ "run_1/1": 2 })), (0, 1));
    assert_eq!(judge(&all, &more("replayed", "z", "run_1/1"), &json!({})), (0, 1));
    assert_eq!(judge(&all, &more("replayed", "c", "run_3/1"), &json!({})), (0, 1));
}

fn run(id: &str, operation: &str, state: &str, cause: Option<&str>) -> Run {
    let counts = json!({ "read": 2, "written": 2, "rejected": 0, "batches": 1 });
    Run::read(json!({
        "id": id, "operation": operation, "state": state, "attempt": 1, "agent": "eu-1", "counts": counts, "last_attempt": counts,
        "caused_by": cause, "late_results": 0, "history": [],
    }))
    .unwrap()
}
