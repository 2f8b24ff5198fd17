//! Copies of everything, and putting them back.

use std::{io::Cursor, path::Path, sync::Arc};

use futures::StreamExt;
use wherry_controller::{
    backup::{RestoreError, restore, stream},
    engine::Ledger,
};
use wherry_daemon::store::{SledStore, StoreOptions, files::FileStore};
use wherry_domain::run::State;

use crate::support::{Agent, Bench, Disk, in_flight, on_each_store, settings};

on_each_store!(
    a_copy_put_back_knows_everything_and_raises_the_generation,
    what_an_agent_did_after_the_copy_is_not_done_again_by_itself,
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
    bench.pass(std::time::Duration::from_secs(75)).await;
    assert_eq!(bench.run(run).await.stored.state, State::Unknown { agent: agent.id });
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

async fn copied(bench: &Bench) -> Vec<u8> {
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
