//! The floor: what a run would cost if nothing but the unavoidable were done.
//!
//! ```text
//! submit ─► log ─► gRPC stream over mutual TLS ─► log ─► one GET ─► log ─► the same stream ─► log ─► answer
//! ```
//! Two logs stand for the two disks, each with the two durable points that a run has there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Context;
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use wherry_proto::wire::{self, agent_frame, controller_frame};

use crate::{log::Log, target, tls};

/// Size of a record, about that of a stored run.
const RECORD: usize = 600;

/// A running floor.
#[derive(Clone)]
pub(crate) struct Floor {
    log: Option<Log>,
    frames: mpsc::Sender<wire::ControllerFrame>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>,
    next: Arc<AtomicU64>,
}

impl Floor {
    /// Starts both sides and the system they call.
    ///
    /// # Errors
    /// If a port or file is not to be had.
    pub(crate) async fn start(dir: &std::path::Path) -> anyhow::Result<Self> {
        let (controller, agent) = (Log::create(&dir.join("controller.log"))?, Log::create(&dir.join("agent.log"))?);
        Self::with(Some(controller), Some(agent)).await
    }

    /// The same without the durable points.
    ///
    /// # Errors
    /// If a port is not to be had.
    pub(crate) async fn bare() -> anyhow::Result<Self> {
        Self::with(None, None).await
    }

    async fn with(log: Option<Log>, agent_log: Option<Log>) -> anyhow::Result<Self> {
        let target = target::start().await?;
        let (frames, outbound) = mpsc::channel(512);
        let (inbound_sender, mut inbound) = mpsc::channel::<wire::AgentFrame>(512);
        let (address, client) = tls::controller(outbound, inbound_sender).await?;
        tokio::spawn(agent(address, client, agent_log, format!("http://{target}/")));
        let waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>> = Arc::default();
        let (answers, results) = (Arc::clone(&waiting), log.clone());
        tokio::spawn(async move {
            while let Some(frame) = inbound.recv().await {
                let Some(agent_frame::Kind::Result(result)) = frame.kind else { continue };
                let (answers, results) = (Arc::clone(&answers), results.clone());
                tokio::spawn(async move {
                    append(results.as_ref()).await?;
                    let answer = answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&result.seq);
                    answer.map(|answer| answer.send(()));
                    Ok::<_, anyhow::Error>(())
                });
            }
        });
        Ok(Self { log, frames, waiting, next: Arc::default() })
    }

    /// One run.
    ///
    /// # Errors
    /// If a side failed.
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let number = self.next.fetch_add(1, Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, answer);
        append(self.log.as_ref()).await?;
        let offer = wire::Offer { fence: number, variables: vec![0; 200], ..wire::Offer::default() };
        let frame = wire::ControllerFrame { kind: Some(controller_frame::Kind::Offer(offer)) };
        self.frames.send(frame).await.context("the agent is gone")?;
        answered.await.context("the answer is lost")
    }
}

async fn append(log: Option<&Log>) -> anyhow::Result<()> {
    match log {
        Some(log) => log.append(vec![1; RECORD]).await,
        None => Ok(()),
    }
}

async fn agent(
    address: std::net::SocketAddr,
    client: Arc<rustls::ClientConfig>,
    log: Option<Log>,
    url: String,
) -> anyhow::Result<()> {
    let mut service = tls::agent(address, client).await?;
    let (results, outbound) = mpsc::channel(512);
    let mut offers = service.connect(ReceiverStream::new(outbound)).await?.into_inner();
    let http: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    while let Some(frame) = offers.next().await {
        let Some(controller_frame::Kind::Offer(offer)) = frame?.kind else { continue };
        let (log, http, results, url) = (log.clone(), http.clone(), results.clone(), url.parse()?);
        tokio::spawn(async move {
            append(log.as_ref()).await?;
            let body = http.get(url).await?.into_body().collect().await?.to_bytes();
            append(log.as_ref()).await?;
            let result = wire::Result { seq: offer.fence, duration_ms: body.len() as u64, ..wire::Result::default() };
            results.send(wire::AgentFrame { kind: Some(agent_frame::Kind::Result(result)) }).await?;
            Ok::<_, anyhow::Error>(())
        });
    }
    Ok(())
}
