//! Uses the contract against its meaning: batches, cursors, acknowledgements, state, blobs, cancellation.

use std::time::Duration;

use serde_json::json;

use crate::bindings::wherry::connector::blobs::{self, BlobWriter};
use crate::bindings::wherry::connector::state;
use crate::bindings::wherry::connector::telemetry;
use crate::bindings::wherry::connector::types::{Batch, Error, ErrorKind};
use crate::connector::{Scene, error};
use crate::exhaustion::pause;

/// Runs the activity, if it is one of these.
pub(crate) fn run(activity: &str, scene: &Scene<'_>) -> Option<Result<String, Error>> {
    Some(match activity {
        "big-batch" => write(scene, 1_001, "1\n".repeat(1_001), None),
        "lying-batch" => write(scene, 3, "1\n".into(), None),
        "gossip" => gossip(scene),
        "gossip-about" => gossip_about(scene),
        "big-cursor" => write(scene, 1, "1\n".into(), Some("x".repeat(20_000))),
        "ack-ahead" => scene.reader().and_then(|reader| reader.ack(1)).map(|()| "{}".into()),
        "reject-ahead" => scene
            .reader()
            .and_then(|reader| reader.reject(0, &error(ErrorKind::Data, "hostile.row", "no")))
            .map(|()| "{}".into()),
        "drain" => drain(scene),
        "state" => fill_state(scene),
        "count" => count_up(scene),
        "environment" => {
            Ok(json!(std::env::vars().chain([(String::new(), std::env::args().collect())]).collect::<Vec<_>>())
                .to_string())
        }
        "blob-flood" => blob_flood(),
        "blob-write" => blob_write(scene.text("content")),
        "blob-read" => blob_read(scene.text("handle")),
        "not-json" => Ok("{".into()),
        "wait-for-cancel" => loop {
            if scene.inv.cancelled() {
                break Err(error(ErrorKind::Cancelled, "hostile.cancelled", "as you wish"));
            }
            pause(Duration::from_millis(1));
        },
        "cursor" => {
            Ok(json!({ "cursor": scene.inv.cursor(), "attempt": scene.inv.attempt(), "key": scene.inv.key() })
                .to_string())
        }
        _ => return None,
    })
}

fn write(scene: &Scene<'_>, count: u32, data: String, cursor: Option<String>) -> Result<String, Error> {
    scene.writer()?.write(&Batch { count, data: data.into_bytes() }, cursor.as_deref())?;
    Ok("{}".into())
}

/// Reads a record of a system, and tells of it wherever a connector can write a word. The record is the parameter turned
/// round, so that nobody who knows the project alone knows it.
#[expect(clippy::panic, reason = "this is a misdeed")]
fn gossip(scene: &Scene<'_>) -> Result<String, Error> {
    let record: String = scene.text("record").chars().rev().collect();
    let line = format!("{}\n", json!({ "told": record }));
    scene.writer()?.write(&Batch { count: 1, data: line.into_bytes() }, None)?;
    talk(&record);
    if scene.text("then") == "panic" {
        panic!("{record}");
    }
    if scene.text("then") == "end" {
        return Ok(json!({ "told": record }).to_string());
    }
    Err(Error { details: Some(json!(record).to_string()), ..error(ErrorKind::Data, "hostile.gossip", record) })
}

/// Refuses every record with its own content, and fails with it.
fn gossip_about(scene: &Scene<'_>) -> Result<String, Error> {
    let (reader, mut row, mut last) = (scene.reader()?, 0, String::new());
    while let Some(batch) = reader.next(1, 1 << 20)? {
        last = String::from_utf8_lossy(&batch.data).into_owned();
        talk(&last);
        reader.reject(row, &error(ErrorKind::Data, "hostile.gossip", last.as_str()))?;
        row += u64::from(batch.count);
        reader.ack(row)?;
    }
    if scene.text("then") == "end" { Ok("{}".into()) } else { Err(error(ErrorKind::Data, "hostile.gossip", last)) }
}

fn talk(text: &str) {
    for level in [telemetry::Level::Debug, telemetry::Level::Info, telemetry::Level::Warn, telemetry::Level::Error] {
        telemetry::log(level, text, Some(&json!({ "told": text }).to_string()));
    }
    telemetry::counter(text, 1);
}

/// Reads everything in small bites and says what it saw.
fn drain(scene: &Scene<'_>) -> Result<String, Error> {
    let reader = scene.reader()?;
    let mut bites = Vec::new();
    let mut total = 0;
    while let Some(batch) = reader.next(u32::try_from(scene.number("rows")).unwrap_or(u32::MAX), 1 << 20)? {
        total += u64::from(batch.count);
        bites.push(String::from_utf8_lossy(&batch.data).into_owned());
        reader.ack(total)?;
    }
    Ok(json!({ "bites": bites, "first": reader.first_row() }).to_string())
}

fn fill_state(scene: &Scene<'_>) -> Result<String, Error> {
    let before = state::get("k")?.map(|value| String::from_utf8_lossy(&value).into_owned());
    state::put("k", b"new")?;
    if scene.number("bytes") > 0 {
        state::put("big", &vec![0; usize::try_from(scene.number("bytes")).unwrap_or_default()])?;
    }
    Ok(json!({ "before": before, "keys": state::keys("")? }).to_string())
}

/// Counts its runs in what the connection remembers, and yields as many records. In one attempt it then waits for its
/// end: the count of that attempt must not last.
fn count_up(scene: &Scene<'_>) -> Result<String, Error> {
    let before = state::get("runs")?.and_then(|value| String::from_utf8(value).ok()?.parse().ok()).unwrap_or(0_u32);
    let count = before.saturating_add(1);
    state::put("runs", count.to_string().as_bytes())?;
    scene.writer()?.write(&Batch { count, data: "1\n".repeat(count as usize).into_bytes() }, None)?;
    if scene.number("wait_in_attempt") == u64::from(scene.inv.attempt()) {
        pause(Duration::from_secs(3_600));
    }
    Ok(json!({ "runs": count }).to_string())
}

fn blob_flood() -> Result<String, Error> {
    let writer = BlobWriter::new();
    let chunk = vec![0; 1 << 20];
    loop {
        writer.write(&chunk)?;
    }
}

fn blob_write(content: &str) -> Result<String, Error> {
    let writer = BlobWriter::new();
    writer.write(content.as_bytes())?;
    let handle = writer.finish()?;
    let again = writer.write(b"more").err().map(|error| error.code);
    Ok(json!({ "handle": handle, "again": again }).to_string())
}

fn blob_read(handle: &str) -> Result<String, Error> {
    let blob = blobs::open(handle)?;
    let (start, end) = (blob.read(0, 4)?, blob.read(4, u32::MAX)?);
    let beyond = blob.read(u64::MAX, u32::MAX)?.len();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(json!({ "size": blob.size(), "start": text(start), "end": text(end), "beyond": beyond }).to_string())
}
