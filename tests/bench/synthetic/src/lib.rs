//! A connector without a system: makes records and takes records, so that benchmarks see the agent and nothing else.

use wherry_sdk::prelude::*;

struct Synthetic;

/// # Generate
///
/// Makes numbered records of about the same size.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Generate {
    /// How many.
    records: u64,
    /// Bytes of each, roughly, at least 60.
    #[serde(default = "two_hundred")]
    bytes: usize,
}

/// # Discard
///
/// Takes records and forgets them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Discard {}

/// A record.
#[derive(Serialize, JsonSchema)]
struct Item<'a> {
    id: u64,
    state: &'static str,
    text: &'a str,
}

fn two_hundred() -> usize {
    200
}

impl Connector for Synthetic {
    const NAME: &'static str = "synthetic";
    const VERSION: &'static str = "1.0.0";
    const TITLE: &'static str = "Synthetic records";
    type Options = NoOptions;

    fn test(_: &Context<NoOptions>) -> Result<Value> {
        Ok(json!({}))
    }

    fn activities() -> Activities<Self> {
        Activities::new().source("generate", SideEffects::Read, generate).target(
            "discard",
            SideEffects::Idempotent,
            discard,
        )
    }
}

fn generate(_: &Context<NoOptions>, params: Generate, out: &mut Writer) -> Result<Done> {
    let text = "x".repeat(params.bytes.saturating_sub(45));
    for id in 0..params.records {
        out.push(&Item { id, state: if id % 2 == 0 { "open" } else { "closed" }, text: &text })?;
        if id % 10_000 == 9_999 {
            out.mark(&json!({ "next": id + 1 }))?;
        }
    }
    Ok(Done::silently())
}

fn discard(cx: &Context<NoOptions>, _: Discard, input: &mut Reader) -> Result<Done> {
    while let Some(batch) = input.batch()? {
        input.ack(batch.end())?;
        cx.stop_if_asked()?;
    }
    Ok(Done::silently())
}

wherry_sdk::export!(Synthetic);
