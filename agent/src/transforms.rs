//! The box for transformations: part of this program, compiled once on this machine, loaded with the first run that
//! needs it.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;
use wherry_daemon::{
    store::{
        StoreError,
        files::{FileStore, digest_of},
    },
    tasks::{OnStop, Tasks},
};
use wherry_domain::failure::{Code, Failure};
use wherry_expr_box::COMPONENT;
use wherry_host::{HostError, TransformHost, TransformSettings, Transformer};

use crate::{connectors::compiled::Compiled, paths::DataDir, secrets};

/// The process ended first.
const INTERRUPTED: Code = Code::new("agent.draining");

/// The agent's box for transformations. Clones share it.
#[derive(Clone)]
pub struct Transforms(Arc<Inner>);

struct Inner {
    data: DataDir,
    compiler: PathBuf,
    tasks: Tasks,
    loaded: Mutex<Option<Transformer>>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Transforms {
    /// Prepares nothing yet: most agents never transform. `compiler` is this program.
    pub fn new(data: DataDir, compiler: PathBuf, tasks: Tasks) -> Self {
        Self(Arc::new(Inner {
            data,
            compiler,
            tasks,
            loaded: Mutex::new(None),
            one_at_a_time: tokio::sync::Mutex::default(),
        }))
    }

    /// The box, ready to run programs.
    ///
    /// # Errors
    /// If it cannot be compiled or kept on disk.
    pub async fn load(&self) -> Result<Transformer, Failure> {
        if let Some(loaded) = self.0.recall() {
            return Ok(loaded);
        }
        let inner = Arc::clone(&self.0);
        let (done, loaded) = oneshot::channel();
        // In a task of its own: a run that is cancelled meanwhile must not waste what others wait for.
        self.0.tasks.work("box for transformations", OnStop::Finish, async move {
            drop(done.send(inner.load().await));
            Ok::<_, Infallible>(())
        });
        loaded.await.unwrap_or_else(|_| {
            Err(Failure::retry(INTERRUPTED, "the agent ended while it prepared the box for transformations"))
        })
    }
}

impl Inner {
    fn recall(&self) -> Option<Transformer> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn load(&self) -> Result<Transformer, Failure> {
        let _turn = self.one_at_a_time.lock().await;
        if let Some(loaded) = self.recall() {
            return Ok(loaded);
        }
        let transformer = self.prepare().await?;
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(transformer.clone());
        Ok(transformer)
    }

    async fn prepare(&self) -> Result<Transformer, Failure> {
        let host = TransformHost::new(TransformSettings::default()).map_err(|error| failed(&error))?;
        let key = secrets::local_key(&self.data.local_key()).map_err(|error| error.failure())?;
        let compiled = Compiled::new(self.data.compiled(), self.compiler.clone(), key, host.compatibility());
        let digest = digest_of(COMPONENT);
        if let Some(path) = compiled.find(digest).await {
            match host.load(&path) {
                Ok(transformer) => return Ok(transformer),
                Err(error) => tracing::warn!(%error, "the box for transformations is compiled again"),
            }
        }
        let folder = self.data.transforms();
        let put = move || {
            let files = FileStore::open(folder)?;
            files.put(COMPONENT)?;
            Ok::<_, StoreError>(files)
        };
        let files = tokio::task::spawn_blocking(put).await.unwrap_or(Err(StoreError::Closed));
        let files = files.map_err(|error| Failure::retry(Code::new(error.code()), error.to_string()))?;
        let path = compiled.compile(&files, digest).await.map_err(|error| error.failure())?;
        let transformer = host.load(&path).map_err(|error| failed(&error))?;
        tracing::info!(%digest, "the box for transformations is ready");
        Ok(transformer)
    }
}

fn failed(error: &HostError) -> Failure {
    Failure::permanent(error.code(), error.to_string())
}
