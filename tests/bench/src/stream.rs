//! Records through the whole product: inside the agent, from a paged system, and through a proxy; against a native
//! client that does the same calls.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::{bed::Bed, connect_proxy, native::Native, process::Process, system::System};

const RECORDS: u64 = 1_000_000;
const QUERIED: u64 = 100_000;
const PAGE: u64 = 100;
const REQUESTS: u64 = 5_000;
const CREATED: u64 = 10_000;
const IN_FLIGHT: usize = 16;

/// What can be measured alone.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// From a source inside the agent to a target there.
    Inside,
    /// Pages of a system.
    Queries,
    /// Single requests through a proxy.
    Proxy,
    /// Requests created, sixteen at a time.
    Creates,
}

/// Measures records per second and memory.
///
/// # Errors
/// If a run fails.
pub(crate) async fn measure(only: Option<Part>) -> anyhow::Result<Map<String, Value>> {
    let proxy = connect_proxy::start().await?.to_string();
    let (bed, _) = Bed::start().await?;
    let large = System::start(bed.dir(), QUERIED).await?;
    let small = System::start(bed.dir(), REQUESTS).await?;
    bed.wherry(&["environment", "create", "bench", "--group", "bench"])?;
    bed.publish(&["http", "synthetic", "jira-service-management"])?;
    bed.project(&project(&large, &small))?;
    let secrets = [("large", large.token.as_str()), ("small", small.token.as_str())];
    let (agent, _) = bed.agent_with("agent-1", &secrets, &format!("[proxy]\nurl = \"http://{proxy}\"\n")).await?;
    bed.run("warm-up").await?;
    let mut figures = Map::new();
    for part in [Part::Inside, Part::Queries, Part::Proxy, Part::Creates] {
        match part {
            _ if only.is_some_and(|only| only != part) => {}
            Part::Inside => inside(&bed, &agent, &mut figures).await?,
            Part::Queries => queries(&bed, &large, &mut figures).await?,
            Part::Proxy => through_proxy(&bed, &small, &proxy, &mut figures).await?,
            Part::Creates => creates(&bed, &small, &mut figures).await?,
        }
    }
    Ok(figures)
}

/// Source to target, and through a transformation, with the memory that takes.
async fn inside(bed: &Bed, agent: &Process, figures: &mut Map<String, Value>) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = agent.pss_kib()?;
    for (operation, name) in [("copy", "copy"), ("transform", "jq")] {
        let (took, peak) = watched(agent, bed.run(operation)).await?;
        figures.insert(format!("{name}_records_per_s"), rate(RECORDS, took));
        figures.insert(format!("{name}_mib_above_idle"), json!(peak.saturating_sub(idle) / 1_024));
    }
    Ok(())
}

/// All requests of the desk, page by page.
async fn queries(bed: &Bed, system: &System, figures: &mut Map<String, Value>) -> anyhow::Result<()> {
    let native = Native::direct();
    let begun = Instant::now();
    let read = native.pages(system, PAGE).await?;
    let floor = begun.elapsed();
    anyhow::ensure!(read == QUERIED, "the native client read {read}");
    let run = timed(bed.run("query")).await?;
    figures.insert("query_native_records_per_s".to_owned(), rate(QUERIED, floor));
    figures.insert("query_records_per_s".to_owned(), rate(QUERIED, run));
    figures.insert("query_ratio".to_owned(), ratio(floor, run));
    Ok(())
}

/// Requests created at the desk, sixteen at a time.
async fn creates(bed: &Bed, system: &System, figures: &mut Map<String, Value>) -> anyhow::Result<()> {
    let native = Native::direct();
    let begun = Instant::now();
    native.creates(system, CREATED, IN_FLIGHT).await?;
    let floor = begun.elapsed();
    let run = timed(bed.run("create")).await?;
    figures.insert("create_native_per_s".to_owned(), rate(CREATED, floor));
    figures.insert("create_per_s".to_owned(), rate(CREATED, run));
    figures.insert("create_ratio".to_owned(), ratio(floor, run));
    Ok(())
}

/// Single requests, one after the other, through the same proxy.
async fn through_proxy(
    bed: &Bed,
    system: &System,
    proxy: &str,
    figures: &mut Map<String, Value>,
) -> anyhow::Result<()> {
    let native = Native::through(proxy)?;
    let begun = Instant::now();
    native.pages(system, 1).await?;
    let floor = begun.elapsed();
    let run = timed(bed.run("single")).await?;
    let each = |time: Duration| json!((time.as_nanos() as f64 / 1_000.0 / REQUESTS as f64).round());
    figures.insert("proxied_get_native_us".to_owned(), each(floor));
    figures.insert("proxied_get_us".to_owned(), each(run));
    figures.insert("proxied_get_ratio".to_owned(), ratio(run, floor));
    Ok(())
}

/// The files of the project.
fn project(large: &System, small: &System) -> Vec<(&'static str, String)> {
    let connection = |system: &System, secret: &str, proxy: bool| {
        format!(
            "connector: http\nurl: {}\nuse_proxy: {proxy}\ntls: {{ use_non_tls_connections: {proxy} }}\nauth:\n  type: basic\n  username: {}\n  password: {{ secret: {secret} }}\n",
            system.url, system.user
        )
    };
    let generate =
        |records: u64| format!("{{ connection: synthetic, activity: generate, with: {{ records: {records} }} }}");
    let to_nowhere = "target: { connection: synthetic, activity: discard }\ntimeout: 10m\n";
    let pages = |connection: &str, size: u64| {
        format!(
            "source: {{ connection: {connection}, activity: query, with: {{ path: /rest/servicedeskapi/request, records: values, \
             paging: {{ offset: {{ parameter: start, limit_parameter: limit, limit: {size} }} }} }} }}\n{to_nowhere}"
        )
    };
    vec![
        ("connections/desk.yaml", connection(large, "large", false)),
        ("connections/proxied.yaml", connection(small, "small", true)),
        ("connections/synthetic.yaml", "connector: synthetic\nurl: https://nowhere.invalid\n".to_owned()),
        ("operations/warm-up.yaml", format!("source: {}\ntransform: .\n{to_nowhere}", generate(1_000))),
        ("operations/copy.yaml", format!("source: {}\n{to_nowhere}", generate(RECORDS))),
        (
            "operations/transform.yaml",
            format!("source: {}\ntransform: \"{{ id, text }}\"\n{to_nowhere}", generate(RECORDS)),
        ),
        (
            "connections/jira.yaml",
            connection(small, "small", false).replace("connector: http", "connector: jira-service-management"),
        ),
        (
            "operations/create.yaml",
            format!(
                "source: {}\ntransform: |\n  {{ requestFieldValues: {{ summary: \"Request \\(.id)\", description: .text }} }}\n\
                 target:\n  connection: jira\n  activity: create\n  with: {{ table: Requests, serviceDesk: \"2\", requestType: \"22\" }}\ntimeout: 10m\n",
                generate(CREATED)
            ),
        ),
        ("operations/query.yaml", pages("desk", PAGE)),
        ("operations/single.yaml", pages("proxied", 1)),
    ]
}

async fn timed<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

/// How long it takes, and the most memory that was seen meanwhile.
async fn watched<T>(agent: &Process, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(Duration, u64)> {
    let begun = Instant::now();
    let mut work = std::pin::pin!(work);
    let (mut peak, mut look) = (0, tokio::time::interval(Duration::from_millis(100)));
    loop {
        tokio::select! {
            done = &mut work => {
                done?;
                return Ok((begun.elapsed(), peak.max(agent.pss_kib()?)));
            }
            _ = look.tick() => peak = peak.max(agent.pss_kib()?),
        }
    }
}

fn rate(records: u64, took: Duration) -> Value {
    json!((records as f64 / took.as_secs_f64()).round())
}

fn ratio(of: Duration, to: Duration) -> Value {
    json!((of.as_secs_f64() / to.as_secs_f64() * 100.0).round() / 100.0)
}
