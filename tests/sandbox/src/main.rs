//! `wherry-sandbox`: the simulated systems as a process. Its first line on stdout says where it listens and which
//! credentials it wants, as JSON.

use std::io::Write;
use std::net::SocketAddr;

use clap::Parser;
use serde_json::json;
use tokio::net::TcpListener;
use wherry_sandbox::Sandbox;

/// Simulated service desk and issue tracker for demonstrations and tests.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many service requests the desk has.
    #[arg(long, default_value_t = 250)]
    requests: usize,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let sandbox = Sandbox::new(arguments.requests);
    let listener = TcpListener::bind(arguments.listen).await?;
    let address = listener.local_addr()?;
    let credentials = sandbox.credentials();
    let line = json!({
        "url": format!("http://{address}"),
        "port": address.port(),
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
