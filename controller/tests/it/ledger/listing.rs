//! Lists of runs in parts: complete, in order, without repetition.

use std::collections::BTreeSet;

use wherry_controller::engine::RunFilter;
use wherry_domain::id::RunId;

use crate::support::{Agent, Bench, Disk, name, on_each_store};

on_each_store!(
    finished_and_active_runs_are_listed_in_one_order_whatever_their_share,
    a_filter_that_matches_little_finds_it_all,
);

async fn finished_and_active_runs_are_listed_in_one_order_whatever_their_share(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut all = BTreeSet::new();
    // Old ones that still wait, newer ones that are over, then every second one.
    for n in 0..250 {
        let run = bench.submit("look").await;
        all.insert(run);
        if (80..180).contains(&n) || n % 2 == 0 && n >= 180 {
            bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
        }
    }
    let newest_first: Vec<RunId> = all.iter().rev().copied().collect();
    for limit in [1, 7, 50, 100, 200] {
        assert_eq!(listed(&bench, &RunFilter::default(), limit).await, newest_first, "in parts of {limit}");
    }
    let waiting = RunFilter { state: Some("queued".to_owned()), ..RunFilter::default() };
    assert_eq!(listed(&bench, &waiting, 50).await.len(), 80 + 35);
}

async fn a_filter_that_matches_little_finds_it_all(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let mut wanted = Vec::new();
    for n in 0..60 {
        let operation = if n % 20 == 0 { "post" } else { "look" };
        let run = bench.submit(operation).await;
        let attempt = agent.offer().await.attempt;
        agent.succeed(&bench, attempt).await;
        if operation == "post" {
            wanted.insert(0, run);
        }
    }
    let filter = RunFilter { operation: Some(name("post")), environment: Some(name("prod")), state: None };
    assert_eq!(listed(&bench, &filter, 2).await, wanted);
    let none = RunFilter { state: Some("unknown".to_owned()), ..RunFilter::default() };
    assert_eq!(listed(&bench, &none, 2).await, []);
    let nowhere = RunFilter { environment: Some(name("nowhere")), ..RunFilter::default() };
    let refused = bench.ledger.runs(nowhere, None, 2).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "environment.not_found");
}

/// Every run that a person turning pages gets to see.
async fn listed(bench: &Bench, filter: &RunFilter, limit: usize) -> Vec<RunId> {
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = bench.ledger.runs(filter.clone(), before, limit).await.unwrap();
        assert!(page.items.len() <= limit);
        seen.extend(page.items.iter().map(|record| record.spec.id));
        match page.next {
            Some(next) => {
                assert!(before.is_none_or(|before| next < before), "the pages go in a circle");
                before = Some(next);
            }
            None => return seen,
        }
    }
}
