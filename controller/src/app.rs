//! Putting the parts together, in order of dependency; then running until asked to stop.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use wherry_daemon::{
    audits::Audits,
    clock::Clock,
    exit::Exit,
    notify,
    shutdown::Shutdown,
    store::{SharedStore, SledStore, StoreOptions, files::FileStore},
    tasks::{OnError, OnStop, Tasks},
};
use wherry_trust::access::AccessToken;

use crate::{
    agents,
    ca::{Authority, CatalogueKey},
    config::Config,
    engine::{Engine, Ledger, Settings},
    web::{self, Web},
};

/// How long connections may go on after a stop was asked for.
pub const GRACE: Duration = Duration::from_secs(10);

/// What could be read of the store is not all that was acknowledged.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store in {0} is damaged and what could be read is not all that was acknowledged: move the data folder away and \
     restore a backup into an empty one"
)]
pub struct LostData(String);

/// A controller that is ready to run.
pub struct App {
    config: Config,
    clock: Clock,
    ledger: Ledger,
    audits: Audits,
    engine: Engine,
    authority: Arc<Authority>,
}

impl App {
    /// Opens everything in the data folder. Nothing is bound yet.
    ///
    /// # Errors
    /// If a part cannot be opened; the cause says which.
    pub fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        fs::create_dir_all(&config.data_dir).with_context(|| format!("cannot make {}", config.data_dir.display()))?;
        let mut options = StoreOptions::new(config.data_dir.join("store"));
        options.cache_bytes = config.store.cache_mib << 20;
        options.reserve_bytes = config.store.reserve_mib << 20;
        let (store, report) = SledStore::open(options)?;
        tracing::info!(?report, "opened the store");
        if report.lost_something() {
            return Err(LostData(config.data_dir.display().to_string()).into());
        }
        let files = Arc::new(FileStore::open(config.data_dir.join("files"))?);
        let authority = Arc::new(Authority::open(&config.data_dir.join("ca"), clock.wall_unix_millis())?);
        let settings = Settings {
            catalogue: CatalogueKey::open(&config.data_dir.join("ca"))?,
            lease: config.lease_terms(),
            heartbeat: config.lease.heartbeat,
            keep_runs: config.retention.runs,
            max_active: config.retention.max_active,
        };
        let store = Arc::new(store);
        let audits = Audits::of(Arc::clone(&store), report.integrity, clock.clone());
        let (ledger, engine) = Ledger::open(store as SharedStore, files, clock.clone(), settings)?;
        Ok(Self { config, clock, ledger, audits, engine, authority })
    }

    /// Runs until asked to stop.
    ///
    /// # Errors
    /// If a port cannot be bound or a file in the data folder not be written.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<Exit> {
        let Self { mut config, clock, ledger, audits, engine, authority } = self;
        let web_listener = bind(config.web.listen, "web.listen").await?;
        let agent_listener = bind(config.agents.listen, "agents.listen").await?;
        let agents_at = agent_listener.local_addr()?;
        if config.agents.listen.port() == 0 {
            config.agents.public_url = format!("https://localhost:{}", agents_at.port());
        }
        let tasks = Tasks::new(shutdown.clone());
        start_engine(&tasks, engine);
        start_audits(&tasks, audits.clone());
        first_token(&ledger, &config.data_dir).await?;
        let scheme = if config.web.tls_cert.is_some() { "https" } else { "http" };
        let web_url = format!("{scheme}://{}", web_listener.local_addr()?);
        let redirect_uri = redirect_uri(&config, &web_url);
        let router = router(&ledger, &clock, &authority, &config, (audits, redirect_uri));
        let web_port = web::WebPort {
            listener: web_listener,
            router,
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
            patience: web::Patience::default(),
        };
        let agent_port = agents::Port {
            listener: agent_listener,
            ledger,
            authority,
            clock,
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        let ready = config.data_dir.join("ready.json");
        announce(&ready, &web_url, &config.agents.public_url)?;
        let served = tokio::try_join!(web::serve(web_port, &config.web), agents::serve(agent_port, &config));
        notify::stopping();
        let _ = fs::remove_file(&ready);
        served?;
        tasks.finish().await;
        Ok(shutdown.exit())
    }
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: another program may use it; set {key}"))
}

/// The writer ends only by failing, or when its last handle is gone.
fn start_engine(tasks: &Tasks, engine: Engine) {
    let mut engine = Some(engine);
    tasks.service("ledger", OnError::StopProcess(Exit::Store), OnStop::Finish, move || {
        let engine = engine.take();
        async move {
            match engine {
                Some(engine) => engine.run().await,
                None => Ok(()),
            }
        }
    });
}

fn start_audits(tasks: &Tasks, audits: Audits) {
    tasks.service("audits", OnError::Restart, OnStop::Cancel, move || {
        let audits = audits.clone();
        async move { audits.keep().await.map(|never| match never {}) }
    });
}

/// Where providers send browsers back to.
fn redirect_uri(config: &Config, listening: &str) -> Arc<str> {
    let public = config.web.public_url.trim_end_matches('/');
    format!("{}{}", if public.is_empty() { listening } else { public }, web::CALLBACK).into()
}

fn router(
    ledger: &Ledger,
    clock: &Clock,
    authority: &Authority,
    config: &Config,
    (audits, redirect_uri): (Audits, Arc<str>),
) -> axum::Router {
    let shared = Web {
        ledger: ledger.clone(),
        clock: clock.clone(),
        pin: Arc::new(authority.pin().clone()),
        agent_endpoint: config.agents.public_url.as_str().into(),
        redirect_uri,
        audits,
    };
    web::router(shared)
}

/// Writes the first administrator's token where only the owner of the process can read it.
async fn first_token(ledger: &Ledger, data_dir: &Path) -> anyhow::Result<()> {
    if !ledger.access_tokens().is_empty() {
        return Ok(());
    }
    let secret = AccessToken::generate()?;
    let path = data_dir.join("admin-token");
    let fresh = path.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(secret.reveal().as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    fs::File::open(data_dir)?.sync_all()?;
    ledger.first_administrator(&secret).await?;
    tracing::info!(path = %path.display(), "wrote the first administrator's token");
    Ok(())
}

/// Tells scripts and supervisors that both ports answer.
fn announce(path: &Path, web: &str, agents: &str) -> anyhow::Result<()> {
    let text = json!({ "web": web, "agents": agents, "pid": std::process::id() }).to_string();
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, path)?;
    notify::ready();
    tracing::info!(web, agents, "ready");
    Ok(())
}
