//! Several agents with one connection.

use super::hub::{Hub, Member};
use super::rig::path;
use super::*;
use wherry_agent::auth::Source;

#[tokio::test]
async fn five_agents_and_a_hundred_rounds_use_no_refresh_token_twice() {
    let world = World::new(5).await;
    for round in 1..=100_usize {
        let tokens = futures::future::join_all(world.members.iter().map(|(_, source)| settled(source))).await;
        let newest = format!("at.1.{round}");
        assert!(tokens.iter().all(|token| *token == newest), "round {round}: {tokens:?}");
        world.members[0].0.hand.advance(HOUR + HOUR);
    }
    let state = world.provider.lock();
    assert_eq!((state.asked, state.revoked), (100, 0));
}

#[tokio::test]
async fn the_next_owner_goes_on_with_the_newest_copy() {
    let world = World::new(3).await;
    for round in 1..=9_usize {
        // Whoever asks first after the owner is lost has the connection.
        let first = &world.members[round % 3].1;
        assert_eq!(settled(first).await, format!("at.1.{round}"));
        // The given values are the first generation.
        let published = || world.hub.generation(&path()) == round as u64 + 1;
        eventually("the copy of the newest generation", published).await;
        world.hub.release(&path());
        world.members[0].0.hand.advance(HOUR + HOUR);
    }
    assert_eq!(world.provider.counts(), (9, 0));
}

#[tokio::test]
async fn an_agent_without_its_controller_refreshes_only_what_it_still_owns() {
    let world = World::new(2).await;
    let ((first, source), (_, other)) = (&world.members[0], &world.members[1]);
    assert_eq!(settled(source).await, "at.1.1");
    assert_eq!(settled(other).await, "at.1.1");
    world.offline(true);
    first.hand.advance(HOUR + HOUR);
    assert_eq!(token(source).await.unwrap_err(), "oauth.owner_elsewhere", "its term is over");
    assert_eq!(token(other).await.unwrap_err(), "oauth.owner_elsewhere");
    assert_eq!(world.provider.lock().asked, 1);
    world.offline(false);
    first.hand.advance(HOUR);
    assert_eq!(settled(source).await, "at.1.2");
    assert_eq!(world.provider.lock().revoked, 0);
}

#[tokio::test]
async fn an_older_copy_replaces_nothing() {
    let world = World::new(1).await;
    let (agent, source) = &world.members[0];
    assert_eq!(settled(source).await, "at.1.1");
    eventually("its copy", || world.hub.generation(&path()) == 2).await;
    let old = world.hub.copy(&path());
    world.hub.overtake(&path(), 2, old);
    agent.hand.advance(HOUR + HOUR);
    assert_eq!(settled(source).await, "at.1.2");
    eventually("its word to the group", || !world.hub.overtakes(&path())).await;
    for round in 3..6 {
        assert_eq!(settled(source).await, format!("at.1.{}", round - 1));
        agent.hand.advance(HOUR + HOUR);
    }
    assert_eq!(world.provider.lock().revoked, 0);
}

#[tokio::test]
async fn a_refresh_token_goes_to_no_other_provider_than_its_own() {
    let world = World::new(2).await;
    let ((first, source), (second, _)) = (&world.members[0], &world.members[1]);
    assert_eq!(settled(source).await, "at.1.1");
    eventually("its copy", || world.hub.generation(&path()) == 2).await;
    // The other one has another deployment already, and makes the next tokens at its provider.
    let next = Provider::start().await;
    let url = next.system.url();
    next.consent();
    let given = next.consent();
    second.set("refresh", &given);
    world.hub.release(&path());
    let other = second.source(&url, refreshed(&url)).unwrap();
    assert_eq!(settled(&other).await, "at.2.1");
    eventually("its copy", || world.hub.generation(&path()) == 4).await;
    world.hub.release(&path());
    first.hand.advance(HOUR + HOUR);
    assert_eq!(token(source).await.unwrap_err(), "oauth.settings_invalid");
    assert!(world.provider.lock().uses.keys().all(|token| token == "rt.1.0"), "{:?}", world.provider.lock().uses);
}

struct World {
    provider: Provider,
    hub: Hub,
    members: Vec<(Agent, Source)>,
    ways: Vec<Member>,
    _dirs: Vec<tempfile::TempDir>,
}

impl World {
    async fn new(count: usize) -> Self {
        let (provider, hub, time) = (Provider::start().await, Hub::new(), clock());
        let (url, given) = (provider.system.url(), provider.consent());
        let (mut members, mut ways, mut dirs) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..count {
            let dir = tempfile::tempdir().unwrap();
            let way = hub.member(&format!("agent-{n}"), time.0.clone());
            let agent = Agent::member(dir.path(), &time, way.clone());
            agent.set("client", "c");
            agent.set("refresh", &given);
            let source = agent.source(&url, refreshed(&url)).unwrap();
            members.push((agent, source));
            ways.push(way);
            dirs.push(dir);
        }
        Self { provider, hub, members, ways, _dirs: dirs }
    }

    fn offline(&self, offline: bool) {
        self.ways.iter().for_each(|way| way.offline.store(offline, SeqCst));
    }
}

/// The token, after as many tries as a run would make.
pub(crate) async fn settled(source: &Source) -> String {
    let mut last = String::new();
    for _ in 0..100 {
        match token(source).await {
            Ok(token) => return token,
            Err(code) => last = code,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no token: {last}");
}
