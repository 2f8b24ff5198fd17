//! `wherry demo`.
use crate::{commands::Context, error::Outcome};
use clap::Args;
/// x
#[derive(Debug, Args)]
pub(crate) struct Arguments {}
pub(crate) async fn run(_a: Arguments, _c: &Context) -> Outcome {
    Ok(())
}
