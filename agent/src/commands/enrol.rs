//! `wherry-agent enrol`.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;
use wherry_daemon::{clock::Clock, exit::Exit};
use wherry_domain::name::Name;
use wherry_trust::token::{EnrolmentToken, MalformedToken};

use super::{Output, SettingArgs, failed, print_json, read_input};
use crate::{
    identity::{self, EnrolOptions, IdentityError},
    net::WebAddress,
};

/// Trades a one-time token for an identity.
#[derive(Clone, Debug, clap::Args)]
pub struct EnrolArgs {
    /// The controller's address for agents, such as https://controller.example.com:8444.
    #[arg(long)]
    url: WebAddress,
    /// File with the token, or - for standard input.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// What the agent is to be called.
    #[arg(long)]
    name: Name,
    #[command(flatten)]
    settings: SettingArgs,
}

/// Enrols this machine.
pub fn enrol(args: EnrolArgs, output: Output) -> ExitCode {
    let config = match args.settings.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let refused = |error: &IdentityError| failed(error, &error.code(), error.exit());
    let token = match read_token(&args.token_file) {
        Ok(token) => token,
        Err(error) => return refused(&error),
    };
    let options = EnrolOptions { url: args.url, token, name: args.name, proxy: config.controller_proxy };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, &wherry_domain::failure::Code::new("agent.system"), Exit::Software),
    };
    match runtime.block_on(identity::enrol(&config.data, options, &Clock::system())) {
        Err(error) => refused(&error),
        Ok(enrolled) if output == Output::Json => {
            let operator = enrolled.invited.as_ref().map(|invited| invited.operator);
            let fingerprint = enrolled.invited.and_then(|invited| invited.fingerprint);
            print_json(&json!({
                "agent_id": enrolled.agent, "group": enrolled.group, "operator": operator, "fingerprint": fingerprint
            }))
        }
        Ok(enrolled) => {
            println!("enrolled as {} in group {}", enrolled.agent, enrolled.group);
            if let Some(invited) = &enrolled.invited {
                println!("operator of the group's keys: {}", invited.operator);
                let fingerprint = invited.fingerprint.as_deref().unwrap_or("none yet, this agent founds it");
                println!("fingerprint of the group: {fingerprint}");
            }
            println!("start it with: wherry-agent run --data {}", config.data.root().display());
            Exit::Success.into()
        }
    }
}

fn read_token(path: &std::path::Path) -> Result<EnrolmentToken, IdentityError> {
    let content = read_input(path).map_err(|error| {
        eprintln!("{error}");
        IdentityError::Token(MalformedToken)
    })?;
    let text = std::str::from_utf8(&content).map_err(|_| MalformedToken)?;
    Ok(EnrolmentToken::parse(text)?)
}
