//! `wherry-sandbox`: the simulated systems as a process. Its first line on stdout says where it listens and which
//! credentials it wants, as JSON.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use tokio::net::TcpListener;
use wherry_sandbox::{CLOUD_ID, Flavour, Sandbox, Settings};

/// Simulated Jira Service Management, plain desk and issue tracker for demonstrations and tests.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many service requests there are from the start.
    #[arg(long, default_value_t = 250)]
    requests: usize,
    /// Which Jira to play: cloud or data-center.
    #[arg(long, default_value_t)]
    flavour: Flavour,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "wherry-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot listen on {}: {error}", arguments.listen))
    })?;
    let address = listener.local_addr()?;
    let (url, flavour) = (format!("http://{address}"), arguments.flavour);
    let sandbox = Sandbox::with(Settings { requests: arguments.requests, flavour, base: url.clone() });
    let credentials = sandbox.credentials();
    let line = json!({
        "url": url,
        "port": address.port(),
        "jsm": {
            "flavour": flavour,
            "user": sandbox.agent().user,
            "token": sandbox.agent().token,
            "customer": sandbox.customer(),
            "cloud_id": (flavour == Flavour::Cloud).then_some(CLOUD_ID),
        },
        "desk": credentials.desk,
        "tracker": credentials.tracker,
    });
    writeln!(std::io::stdout(), "{line}")?;
    std::io::stdout().flush()?;
    axum::serve(listener, sandbox.router()).with_graceful_shutdown(stopped()).await
}

async fn stopped() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
