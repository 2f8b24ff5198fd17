//! `wherry`: the tool of operators and developers. It speaks the controller's REST interface and nothing else.

mod client;
mod clock;
mod codes;
mod commands;
mod demo;
mod enrolment;
mod error;
mod exit;
mod follow;
mod harness;
mod key_file;
mod keys;
mod keystore;
mod manifest;
mod package;
mod pages;
mod project;
mod prompt;
mod recovery;
mod roster;
mod scaffold;
mod screen;
mod settings;
mod sibling;
mod table;
mod text;
mod trial;

use std::process::ExitCode;

use clap::Parser;

use commands::Cli;
use exit::Exit;
use screen::Screen;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new(cli.output);
    // Fails only if a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match commands::run(cli, screen).await {
        Ok(()) => {
            screen.finish();
            Exit::Done.into()
        }
        Err(error) => {
            screen.error(&error);
            error.exit.into()
        }
    }
}
