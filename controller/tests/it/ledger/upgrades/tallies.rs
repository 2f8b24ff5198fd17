//! What counts in a canary, and for which side.

use std::time::Duration;

use wherry_controller::engine::Wish;
use wherry_domain::run::Outcome;
use wherry_proto::frame::{Ending, FromAgent, Offer, Ran};

use super::{Shop, broken, canary, keeper, version};
use crate::support::{Agent, Disk, failed, name, on_each_store};

on_each_store!(
    what_never_began_counts_for_no_side,
    what_ran_on_a_third_version_counts_for_no_side,
    a_late_result_of_the_canary_before_counts_for_no_side,
    an_agent_that_names_no_versions_is_believed_about_what_was_given_to_it_since,
);

impl Shop {
    /// The version that an agent with everything ready runs an offer on.
    async fn ran(&self, offer: &Offer) -> Vec<Ran> {
        let (lock, connector) = (self.lock().await, name("http"));
        let entries = if offer.trial.contains(&connector) { &lock.trials } else { &lock.connectors };
        vec![Ran { version: entries[&connector].version.clone(), connector }]
    }

    /// As many attempts, each on the version that the controller draws for it; how many tried the new one.
    pub(super) async fn attempts(&self, agent: &mut Agent, count: usize, ends: impl Fn(&Offer) -> Outcome) -> usize {
        let mut tried = 0;
        for _ in 0..count {
            self.bench.submit("look").await;
            let offer = agent.offer().await;
            tried += offer.trial.len();
            let outcome = ends(&offer);
            let mut report = agent.ended(offer.attempt, Ending::Ended(outcome));
            report.ran = Some(self.ran(&offer).await);
            report.trial = offer.trial;
            agent.say(&self.bench, FromAgent::Result(report.clone())).await;
            agent.acknowledged(report.seq).await;
        }
        tried
    }

    /// Attempts that count: on the old version, and on the new one.
    async fn tally(&self) -> (u32, u32) {
        let stored = self.canary().await.stored;
        (stored.old.attempts, stored.new.attempts)
    }

    async fn next(&self, agent: &mut Agent) -> Offer {
        self.bench.submit("look").await;
        agent.offer().await
    }

    /// The next attempt that takes part in the trial, or does not; the others succeed without saying on what.
    async fn next_of(&self, agent: &mut Agent, trial: bool) -> Offer {
        for _ in 0..100 {
            let offer = self.next(agent).await;
            if offer.trial.is_empty() != trial {
                return offer;
            }
            self.ends(agent, &offer, Outcome::Succeeded, Some(Vec::new())).await;
        }
        panic!("none of a hundred attempts was drawn");
    }

    async fn ends(&self, agent: &mut Agent, offer: &Offer, outcome: Outcome, ran: Option<Vec<Ran>>) {
        let mut report = agent.ended(offer.attempt, Ending::Ended(outcome));
        // Only who ran on the trial says so.
        report.trial = offer.trial.iter().filter(|_| ran.as_ref().is_none_or(|ran| !ran.is_empty())).cloned().collect();
        report.ran = ran;
        agent.say(&self.bench, FromAgent::Result(report.clone())).await;
        agent.acknowledged(report.seq).await;
    }
}

fn on(text: &str) -> Option<Vec<Ran>> {
    Some(vec![Ran { connector: name("http"), version: version(text).unwrap() }])
}

/// A canary of 1.1.0, and an agent that takes part.
async fn trying(disk: Disk) -> (Shop, Agent) {
    let shop = Shop::open(disk).await;
    let agent = keeper(&shop.bench, "pier-1").await;
    shop.publish("1.1.0").await;
    shop.perform(canary(100)).await.unwrap();
    (shop, agent)
}

async fn what_never_began_counts_for_no_side(disk: Disk) {
    let (shop, mut agent) = trying(disk).await;
    for trial in [true, false] {
        let offer = shop.next_of(&mut agent, trial).await;
        shop.ends(&mut agent, &offer, failed(), Some(Vec::new())).await;
    }
    assert_eq!(shop.tally().await, (0, 0));
    // What can for good not be made ready is a failure of its version.
    let offer = shop.next_of(&mut agent, true).await;
    shop.ends(&mut agent, &offer, broken(&offer), on("1.1.0")).await;
    assert_eq!(shop.tally().await, (0, 1));
    // The trial was still being made ready, and the attempt ran on what everybody has.
    let offer = shop.next_of(&mut agent, true).await;
    shop.ends(&mut agent, &offer, Outcome::Succeeded, on("1.0.0")).await;
    assert_eq!(shop.tally().await, (1, 1));
    assert_eq!(shop.canary().await.stored.new.failed, 1);
}

async fn what_ran_on_a_third_version_counts_for_no_side(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut agent = keeper(&shop.bench, "pier-1").await;
    shop.publish("1.1.0").await;
    shop.perform(canary(100)).await.unwrap();
    let offer = shop.next_of(&mut agent, false).await;
    shop.ends(&mut agent, &offer, Outcome::Succeeded, on("0.9.0")).await;
    assert_eq!(shop.tally().await, (0, 0), "an agent went back to what it had before");
}

fn canary_of(text: &str) -> Wish {
    let Wish::Upgrade { canary, .. } = canary(100) else { panic!("a canary is an upgrade") };
    Wish::Upgrade { version: version(text), canary }
}

async fn a_late_result_of_the_canary_before_counts_for_no_side(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut agent = keeper(&shop.bench, "pier-1").await;
    shop.publish("1.1.0").await;
    shop.publish("1.2.0").await;
    // The last ones name no versions, and the very last runs on what the second canary tries, under the first one.
    let late = [(true, on("1.1.0")), (false, on("1.0.0")), (true, None), (false, None), (true, on("1.2.0"))];
    for (trial, ran) in late {
        shop.perform(canary_of("1.1.0")).await.unwrap();
        let offer = shop.next_of(&mut agent, trial).await;
        shop.perform(Wish::Rollback { version: None }).await.unwrap();
        shop.perform(Wish::Unpin).await.unwrap();
        shop.bench.pass(Duration::from_secs(1)).await;
        shop.perform(canary_of("1.2.0")).await.unwrap();
        shop.ends(&mut agent, &offer, Outcome::Succeeded, ran.clone()).await;
        assert_eq!(shop.tally().await, (0, 0), "{trial} {ran:?}");
        // Nor does what is given out since, of a version that this canary does not try.
        let offer = shop.next_of(&mut agent, true).await;
        shop.ends(&mut agent, &offer, Outcome::Succeeded, on("1.1.0")).await;
        assert_eq!(shop.tally().await, (0, 0));
        let offer = shop.next_of(&mut agent, true).await;
        shop.ends(&mut agent, &offer, Outcome::Succeeded, on("1.2.0")).await;
        assert_eq!(shop.tally().await, (0, 1));
        shop.perform(Wish::Rollback { version: None }).await.unwrap();
        shop.perform(Wish::Unpin).await.unwrap();
        shop.bench.pass(Duration::from_secs(1)).await;
    }
}

async fn an_agent_that_names_no_versions_is_believed_about_what_was_given_to_it_since(disk: Disk) {
    let (shop, mut agent) = trying(disk).await;
    for trial in [true, false] {
        let offer = shop.next_of(&mut agent, trial).await;
        shop.ends(&mut agent, &offer, Outcome::Succeeded, None).await;
    }
    assert_eq!(shop.tally().await, (1, 1));
}
