//! Whoever speaks to the agents' port without being an agent of ours, or in another version.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use wherry_daemon::tls;
use wherry_proto::wire::{
    self, agent_frame::Kind, agent_service_client::AgentServiceClient, controller_frame,
    enrollment_service_client::EnrollmentServiceClient,
};
use wherry_tests::world::{Agent, World};

#[tokio::test]
async fn an_agent_of_another_version_is_told_so_and_may_come_back_after_an_upgrade() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    let mut client = AgentServiceClient::new(connect(&world, Some(&agent)).await?);
    let newer = wire::Hello { protocol_min: 99, protocol_max: 99, ..hello() };
    let status = greet(&mut client, Kind::Hello(newer)).await.unwrap_err();
    // Not one of the refusals after which an agent gives up for good.
    assert_eq!((status.code(), code_of(&status)), (Code::FailedPrecondition, "agent.version_unsupported"));
    assert!(status.message().contains("99"), "{}", status.message());
    assert_eq!(world.agent_seen("eu-1").await?["state"], "awaiting");
    // Whoever speaks a newer version beside the present one is welcome.
    let both = wire::Hello { protocol_max: 99, ..hello() };
    let answer = greet(&mut client, Kind::Hello(both)).await?;
    let Some(controller_frame::Kind::Welcome(welcome)) = answer.kind else { panic!("{answer:?}") };
    assert_eq!(welcome.protocol, wherry_proto::PROTOCOL_MAX);
    agent.start().await?;
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

#[tokio::test]
async fn a_stream_that_does_not_begin_like_one_is_refused() -> Result<()> {
    let world = World::start().await?;
    let agent = world.enrolled("eu-1", 8).await?;
    let mut client = AgentServiceClient::new(connect(&world, Some(&agent)).await?);
    let first = [
        (Kind::Goodbye(wire::Goodbye { reason: "hello".to_owned() }), "session.hello_required"),
        (Kind::Hello(wire::Hello { instance: "nonsense".to_owned(), ..hello() }), "session.frame_invalid"),
    ];
    for (frame, code) in first {
        let status = greet(&mut client, frame).await.unwrap_err();
        assert_eq!((status.code(), code_of(&status)), (Code::InvalidArgument, code));
    }
    let large = wire::Hello { secret_names: vec!["x".repeat(1 << 20), "x".repeat(1 << 20)], ..hello() };
    let mut patient = client.max_encoding_message_size(8 << 20);
    assert!(greet(&mut patient, Kind::Hello(large)).await.is_err());
    assert_eq!(world.agent_seen("eu-1").await?["state"], "awaiting");
    world.close().await
}

#[tokio::test]
async fn without_a_certificate_only_admission_answers() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let channel = connect(&world, None).await?;
    let mut client = AgentServiceClient::new(channel.clone());
    let status = greet(&mut client, Kind::Hello(hello())).await.unwrap_err();
    assert_eq!((status.code(), code_of(&status)), (Code::Unauthenticated, "agent.certificate_missing"));
    let request = wire::FetchConnectorRequest { digest: format!("sha256:{}", "0".repeat(64)), offset: 0 };
    let status = client.fetch_connector(request).await.unwrap_err();
    assert_eq!(code_of(&status), "agent.certificate_missing");
    let mut enrolment = EnrollmentServiceClient::new(channel);
    let status = enrolment.renew(wire::RenewRequest { csr: Vec::new(), generation: 1 }).await.unwrap_err();
    assert_eq!(code_of(&status), "agent.certificate_missing");
    world.close().await
}

#[tokio::test]
async fn a_certificate_of_another_authority_opens_nothing() -> Result<()> {
    let (world, foreign) = (World::start().await?, World::start().await?);
    let stranger = foreign.enrolled("eu-1", 8).await?;
    let known = world.enrolled("eu-1", 8).await?;
    let config = config(Some(&stranger), &known.data().join("identity").join("roots.pem"))?;
    let opened = dial(&world, config).await;
    let refused = match opened {
        // In TLS 1.3 the client is done before the server has looked at its certificate.
        Ok(channel) => greet(&mut AgentServiceClient::new(channel), Kind::Hello(hello())).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    assert_eq!(world.agent_seen("eu-1").await?["state"], "awaiting");
    foreign.close().await?;
    world.close().await
}

#[tokio::test]
async fn noise_on_the_agents_port_disturbs_nobody() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(world.controller.agents_at()).await?);
    }
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", &[0; 4_096]] {
        let mut stream = TcpStream::connect(world.controller.agents_at()).await?;
        stream.write_all(noise).await?;
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        let heard = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await?;
        assert!(heard.is_err() || answer.len() < 100, "{answer:?}");
    }
    world.run("copy-keyed").end().await?.succeeded()?;
    world.close().await
}

/// A connection to the agents' port, with the agent's certificate or with none.
async fn connect(world: &World, agent: Option<&Agent>) -> Result<Channel> {
    let borrowed;
    let roots = match agent {
        Some(agent) => agent.data(),
        None => {
            borrowed = world.enrolled("eu-0", 1).await?;
            borrowed.data()
        }
    };
    dial(world, config(agent, &roots.join("identity").join("roots.pem"))?).await
}

fn config(agent: Option<&Agent>, roots: &Path) -> Result<Arc<ClientConfig>> {
    let mut trusted = RootCertStore::empty();
    for root in tls::load_certificates(roots)? {
        trusted.add(root)?;
    }
    let config =
        ClientConfig::builder_with_provider(tls::provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let config = config.with_root_certificates(trusted);
    let mut config = match agent.map(|agent| agent.data().join("identity")) {
        Some(own) => config.with_client_auth_cert(
            tls::load_certificates(&own.join("cert.pem"))?,
            tls::load_key(&own.join("key.pem"))?,
        )?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

async fn dial(world: &World, config: Arc<ClientConfig>) -> Result<Channel> {
    let stream = TcpStream::connect(world.controller.agents_at()).await?;
    let stream = TlsConnector::from(config).connect(ServerName::try_from("localhost")?, stream).await?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = once.take().ok_or_else(|| std::io::Error::other("it was used"));
        std::future::ready(stream)
    });
    let endpoint = Endpoint::from_shared(format!("https://{}", world.controller.agents_at()))?;
    endpoint.connect_with_connector(connector).await.context("no HTTP/2")
}

/// Opens a stream with this frame and waits for the first answer.
async fn greet(client: &mut AgentServiceClient<Channel>, first: Kind) -> Result<wire::ControllerFrame, Status> {
    let frames = futures::stream::iter([wire::AgentFrame { kind: Some(first) }]);
    let mut answers = client.connect(frames).await?.into_inner();
    answers.message().await?.ok_or_else(|| Status::aborted("the stream ended"))
}

fn hello() -> wire::Hello {
    wire::Hello {
        protocol_min: wherry_proto::PROTOCOL_MIN,
        protocol_max: wherry_proto::PROTOCOL_MAX,
        version: "0.1.0".to_owned(),
        instance: format!("ins_{:032x}", 1),
        next_seq: 1,
        slots: 1,
        free_slots: 1,
        ..wire::Hello::default()
    }
}

fn code_of(status: &Status) -> &str {
    status.metadata().get("wherry-code").and_then(|code| code.to_str().ok()).unwrap_or_default()
}
