//! `wherry audit`.

use clap::Args;

use super::Context;
use crate::error::Outcome;
use crate::table::{Column, count, text, time};

const COLUMNS: &[Column] = &[
    count("N", "n"),
    time("AT", "at"),
    text("WHO", "who"),
    text("WHAT", "what"),
    text("TARGET", "target"),
    text("DETAIL", "detail"),
];

/// How much of it.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// At most this many entries.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

impl Audit {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let entries = context.client()?.first(&["audit"], &[], self.limit).await?;
        context.screen.list(COLUMNS, &entries);
        Ok(())
    }
}
