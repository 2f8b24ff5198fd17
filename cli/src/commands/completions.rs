//! `wherry completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Context};

/// Which shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For example: wherry completions bash > /etc/bash_completion.d/wherry
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, context: &Context) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "wherry", &mut script);
        context.screen.raw(&String::from_utf8_lossy(&script));
    }
}
