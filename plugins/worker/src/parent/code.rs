//! A connector's code, and where it runs: here, or in workers.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use wherry_host::{
    Blobs, Connector, ConnectorFault, Egress, FromConnector, HostError, Outcome, Referee, Task, ToConnector,
    WorkerFault,
};

use super::{
    call,
    pool::Pool,
    worker::{NoWorker, Worker},
};
use crate::frame::{FromWorker, ToWorker};

/// The domain of a worker that only describes its connector: nothing of any connection ever reaches it.
const NOBODY: &str = "";
/// How much longer than a description a worker may take.
const SLACK: Duration = Duration::from_secs(3);

/// A connector's code, compiled and verified. Cheap to clone.
#[derive(Clone)]
pub enum Code {
    /// In this process.
    Here(Connector),
    /// In a worker for each trust domain.
    Apart(Apart),
}

/// Code for workers.
#[derive(Clone)]
pub struct Apart {
    pool: Pool,
    code: Arc<Compiled>,
}

/// An open file with compiled code, which workers map.
pub(super) struct Compiled {
    /// Tells it from every other that was ever opened.
    pub(super) id: u64,
    pub(super) file: File,
}

/// Code of a connector for one trust domain. Cheap to clone.
#[derive(Clone)]
pub enum Runner {
    /// In this process.
    Here(Connector),
    /// In the worker of that domain.
    Apart {
        /// The code.
        code: Apart,
        /// Whose: environment, project and connection.
        domain: Arc<str>,
    },
}

impl Apart {
    /// Code for workers of `pool`: a file that this machine compiled, whose MAC was checked just now.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(pool: &Pool, compiled: &Path) -> Result<Self, HostError> {
        let file = File::open(compiled).map_err(|error| HostError::Unreadable {
            path: compiled.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(Self { pool: pool.clone(), code: Arc::new(Compiled { id: pool.number(), file }) })
    }

    async fn worker(&self, domain: &str) -> Result<Arc<Worker>, NoWorker> {
        self.pool.worker(domain, &self.code).await
    }

    async fn describe_text(&self) -> Result<String, HostError> {
        let worker = self.worker(NOBODY).await;
        let worker = worker.map_err(|error| match error {
            NoWorker::Host(error) => error,
            NoWorker::Fault(fault) => HostError::DescribeFailed(Box::new(fault.into())),
        })?;
        let described = describe(&worker).await;
        drop(worker);
        self.pool.end(NOBODY, &self.code);
        described
    }
}

async fn describe(worker: &Worker) -> Result<String, HostError> {
    let failed = |fault: WorkerFault| HostError::DescribeFailed(Box::new(fault.into()));
    let mut line = worker.line().map_err(failed)?;
    line.send(&ToWorker::Describe { call: line.call }).await.map_err(failed)?;
    let answer = timeout(worker.settings.describe_time + SLACK, line.next()).await;
    match answer {
        Ok(Some(FromWorker::Described { text: Ok(text), .. })) => Ok(text),
        Ok(Some(FromWorker::Described { text: Err(fault), .. })) => {
            // No worker may say that it was the machine's fault, or that of another worker.
            let referee = Referee::new(&worker.settings, &Task::default());
            let fault = referee.fault(fault, None).unwrap_or_else(|foul| line.foul(foul.0).into());
            Err(HostError::DescribeFailed(Box::new(fault)))
        }
        Ok(Some(_)) => Err(failed(line.foul("it answers what it was not asked"))),
        Ok(None) => Err(failed(line.fault().await)),
        // The worker's own limit has passed long ago: this machine is too busy, which says nothing of the connector.
        Err(_) => Err(failed(WorkerFault::Start { reason: "it did not describe its connector in time".to_owned() })),
    }
}

impl Code {
    /// What the connector says of itself.
    ///
    /// # Errors
    /// If it does not, or its worker cannot be started.
    pub async fn describe_text(&self) -> Result<String, HostError> {
        match self {
            Self::Here(connector) => connector.describe_text().await,
            Self::Apart(code) => code.describe_text().await,
        }
    }

    /// The code for one trust domain.
    pub fn of(&self, domain: &str) -> Runner {
        match self {
            Self::Here(connector) => Runner::Here(connector.clone()),
            Self::Apart(code) => Runner::Apart { code: code.clone(), domain: domain.into() },
        }
    }
}

impl Runner {
    /// Runs one invocation to its end, as [`Connector::run_with`] does.
    ///
    /// # Errors
    /// If the connector fails, or its worker.
    pub async fn run_with(
        &self,
        task: Task,
        egress: Arc<dyn Egress>,
        inbox: mpsc::Receiver<ToConnector>,
        outbox: mpsc::Sender<FromConnector>,
        blobs: Blobs,
    ) -> Result<Outcome, ConnectorFault> {
        match self {
            Self::Here(connector) => connector.run_with(task, egress, inbox, outbox, blobs).await,
            Self::Apart { code, domain } => {
                let worker = code.worker(domain).await.map_err(|error| match error {
                    NoWorker::Fault(fault) => ConnectorFault::Worker(fault),
                    NoWorker::Host(error) => ConnectorFault::Host(error),
                })?;
                call::run(&worker, task, egress, inbox, outbox, blobs).await
            }
        }
    }
}
