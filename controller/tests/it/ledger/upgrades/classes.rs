//! Versions that declare an activity to be more dangerous than the one before did: what may be repeated follows them.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Map;
use wherry_controller::{engine::Call, model::RunRecord};
use wherry_domain::{
    effects::SideEffects,
    failure::{Code, Failure},
    id::RunId,
    run::Reason,
};
use wherry_proto::frame::{Attempt, Ending, FromAgent, FromController, Offer};
use wherry_trust::release::sign_release;

use super::{Shop, canary, keeper, upgrade};
use crate::support::{Agent, Disk, name, on_each_store, release, soon};

on_each_store!(
    a_run_is_not_repeated_once_its_connector_says_that_it_may_not_be,
    an_attempt_on_trial_is_as_dangerous_as_the_version_that_it_tries,
    an_action_is_not_repeated_once_its_connector_says_that_it_may_not_be,
    what_may_have_acted_before_its_connector_moved_waits_for_a_person,
    an_agent_that_knows_a_stricter_class_is_believed,
    a_test_takes_no_version_that_makes_an_activity_more_dangerous,
);

impl Shop {
    /// Publishes a version of which `upsert` is of that class.
    async fn publish_as(&self, version: &str, class: SideEffects) {
        let wasm = format!("the component of http {version}").into_bytes();
        let mut release = release("http", version, &wasm);
        release.activities.iter_mut().filter(|one| one.name == "upsert").for_each(|one| one.side_effects = class);
        let envelope = sign_release(&release, &self.key).unwrap().to_json();
        self.bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    }

    /// The process of the agent died in the middle of the attempt.
    async fn dies(&self, agent: &mut Agent, attempt: Attempt) {
        let report = agent.ended(attempt, Ending::Interrupted);
        agent.say(&self.bench, FromAgent::Result(report.clone())).await;
        agent.acknowledged(report.seq).await;
    }

    async fn offers_nothing(&self, agent: &mut Agent) {
        let heard = agent.heard(&self.bench).await;
        assert!(!heard.iter().any(|frame| matches!(frame, FromController::Offer(_))), "{heard:?}");
    }

    async fn held_for(&self, run: RunId) -> Option<Reason> {
        let RunRecord { history, .. } = self.bench.run(run).await;
        assert_eq!(self.bench.state(run).await, "unknown");
        history.last().unwrap().reason
    }
}

fn known(offer: &Offer) -> SideEffects {
    offer.side_effects.unwrap()
}

async fn a_run_is_not_repeated_once_its_connector_says_that_it_may_not_be(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish_as("1.1.0", SideEffects::Unsafe).await;
    let before = shop.bench.submit("copy").await;
    assert_eq!(shop.bench.run(before).await.side_effects(), SideEffects::Keyed);
    shop.perform(upgrade()).await.unwrap();
    let after = shop.bench.submit("copy").await;
    assert_eq!(shop.bench.run(after).await.side_effects(), SideEffects::Unsafe);
    let mut agent = keeper(&shop.bench, "pier-1").await;
    for run in [before, after] {
        let offer = agent.offer().await;
        assert_eq!((offer.attempt.run, known(&offer)), (run, SideEffects::Unsafe));
        shop.dies(&mut agent, offer.attempt).await;
        assert_eq!(shop.held_for(run).await, Some(Reason::AgentRestarted));
    }
    shop.offers_nothing(&mut agent).await;
    let shop = Shop { bench: shop.bench.restart().await, key: shop.key };
    assert_eq!(shop.bench.run(before).await.side_effects(), SideEffects::Unsafe, "a restart forgot it");
}

async fn an_attempt_on_trial_is_as_dangerous_as_the_version_that_it_tries(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut agent = keeper(&shop.bench, "pier-1").await;
    shop.publish_as("1.1.0", SideEffects::Unsafe).await;
    shop.perform(canary(100)).await.unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let run = shop.bench.submit("copy").await;
        loop {
            let offer = agent.offer().await;
            let (tries, class) = (!offer.trial.is_empty(), known(&offer));
            assert_eq!((offer.attempt.run, class == SideEffects::Unsafe), (run, tries), "{offer:?}");
            if tries && offer.attempt.fence.attempt() > 1 {
                panic!("{offer:?} was offered although an attempt of before may have acted");
            }
            if !tries && !seen.insert(false) {
                agent.succeed(&shop.bench, offer.attempt).await;
                break;
            }
            shop.dies(&mut agent, offer.attempt).await;
            if shop.bench.state(run).await == "unknown" {
                seen.insert(true);
                break;
            }
        }
    }
    assert_eq!(seen.len(), 2, "no attempt was on trial, or every one");
    shop.offers_nothing(&mut agent).await;
}

async fn an_action_is_not_repeated_once_its_connector_says_that_it_may_not_be(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish_as("1.1.0", SideEffects::Unsafe).await;
    let call = Call {
        environment: name("prod"),
        project: None,
        name: name("tracker"),
        activity: "upsert".to_owned(),
        with: Map::new(),
        records: Vec::new(),
        idempotency: None,
        who: "ada".to_owned(),
        time: Duration::from_secs(60),
    };
    let calling = soon(shop.bench.ledger.call(call)).await.unwrap();
    assert_eq!(calling.record.side_effects(), SideEffects::Keyed);
    shop.perform(upgrade()).await.unwrap();
    let mut agent = keeper(&shop.bench, "pier-1").await;
    let offer = agent.offer().await;
    assert_eq!((offer.action.is_some(), known(&offer)), (true, SideEffects::Unsafe));
    shop.dies(&mut agent, offer.attempt).await;
    assert_eq!(shop.held_for(offer.attempt.run).await, Some(Reason::AgentRestarted));
    let passed = soon(calling.over).await.unwrap();
    assert_eq!(passed.record.side_effects(), SideEffects::Unsafe, "the caller is told");
    shop.offers_nothing(&mut agent).await;
}

async fn what_may_have_acted_before_its_connector_moved_waits_for_a_person(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish_as("1.1.0", SideEffects::Unsafe).await;
    let mut gone = keeper(&shop.bench, "pier-1").await;
    let run = shop.bench.submit("copy").await;
    assert_eq!(known(&gone.offer().await), SideEffects::Keyed);
    shop.bench.ledger.close_session(gone.id, gone.epoch).await;
    shop.bench.pass(Duration::from_secs(600)).await;
    assert_eq!(shop.bench.state(run).await, "queued", "what is keyed may be repeated");
    shop.perform(upgrade()).await.unwrap();
    let mut agent = keeper(&shop.bench, "pier-2").await;
    assert_eq!(shop.held_for(run).await, Some(Reason::ClassRaised));
    // Its slot is free for others, and a person may have it repeated.
    let other = shop.bench.submit("look").await;
    let offer = agent.offer().await;
    assert_eq!(offer.attempt.run, other);
    agent.succeed(&shop.bench, offer.attempt).await;
    soon(shop.bench.ledger.retry(run, "ada".to_owned())).await.unwrap();
    let offer = agent.offer().await;
    assert_eq!((offer.attempt.run, known(&offer)), (run, SideEffects::Unsafe));
}

async fn an_agent_that_knows_a_stricter_class_is_believed(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut agent = keeper(&shop.bench, "pier-1").await;
    let run = shop.bench.submit("copy").await;
    let offer = agent.offer().await;
    assert_eq!(known(&offer), SideEffects::Keyed);
    let failure = Failure::retry(Code::new("connector.class_stricter"), "it runs on another version");
    let (attempt, side_effects) = (offer.attempt, Some(SideEffects::Unsafe));
    agent.say(&shop.bench, FromAgent::Declined { attempt, failure, side_effects }).await;
    shop.offers_nothing(&mut agent).await;
    agent.beat(&shop.bench, &[]).await;
    let offer = agent.offer().await;
    assert_eq!((offer.attempt.run, known(&offer)), (run, SideEffects::Unsafe), "it is not declined for ever");
    shop.dies(&mut agent, offer.attempt).await;
    assert_eq!(shop.held_for(run).await, Some(Reason::AgentRestarted));
}

async fn a_test_takes_no_version_that_makes_an_activity_more_dangerous(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish_as("1.1.0", SideEffects::Idempotent).await;
    shop.publish_as("1.2.0", SideEffects::Keyed).await;
    assert_eq!(shop.test().await.to.to_string(), "1.2.0");
    shop.publish_as("1.3.0", SideEffects::Idempotent).await;
    shop.publish_as("1.4.0", SideEffects::Unsafe).await;
    assert_eq!(shop.test().await.to.to_string(), "1.3.0", "what is milder may follow");
    shop.publish_as("1.5.0", SideEffects::Keyed).await;
    assert_eq!(shop.test().await.to.to_string(), "1.3.0");
    let plan = shop.plan(upgrade()).await.unwrap();
    assert_eq!(
        (plan.to.to_string().as_str(), plan.changes.side_effects.as_slice()),
        ("1.5.0", &["upsert: idempotent becomes keyed".to_owned()][..])
    );
    shop.perform(upgrade()).await.unwrap();
    assert_eq!(shop.version().await, "1.5.0");
}
