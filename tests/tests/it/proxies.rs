//! Ways out: an agent on an island whose only bridge is a proxy, and connections that need none.
//!
//! The island is a network namespace of the test's own, joined to the rest by a pair of virtual interfaces. Counters of
//! the kernel and the peers that a system sees tell which way each request went.

mod harbour;
mod island;
mod relay;
mod third_party;
mod voyage;

use anyhow::{Result, ensure};
use serde_json::json;
use wherry_tests::world::{Connection, Project, World};

use self::{
    harbour::Harbour,
    island::{ISLAND, Island, SHORE, on_an_island},
    relay::Relay,
    voyage::{Gate, tested, voyage},
};

#[test]
fn an_agent_whose_only_way_out_is_a_proxy_enrols_downloads_and_runs_through_it() -> Result<()> {
    on_an_island("proxies::inside_everything_goes_through_the_only_way_out", &["nft"])
}

#[test]
fn connections_go_direct_through_the_default_proxy_or_through_a_named_one_as_they_say() -> Result<()> {
    on_an_island("proxies::inside_each_connection_takes_its_own_way", &["nft"])
}

#[test]
fn proxies_in_the_environment_mean_nothing() -> Result<()> {
    on_an_island("proxies::inside_variables_of_the_environment_mean_nothing", &["nft"])
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_everything_goes_through_the_only_way_out() -> Result<()> {
    let island = Island::rise()?;
    let relay = Relay::open().await?;
    let gate = Gate::open("the relay", &format!("http://{SHORE}:{}", relay.port()), relay.port());
    let agents_at = voyage(&island, &gate).await?;
    let asked = relay.asked();
    let tunnel = format!("CONNECT {agents_at} ");
    ensure!(asked.iter().any(|line| line.starts_with(&tunnel)), "no tunnel to the controller: {asked:?}");
    ensure!(asked.iter().any(|line| line.starts_with("GET http://127.0.0.1:")), "no request of a run: {asked:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_each_connection_takes_its_own_way() -> Result<()> {
    let island = Island::rise()?;
    let (default, dmz, harbour) = (Relay::open().await?, Relay::open().await?, Harbour::open(None).await?);
    let world = World::start().await?;
    world.publish(&world.http()?).await?;
    let to = |connection: Connection| connection.set("tls", json!({ "use_non_tls_connections": true }));
    let project = Project::named("ways")
        .connection("direct", to(Connection::to(&harbour.url())))
        .connection("default", to(Connection::to(&harbour.url()).set("use_proxy", true)))
        .connection("dmz", to(Connection::to(&harbour.url()).set("proxy", "dmz")))
        .connection("missing", to(Connection::to(&harbour.url()).set("proxy", "dzm")));
    world.deploy(&project).await?;
    let config = format!(
        "[controller_proxy]\nurl = \"http://{SHORE}:{0}\"\n[proxy]\nurl = \"http://{SHORE}:{0}\"\n\
         [proxies.dmz]\nurl = \"http://{SHORE}:{1}\"\n",
        default.port(),
        dmz.port()
    );
    island.count(&[default.port(), dmz.port(), harbour.port()])?;
    let _agent = voyage::settle(&world, &config).await?;
    for (connection, way, proxy, peer) in [
        ("direct", "direct", None, ISLAND),
        ("default", "proxy", Some((None, default.port())), SHORE),
        ("dmz", "proxy", Some((Some("dmz"), dmz.port())), SHORE),
    ] {
        let before = island.packets()?;
        let answer = tested(&world, connection).await?;
        let path = &answer["path"];
        assert_eq!((&answer["result"], &path["way"]), (&json!("ok"), &json!(way)), "{answer}");
        assert_eq!(harbour.peer().await?, peer, "{connection}");
        let after = island.packets()?;
        let moved = |port: u16| after.to(port) > before.to(port);
        match proxy {
            None => {
                assert_eq!(path["address"], json!(format!("{SHORE}:{}", harbour.port())));
                assert!(moved(harbour.port()) && !moved(dmz.port()), "{before:?} {after:?}");
            }
            Some((name, port)) => {
                assert_eq!(path["address"], json!(format!("{SHORE}:{port}")), "{answer}");
                assert_eq!(path["proxy"].get("name").and_then(serde_json::Value::as_str), name, "{answer}");
                assert!(moved(port) && !moved(harbour.port()), "{connection}: {before:?} {after:?}");
            }
        }
    }
    let missing = tested(&world, "missing").await?;
    assert_eq!(missing["failure"]["code"], "connection.no_proxy", "{missing}");
    let said = missing["failure"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("dzm") && said.contains("the default one, dmz"), "{said}");
    assert_eq!(island.packets()?.elsewhere, 0);
    world.close().await
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_variables_of_the_environment_mean_nothing() -> Result<()> {
    let island = Island::rise()?;
    let (trap, harbour, way) = (Relay::open().await?, Harbour::open(None).await?, Relay::open().await?);
    let world = World::start().await?;
    world.publish(&world.http()?).await?;
    let plain = json!({ "use_non_tls_connections": true });
    let project = Project::named("ways").connection("direct", Connection::to(&harbour.url()).set("tls", plain));
    world.deploy(&project).await?;
    let mut agent = world.stranger("island-1")?;
    agent.live_in(&Island::namespace());
    let address = format!("http://{SHORE}:{}", trap.port());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        agent.environment(name, &address);
        agent.environment(&name.to_lowercase(), &address);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        agent.environment(name, "*");
    }
    agent.configure(&format!("[controller_proxy]\nurl = \"http://{SHORE}:{}\"\n", way.port()))?;
    island.count(&[way.port(), harbour.port(), trap.port()])?;
    voyage::enrol(&world, &agent).await?;
    agent.start().await?;
    let answer = tested(&world, "direct").await?;
    assert_eq!((&answer["result"], &answer["path"]["way"]), (&json!("ok"), &json!("direct")), "{answer}");
    assert_eq!(harbour.peer().await?, ISLAND);
    assert_eq!((trap.asked().len(), island.packets()?.to(trap.port())), (0, 0));
    assert!(way.asked().iter().any(|line| line.starts_with("CONNECT ")), "NO_PROXY did away with the proxy");
    world.close().await
}
