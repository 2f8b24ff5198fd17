//! The stream of an agent.

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wherry_daemon::tasks::{OnStop, Tasks};
use wherry_domain::{epoch::Epoch, retry::Jitter};
use wherry_proto::{
    frame::{FromAgent, FromController, Hello},
    wire::{self, agent_service_server::AgentService},
};
use wherry_trust::names::AgentIdentity;

use super::{fetch, identity, status};
use crate::engine::{Ledger, Opened, Refusal};

/// How long a newcomer may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// Frames that wait for an agent; beyond it the agent does not keep up and its stream ends.
const OUTBOUND: usize = 512;

/// The service.
pub(super) struct Sessions {
    pub(super) ledger: Ledger,
    pub(super) tasks: Tasks,
}

type Frames = Pin<Box<dyn Stream<Item = Result<wire::ControllerFrame, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for Sessions {
    type ConnectStream = Frames;
    type FetchConnectorStream = fetch::Parts;

    async fn connect(&self, request: Request<Streaming<wire::AgentFrame>>) -> Result<Response<Frames>, Status> {
        let identity = identity::agent(&request)?;
        let mut inbound = request.into_inner();
        let hello = hello(&mut inbound).await?;
        let (frames, outbound) = mpsc::channel(OUTBOUND);
        let opened = self.ledger.open_session(identity.clone(), hello, frames).await;
        let Opened { epoch } = opened.map_err(|refusal| status::of(&refusal))?;
        let ledger = self.ledger.clone();
        let name = format!("session of {}", identity.agent());
        self.tasks.work(name, OnStop::Cancel, async move {
            let ended = listen(&ledger, &identity, epoch, inbound).await;
            ledger.close_session(identity.agent(), epoch).await;
            ended
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound).map(|frame: FromController| Ok(frame.into_wire())))))
    }

    async fn fetch_connector(
        &self,
        request: Request<wire::FetchConnectorRequest>,
    ) -> Result<Response<fetch::Parts>, Status> {
        let agent = identity::agent(&request)?;
        fetch::connector(&self.ledger, &agent, request.into_inner()).await.map(Response::new)
    }

    async fn fetch_deployment(
        &self,
        request: Request<wire::FetchDeploymentRequest>,
    ) -> Result<Response<wire::FetchDeploymentResponse>, Status> {
        let agent = identity::agent(&request)?;
        fetch::deployment(&self.ledger, &agent, request.into_inner()).await.map(Response::new)
    }
}

async fn hello(inbound: &mut Streaming<wire::AgentFrame>) -> Result<Hello, Status> {
    let required = || status::invalid("session.hello_required", "the first frame must be a hello");
    let first = tokio::time::timeout(HELLO, inbound.message()).await.map_err(|_| required())??;
    let frame = first.ok_or_else(required).map(FromAgent::from_wire)?;
    match frame.map_err(|error| status::invalid("session.frame_invalid", error.to_string()))? {
        Some(FromAgent::Hello(hello)) => Ok(hello),
        Some(_) | None => Err(required()),
    }
}

/// Hands every frame to the ledger until the stream ends, by itself or because the ledger stopped.
async fn listen(
    ledger: &Ledger,
    identity: &AgentIdentity,
    epoch: Epoch,
    mut inbound: Streaming<wire::AgentFrame>,
) -> Result<(), Refusal> {
    let agent = identity.agent();
    let mut chance = Chance::new(epoch.bits());
    loop {
        match inbound.message().await {
            Ok(Some(wire)) => match FromAgent::from_wire(wire) {
                Ok(Some(frame)) => ledger.frame(agent, epoch, frame, chance.next()).await?,
                Ok(None) => tracing::debug!(%agent, "ignored a frame of an unknown kind"),
                Err(error) => {
                    tracing::warn!(%agent, %error, "ended the stream");
                    return Ok(());
                }
            },
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::info!(%agent, reason = error.message(), "the stream broke");
                return Ok(());
            }
        }
    }
}

/// Chance for retry waits; it spreads load and guards nothing, so SplitMix64 is enough.
///
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
struct Chance(u64);

impl Chance {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> Jitter {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Jitter((mixed >> 48) as u16)
    }
}
