//! Tests of the journal over a store with faults.

use super::*;
use wherry_daemon::store::{MemoryStore, Store};
use wherry_domain::{fence::Fence, id::RunId, run::Outcome};
use wherry_proto::frame::{Ran, Wrapped};

#[tokio::test]
async fn runs_one_after_the_other_cost_two_commits_each_and_leave_nothing_behind() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    for run in 1..=10 {
        journal.started(attempt(run), &[], &[]).await.unwrap();
        journal.finished(ended(run), || ()).await.unwrap();
        let sent = journal.next_result(0).unwrap();
        journal.acknowledged(sent.report.seq);
    }
    assert_eq!(store.stats().commits, 20);
    assert_eq!(records(&store), 2, "the newest, and one that goes with the next commit");
}

#[tokio::test]
async fn numbers_go_on_after_a_restart_even_if_everything_was_acknowledged() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    for run in 1..=3 {
        journal.finished(ended(run), || ()).await.unwrap();
    }
    journal.acknowledged(3);
    drop(journal);
    store.crash();
    assert_eq!(open(&store).await.next_seq(), 4);
}

#[tokio::test]
async fn results_go_out_in_order_although_they_were_written_in_another() {
    let store = MemoryStore::new();
    let journal = Arc::new(open(&store).await);
    store.refuse_next(1);
    let first = journal.finished(ended(1), || ());
    tokio::pin!(first);
    // The first is refused and waits for its next try.
    assert!(futures::poll!(first.as_mut()).is_pending());
    journal.finished(ended(2), || ()).await.unwrap();
    assert_eq!(journal.next_result(0), None, "an acknowledgement of 2 would cover 1");
    first.await.unwrap();
    let sent: Vec<u64> = std::iter::successors(journal.next_result(0), |last| journal.next_result(last.report.seq))
        .map(|finished| finished.report.seq)
        .collect();
    assert_eq!(sent, [1, 2]);
}

#[tokio::test]
async fn the_result_of_a_read_is_never_written_and_gone_when_it_was_heard() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    journal.finished(ended(1), || ()).await.unwrap();
    let mut released = false;
    journal.pass_on(ended(2), || released = true);
    assert!(released);
    let sent = [journal.next_result(0).unwrap(), journal.next_result(1).unwrap()];
    assert_eq!(sent.map(|sent| (sent.report.seq, sent.report.attempt)), [(1, attempt(1)), (2, attempt(2))]);
    assert_eq!((journal.waiting().len(), store.stats().commits), (2, 1));
    journal.acknowledged(2);
    assert_eq!((journal.waiting().len(), journal.next_result(0)), (0, None));
    // What holds the highest number on the disk stays, and nothing is to be removed of what was never there.
    journal.pass_on(ended(3), || ());
    journal.forget(attempt(3));
    assert_eq!((journal.waiting().len(), journal.lock().take_pruned().len()), (0, 0));
    journal.finished(ended(4), || ()).await.unwrap();
    assert_eq!((journal.next_result(0).unwrap().report.seq, records(&store)), (4, 2));
}

#[tokio::test]
async fn a_full_disk_refuses_new_runs_and_still_takes_results() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    journal.started(attempt(1), &[], &[]).await.unwrap();
    store.set_full(true);
    assert_eq!(journal.started(attempt(2), &[], &[]).await.unwrap_err().code(), "store.full");
    journal.finished(ended(1), || ()).await.unwrap();
    assert!(journal.next_result(0).is_some());
}

#[tokio::test]
async fn what_a_dead_process_had_begun_is_a_result_and_what_it_had_finished_is_sent_again() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    journal.started(attempt(1), &[], &[]).await.unwrap();
    journal.finished(ended(2), || ()).await.unwrap();
    drop(journal);
    store.crash();
    let (journal, found) = Journal::open(Arc::new(store.clone()), 1).await.unwrap();
    assert_eq!(found, Found { finished: 1, interrupted: 1, unreadable: 0 });
    let finished = journal.next_result(0).unwrap();
    assert_eq!((finished.report.seq, finished.report.attempt), (1, attempt(2)));
    let interrupted = journal.next_result(1).unwrap();
    assert_eq!((interrupted.report.seq, &interrupted.report.ending), (2, &Ending::Interrupted));
    assert_eq!(journal.waiting().len(), 2);
}

#[tokio::test]
async fn what_an_attempt_tried_is_said_also_after_the_end_of_its_process() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    let tried = vec!["http".parse().unwrap()];
    let ran = vec![Ran { connector: "http".parse().unwrap(), version: "1.1.0".parse().unwrap() }];
    journal.started(attempt(1), &tried, &ran).await.unwrap();
    journal.finished(Ended { trial: tried.clone(), ran: Some(ran.clone()), ..ended(2) }, || ()).await.unwrap();
    drop(journal);
    store.crash();
    let journal = open(&store).await;
    let reports = [journal.next_result(0).unwrap(), journal.next_result(1).unwrap()];
    assert_eq!(reports[1].report.ending, Ending::Interrupted);
    let said = |one: &Arc<Finished>| one.report.trial == tried && one.report.ran.as_ref() == Some(&ran);
    assert!(reports.iter().all(said), "{reports:?}");
}

#[tokio::test]
async fn a_store_that_lost_its_past_does_not_hand_out_a_number_twice() {
    let (journal, _) = Journal::open(Arc::new(MemoryStore::new()), 1_000_000).await.unwrap();
    journal.finished(ended(1), || ()).await.unwrap();
    assert_eq!(journal.next_result(0).unwrap().report.seq, 1_000_000);
}

#[tokio::test]
async fn a_dropped_attempt_is_forgotten_with_the_next_commit() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    journal.started(attempt(1), &[], &[]).await.unwrap();
    journal.forget(attempt(1));
    journal.finished(ended(2), || ()).await.unwrap();
    drop(journal);
    let (_, found) = Journal::open(Arc::new(store), 1).await.unwrap();
    assert_eq!(found, Found { finished: 1, ..Found::default() });
}

#[tokio::test]
async fn a_log_beyond_all_bounds_keeps_its_end_and_fits_into_the_store() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    let line = |n: usize| LogLine { at_ms: 0, level: "info".into(), text: format!("{n} {}", "\u{1}".repeat(2_000)) };
    let log = (0..200).map(line).collect();
    let cursor = Some("\"".repeat(16 << 10));
    journal.finished(Ended { log, cursor, ..ended(1) }, || ()).await.unwrap();
    let kept = journal.next_result(0).unwrap();
    assert!(kept.report.log.last().unwrap().text.starts_with("199 "));
}

#[tokio::test]
async fn what_connections_remember_waits_with_its_result_and_goes_with_it() {
    let store = MemoryStore::new();
    let journal = open(&store).await;
    let state = |name: &str| ConnectionState {
        connection: name.parse().unwrap(),
        state: Wrapped(vec![0xff; wherry_proto::MAX_STATE]),
        base: None,
    };
    let states = vec![state("desk"), state("tracker")];
    let cursor = Some("\"".repeat(wherry_proto::MAX_POSITION));
    journal.finished(Ended { states: states.clone(), cursor: cursor.clone(), ..ended(1) }, || ()).await.unwrap();
    drop(journal);
    store.crash();
    let journal = open(&store).await;
    let kept = journal.next_result(0).unwrap();
    assert_eq!((&kept.report.states, &kept.cursor), (&states, &cursor));
    journal.acknowledged(1);
    for run in 2..=3 {
        journal.finished(ended(run), || ()).await.unwrap();
    }
    assert_eq!(store.scan(STATES, &[], None, Direction::Ascending, 100).unwrap(), []);
}

fn attempt(run: u128) -> Attempt {
    Attempt { run: RunId::from_u128(run), fence: Fence::from_bits(1) }
}

fn ended(run: u128) -> Ended {
    Ended {
        attempt: attempt(run),
        ending: Ending::Ended(Outcome::Succeeded),
        counts: Counts::default(),
        earlier: Counts::default(),
        duration: Duration::from_millis(5),
        log: Vec::new(),
        cursor: None,
        states: Vec::new(),
        trial: Vec::new(),
        ran: Some(Vec::new()),
    }
}

async fn open(store: &MemoryStore) -> Journal {
    Journal::open(Arc::new(store.clone()), 1).await.unwrap().0
}

fn records(store: &MemoryStore) -> usize {
    store.scan(ATTEMPTS, &[], None, Direction::Ascending, 100).unwrap().len()
}
