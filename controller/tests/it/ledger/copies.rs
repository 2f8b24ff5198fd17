//! Copies of everything, and putting them back.

use std::{io::Cursor, path::Path, sync::Arc, time::Duration};

use futures::StreamExt;
use tempfile::TempDir;
use wherry_controller::{
    backup::{RestoreError, restore, stream},
    engine::Ledger,
};
use wherry_daemon::store::{SledStore, StoreOptions, files::FileStore};
use wherry_domain::run::{Outcome, State};
use wherry_proto::frame::{Decision, FromAgent, InFlight, Stage};

use crate::support::{Agent, Bench, Disk, failed, in_flight, on_each_store, settings};

/// How long a restored controller waits for agents to tell what they did.
const RETURN: Duration = Duration::from_secs(150);

on_each_store!(
    a_copy_put_back_knows_everything_and_raises_the_generation,
    what_an_agent_did_after_the_copy_is_not_done_again_by_itself,
    what_was_dispatched_and_done_after_the_copy_is_taken_from_the_agents_word,
    what_was_dispatched_after_the_copy_and_is_under_way_goes_on,
    what_was_queued_in_the_copy_and_nobody_has_is_dispatched_in_the_end,
    a_word_about_a_run_that_was_dispatched_since_the_restore_comes_too_late,
    a_copy_that_was_cut_or_changed_is_refused_and_nothing_is_overwritten,
);

async fn a_copy_put_back_knows_everything_and_raises_the_generation(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let (leased, waiting) = (bench.submit("copy").await, bench.submit("look").await);
    let attempt = agent.offer().await.attempt;
    let copy = copied(&bench).await;

    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &mut Cursor::new(&copy)).unwrap();
    let bench = opened(&bench, folder.path());
    let (deployment, snapshot) = bench.ledger.operations("prod".parse().unwrap()).await.unwrap().remove(0);
    assert_eq!((deployment.number, snapshot.project.operations.len()), (1, 6));
    assert_eq!(bench.ledger.connectors(None).await.unwrap().len(), 1);
    let connector = bench.ledger.connectors(None).await.unwrap()[0].digest;
    assert!(bench.ledger.files.read(&connector).unwrap().is_some(), "the component is not in the copy");
    let welcome = agent.connect(&bench, &in_flight(attempt)).await;
    assert_eq!(welcome.epoch >> 32, 1);
    agent.succeed(&bench, attempt).await;
    assert_eq!(bench.state(leased).await, "succeeded");
    bench.pass(RETURN).await;
    agent.connect(&bench, &[]).await;
    let next = agent.offer().await.attempt;
    assert_eq!((next.run, next.fence.generation()), (waiting, 1));
    assert!(next.fence > attempt.fence);

    let again = tempfile::tempdir().unwrap();
    restore(again.path(), &mut Cursor::new(copied(&bench).await)).unwrap();
    let bench = opened(&bench, again.path());
    assert_eq!(agent.connect(&bench, &[]).await.epoch >> 32, 2);
}

async fn what_an_agent_did_after_the_copy_is_not_done_again_by_itself(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    let copy = copied(&bench).await;
    agent.succeed(&bench, attempt).await;

    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &mut Cursor::new(&copy)).unwrap();
    let bench = opened(&bench, folder.path());
    // The agent has forgotten what was acknowledged; the restored controller never heard of it.
    agent.connect(&bench, &[]).await;
    assert_eq!(agent.heard(&bench).await, [], "done twice");
    bench.pass(RETURN).await;
    assert_eq!(bench.run(run).await.stored.state, State::Unknown { agent: agent.id });
}

async fn what_was_dispatched_and_done_after_the_copy_is_taken_from_the_agents_word(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::enrol(&bench, "pier-1", 3).await;
    let runs = [bench.submit("post").await, bench.submit("copy").await, bench.submit("copy").await];
    let copy = copied(&bench).await;
    agent.connect(&bench, &[]).await;
    let mut reports = Vec::new();
    for outcome in [Outcome::Succeeded, Outcome::Succeeded, failed()] {
        let attempt = agent.offer().await.attempt;
        let report = agent.report(&bench, attempt, outcome).await;
        agent.acknowledged(report.seq).await;
        reports.push(report);
    }
    let (_folder, bench) = restored(&bench, &copy);
    let mut other = Agent::online(&bench, "pier-2", 4).await;
    let welcome = agent.connect(&bench, &[]).await;
    assert_eq!(welcome.epoch >> 32, 1);
    for report in &reports {
        agent.say(&bench, FromAgent::Result(report.clone())).await;
    }
    bench.settle().await;
    let states = [bench.state(runs[0]).await, bench.state(runs[1]).await, bench.state(runs[2]).await];
    assert_eq!(states, ["succeeded", "succeeded", "failed"]);
    assert_eq!(bench.run(runs[0]).await.counts.written, 3);
    bench.pass(RETURN).await;
    other.connect(&bench, &[]).await;
    assert_eq!(other.heard(&bench).await, [], "done twice");
}

async fn what_was_dispatched_after_the_copy_and_is_under_way_goes_on(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 2).await;
    agent.slots = 0;
    agent.connect(&bench, &[]).await;
    let (keyed, unsafe_run) = (bench.submit("copy").await, bench.submit("post").await);
    let copy = copied(&bench).await;
    agent.slots = 2;
    agent.connect(&bench, &[]).await;
    let (first, second) = (agent.offer().await.attempt, agent.offer().await.attempt);
    let (_folder, bench) = restored(&bench, &copy);
    let named = [first, second].map(|attempt| InFlight { attempt, stage: Stage::Started });
    let welcome = agent.connect(&bench, &named).await;
    assert_eq!(welcome.verdicts, [(first, Decision::Keep), (second, Decision::Keep)]);
    bench.pass(Duration::from_secs(20)).await;
    agent.beat(&bench, &named).await;
    agent.succeed(&bench, first).await;
    bench.pass(RETURN).await;
    assert_eq!((bench.state(keyed).await, bench.state(unsafe_run).await), ("succeeded", "unknown"));
}

async fn what_was_queued_in_the_copy_and_nobody_has_is_dispatched_in_the_end(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let run = bench.submit("copy").await;
    let copy = copied(&bench).await;
    let (_folder, bench) = restored(&bench, &copy);
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    assert_eq!(agent.heard(&bench).await, [], "nobody else had the time to speak up");
    let fresh = bench.submit("copy").await;
    let attempt = agent.offer().await.attempt;
    assert_eq!(attempt.run, fresh, "a run of this life waits for nobody");
    agent.succeed(&bench, attempt).await;
    bench.pass(RETURN).await;
    agent.connect(&bench, &[]).await;
    assert_eq!(agent.offer().await.attempt.run, run);
}

async fn a_word_about_a_run_that_was_dispatched_since_the_restore_comes_too_late(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut late = Agent::online(&bench, "pier-1", 1).await;
    late.slots = 0;
    late.connect(&bench, &[]).await;
    let run = bench.submit("copy").await;
    let copy = copied(&bench).await;
    late.slots = 1;
    late.connect(&bench, &[]).await;
    let first = late.offer().await.attempt;
    let (_folder, bench) = restored(&bench, &copy);
    bench.pass(RETURN).await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    let second = other.offer().await.attempt;
    assert_eq!((second.run, second.fence.generation()), (run, 1));
    assert_eq!(late.connect(&bench, &in_flight(first)).await.verdicts, [(first, Decision::Drop)]);
    late.succeed(&bench, first).await;
    assert_eq!(bench.run(run).await.late_results, 1);
    other.succeed(&bench, second).await;
    assert_eq!(bench.run(run).await.agent, Some(other.id));
}

async fn a_copy_that_was_cut_or_changed_is_refused_and_nothing_is_overwritten(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let copy = copied(&bench).await;
    for length in [0, 3, 16, 17, 60, copy.len() / 2, copy.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        assert!(restore(folder.path(), &mut Cursor::new(&copy[..length])).is_err(), "{length} bytes");
    }
    for at in (0..copy.len()).step_by(copy.len() / 40) {
        let mut changed = copy.clone();
        changed[at] ^= 1;
        let folder = tempfile::tempdir().unwrap();
        assert!(restore(folder.path(), &mut Cursor::new(&changed)).is_err(), "byte {at} of {}", copy.len());
    }
    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &mut Cursor::new(&copy)).unwrap();
    let taken = restore(folder.path(), &mut Cursor::new(&copy)).unwrap_err();
    assert!(matches!(taken, RestoreError::NotEmpty(_)), "{taken}");
}

/// The ledger that a copy becomes.
pub(super) fn restored(bench: &Bench, copy: &[u8]) -> (TempDir, Bench) {
    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), &mut Cursor::new(copy)).unwrap();
    let bench = opened(bench, folder.path());
    (folder, bench)
}

pub(super) async fn copied(bench: &Bench) -> Vec<u8> {
    let pieces: Vec<_> = stream(&bench.ledger).collect().await;
    pieces.into_iter().flat_map(|piece| piece.unwrap()).collect()
}

/// The ledger in a data folder, under the same clock.
fn opened(bench: &Bench, folder: &Path) -> Bench {
    let options = StoreOptions { reserve_bytes: 0, ..StoreOptions::new(folder.join("store")) };
    let store = Arc::new(SledStore::open(options).unwrap().0);
    let files = Arc::new(FileStore::open(folder.join("files")).unwrap());
    let opened = Ledger::open(store, files, bench.clock.clone(), settings()).unwrap();
    bench.beside(opened)
}
