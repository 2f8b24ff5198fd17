//! Memory of idle programs, how soon an agent is registered, and the size of the binaries.

use std::{fs, process::Command, time::Duration};

use serde_json::{Map, Value, json};

use crate::{bed::Bed, process::program, target};

/// How long programs idle before they are measured: two heartbeats.
const SETTLE: Duration = Duration::from_secs(20);

/// Measures a controller with one agent that has run something once.
///
/// # Errors
/// If a step fails.
pub(crate) async fn measure() -> anyhow::Result<Map<String, Value>> {
    let (bed, controller_ready) = Bed::start().await?;
    bed.wherry(&["environment", "create", "bench", "--group", "bench"])?;
    bed.deploy(&format!("http://{}", target::start().await?))?;
    let (agent, registered) = bed.agent("agent-1").await?;
    bed.wherry(&["operation", "run", "get", "--environment", "bench", "--wait"])?;
    tokio::time::sleep(SETTLE).await;
    let mut figures = Map::new();
    figures.insert("controller_pss_mib".to_owned(), mib(bed.controller.pss_kib()?));
    figures.insert("agent_pss_mib".to_owned(), mib(agent.pss_kib()?));
    figures.insert("controller_ready_ms".to_owned(), json!(controller_ready.as_millis() as u64));
    figures.insert("agent_registered_ms".to_owned(), json!(registered.as_millis() as u64));
    let mut total = 0;
    for name in ["wherry-controller", "wherry-agent"] {
        let stripped = bed.dir().join(format!("{name}.stripped"));
        let status = Command::new("strip").arg("-o").arg(&stripped).arg(program(name)?).status()?;
        anyhow::ensure!(status.success(), "strip failed for {name}");
        total += fs::metadata(&stripped)?.len();
    }
    figures.insert("binaries_mb".to_owned(), json!((total as f64 / 1e5).round() / 10.0));
    Ok(figures)
}

fn mib(kib: u64) -> Value {
    json!((kib as f64 / 102.4).round() / 10.0)
}
