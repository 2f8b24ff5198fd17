//! Proxies that others wrote: squid, tinyproxy and dante, as Debian packages them.
//!
//! `cargo xtask test --third-party` installs them where it may; without it these tests are left out.

mod software;

use anyhow::{Result, ensure};
use serde_json::json;
use wherry_tests::world::{Connection, Project, World};

use self::software::{Dante, HARBOUR, Squid, Tinyproxy, authority, certificate};
use super::{
    harbour::Harbour,
    island::{Island, SHORE, on_an_inhabited_island},
    voyage::{self, PASSWORD, tested, voyage},
};

fn wanted(test: &str, needed: &[&str]) -> Result<()> {
    if std::env::var_os("WHERRY_PROXIES").is_none_or(|wanted| wanted != "1") {
        eprintln!("skipped: {test}, run it with cargo xtask test --third-party as root");
        return Ok(());
    }
    on_an_inhabited_island(&format!("proxies::third_party::{test}"), &[needed, &["nft", "openssl"]].concat())
}

#[test]
fn an_agent_lives_behind_squid_with_a_password() -> Result<()> {
    wanted("inside_squid", &["squid"])
}

#[test]
fn an_agent_lives_behind_tinyproxy_with_a_password() -> Result<()> {
    wanted("inside_tinyproxy", &["tinyproxy"])
}

#[test]
fn an_agent_lives_behind_dante_with_a_password() -> Result<()> {
    wanted("inside_dante", &["danted"])
}

#[test]
fn what_squid_refuses_is_told_with_its_cause() -> Result<()> {
    wanted("inside_squid_that_refuses", &["squid"])
}

#[test]
fn a_squid_that_opens_tls_is_seen_in_the_certificate() -> Result<()> {
    wanted("inside_squid_that_opens_tls", &["squid"])
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_squid() -> Result<()> {
    let island = Island::rise()?;
    let squid = Squid::start("acl anything src all\nhttp_access deny !known\nhttp_access allow known\n").await?;
    let agents_at = voyage(&island, &squid.gate().locked(PASSWORD)).await?;
    let log = squid.has_logged(&format!("TCP_TUNNEL/200 .* CONNECT {agents_at} wherry")).await?;
    ensure!(log.contains("GET http://127.0.0.1:"), "no request of a run: {log}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_tinyproxy() -> Result<()> {
    let island = Island::rise()?;
    let tinyproxy = Tinyproxy::start().await?;
    let agents_at = voyage(&island, &tinyproxy.gate().locked(PASSWORD)).await?;
    tinyproxy.has_logged(&format!("CONNECT {agents_at}")).await.map(drop)
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_dante() -> Result<()> {
    let island = Island::rise()?;
    let dante = Dante::start().await?;
    for scheme in ["socks5", "socks5h"] {
        let agents_at = voyage(&island, &dante.gate(scheme).locked(PASSWORD)).await?;
        let port = agents_at.rsplit(':').next().unwrap_or_default();
        dante.has_logged(&format!("127.0.0.1.{port}")).await?;
        super::island::forget_counters()?;
    }
    let world = World::start().await?;
    let wrong = dante.gate("socks5h").locked("wrong").section(&world, "controller_proxy")?;
    let refused = voyage::settle(&world, &wrong).await.unwrap_err().to_string();
    ensure!(
        refused.contains("link.proxy_refused") || refused.contains("did not accept user and password"),
        "{refused}"
    );
    world.close().await
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_squid_that_refuses() -> Result<()> {
    let _island = Island::rise()?;
    let harbour = Harbour::open(None).await?;
    let world = World::start().await?;
    let agents = world.controller.agents_at().port();
    // Everybody may tunnel to the controller; systems need a password and may not be on other ports than 443.
    let rules = format!(
        "acl controller port {agents}\nacl tunnel method CONNECT\nacl web port 443\n\
         http_access allow controller\nhttp_access deny !known\nhttp_access deny tunnel !web\nhttp_access allow known\n"
    );
    let squid = Squid::start(&rules).await?;
    let ntlm = Squid::start_ntlm().await?;
    world.publish(&world.http()?).await?;
    let secure = harbour.url().replace("http:", "https:");
    let plain = json!({ "use_non_tls_connections": true });
    let to = |url: &str, proxy: &str| Connection::to(url).set("proxy", proxy);
    let project = Project::named("refusals")
        .connection("port", to(&secure, "known"))
        .connection("wrong", to(&secure, "wrong"))
        .connection("nobody", to(&harbour.url(), "nobody").set("tls", plain.clone()))
        .connection("ntlm", to(&secure, "ntlm"))
        .connection("absolute-ntlm", to(&harbour.url(), "ntlm").set("tls", plain));
    world.deploy(&project).await?;
    let gate = squid.gate();
    let config = gate.section(&world, "controller_proxy")?
        + &gate.section(&world, "proxies.nobody")?
        + &ntlm.gate().section(&world, "proxies.ntlm")?
        + &squid.gate().locked(PASSWORD).section(&world, "proxies.known")?
        + &squid.gate().locked("wrong").section(&world, "proxies.wrong")?;
    let _agent = voyage::settle(&world, &config).await?;
    for (connection, code, words) in [
        ("port", "egress.proxy_refused", "status 403"),
        ("wrong", "egress.proxy_auth", "did not accept user and password"),
        ("nobody", "egress.proxy_auth", "wants user and password"),
        ("ntlm", "egress.proxy_auth", "only NTLM"),
        ("absolute-ntlm", "egress.proxy_auth", "only NTLM"),
    ] {
        let answer = tested(&world, connection).await?;
        let obstacle = &answer["path"]["obstacle"];
        assert_eq!((&answer["result"], &obstacle["code"]), (&json!("failed"), &json!(code)), "{connection}: {answer}");
        assert!(obstacle["cause"].as_str().is_some_and(|cause| cause.contains(words)), "{connection}: {answer}");
        assert_eq!(answer["area"], "network", "{connection}: {answer}");
    }
    world.close().await
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_squid_that_opens_tls() -> Result<()> {
    let _island = Island::rise()?;
    let world = World::start().await?;
    let inspection = authority(world.folder(), "Inspection CA")?;
    let harbour = Harbour::open(Some(certificate(world.folder(), SHORE)?)).await?;
    let squid = Squid::start_opening(&inspection, world.controller.agents_at().port()).await?;
    world.publish(&world.http()?).await?;
    world
        .deploy(
            &Project::named("opened")
                .connection("desk", Connection::to(&harbour.url().replace(SHORE, HARBOUR)).set("use_proxy", true)),
        )
        .await?;
    let config = squid.gate().section(&world, "controller_proxy")? + &squid.gate().section(&world, "proxy")?;
    let mut agent = voyage::settle(&world, &config).await?;
    let answer = tested(&world, "desk").await?;
    let path = &answer["path"];
    assert_eq!(
        (&path["obstacle"]["phase"], &path["obstacle"]["code"]),
        (&json!("tls"), &json!("connection.tls_untrusted")),
        "{answer}"
    );
    let cause = path["obstacle"]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("issued by CN=Inspection CA"), "{cause}");
    assert_eq!(path["tls"]["certificate"]["issuer"], "CN=Inspection CA", "{answer}");

    agent.kill().await?;
    agent.configure(&format!(
        "{config}[tls]\nextra_ca_files = [{:?}]\n",
        inspection.certificate.display().to_string()
    ))?;
    agent.start().await?;
    let answer = tested(&world, "desk").await?;
    assert_eq!(answer["result"], "ok", "{answer}");
    let certificate = &answer["path"]["tls"]["certificate"];
    assert_eq!(certificate["issuer"], "CN=Inspection CA", "{answer}");
    assert!(certificate["days_left"].as_i64().is_some_and(|days| days > 0), "{answer}");
    world.close().await
}
