//! The commands, one file per group of them.

mod action;
mod agent;
mod alias;
mod app;
mod audit;
mod completions;
mod connection;
mod connector;
mod environment;
mod expr;
mod key;
mod oauth;
mod operation;
mod policy;
mod project;
mod publisher;
mod run;
mod sandbox;
mod secret;
mod session;

use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::demo;
use crate::error::Outcome;
use crate::exit;
use crate::screen::{Format, Screen};
use crate::settings;
pub(crate) use connector::moves::{Action, Asked as AskedMove, sign_planned};
pub(crate) use project::{Asked, submit};

/// Runs project operations on private agents inside customers' networks.
#[derive(Debug, Parser)]
#[command(
    name = "wherry",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = exit::HELP,
    before_help = "\
Examples:
    wherry demo                                          everything on this machine, in a minute
    wherry login https://wherry.example:8443 --token-file token
    wherry project deploy desk --environment prod
    wherry operation run requests-to-issues --environment prod --follow"
)]
pub(crate) struct Cli {
    /// How data is written; errors follow suit.
    #[arg(long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
    /// The controller, for example https://wherry.example:8443.
    #[arg(long, global = true, env = "WHERRY_URL", value_name = "URL")]
    url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a controller, two agents and simulated systems on this machine and runs an operation.
    Demo(demo::Arguments),
    /// Signs in and remembers it.
    Login(session::Login),
    /// Shows as whom and where.
    Whoami,
    /// Forgets the sign-in.
    Logout,
    /// Shows how the controller, its agents and runs are doing.
    Status,
    /// Environments: where projects are deployed to.
    #[command(subcommand)]
    Environment(environment::Environments),
    /// Agent groups: which agents serve which environments.
    #[command(subcommand)]
    Group(environment::Groups),
    /// Agents: enrol, look after, remove.
    #[command(subcommand)]
    Agent(agent::Agents),
    /// Keys of publishers and operators: make and show them; who has a group's keys.
    #[command(subcommand)]
    Key(key::Keys),
    /// Publishers of connectors: trust, revoke, and the list that operators sign.
    #[command(subcommand)]
    Publisher(publisher::Publishers),
    /// Secrets: set, list, remove; sealed here, so that only agents can read them.
    #[command(subcommand)]
    Secret(secret::Secrets),
    /// Connectors: package, publish, list.
    #[command(subcommand)]
    Connector(connector::Connectors),
    /// Connections: list, test, ask about the system behind them.
    #[command(subcommand)]
    Connection(connection::Connections),
    /// Accounts of connections that sign in with OAuth: connect, show, disconnect.
    #[command(subcommand, name = "oauth")]
    OAuth(oauth::OAuth),
    /// Applications registered with providers of OAuth.
    #[command(subcommand)]
    App(app::Apps),
    /// Policies: the organisation's rules, and environments that are stricter.
    #[command(subcommand)]
    Policy(policy::Policies),
    /// Projects: check, deploy, list.
    #[command(subcommand)]
    Project(project::Projects),
    /// Transformations and conditions: try a program.
    #[command(subcommand)]
    Expr(expr::Expressions),
    /// Aliases: which connections stand behind names in an environment.
    #[command(subcommand)]
    Alias(alias::Aliases),
    /// Actions: call an activity and see its answer.
    #[command(subcommand)]
    Action(action::Actions),
    /// Operations: list and run.
    #[command(subcommand)]
    Operation(operation::Operations),
    /// Runs: list, show, follow, cancel, retry.
    #[command(subcommand)]
    Run(run::Runs),
    /// Simulated systems to try things on.
    #[command(subcommand)]
    Sandbox(sandbox::Sandboxes),
    /// Shows who did what.
    Audit(audit::Audit),
    /// Prints a completion script for a shell.
    Completions(completions::Completions),
}

/// What every command has at hand.
pub(crate) struct Context {
    pub(crate) screen: Screen,
    url: Option<String>,
}

impl Context {
    pub(crate) fn new(screen: Screen, url: Option<String>) -> Self {
        Self { screen, url }
    }

    /// The controller that the person signed in to.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::new(settings::access(self.url.as_deref())?)
    }

    /// The same, or `None` where nobody signed in.
    pub(crate) fn client_if_any(&self) -> Outcome<Option<Client>> {
        settings::access_if_any(self.url.as_deref())?.map(Client::new).transpose()
    }
}

/// Runs the command of a parsed command line.
pub(crate) async fn run(cli: Cli, screen: Screen) -> Outcome {
    let context = Context::new(screen, cli.url);
    match cli.command {
        Command::Demo(arguments) => demo::run(arguments, &context).await,
        Command::Login(login) => login.run(&context).await,
        Command::Whoami => session::whoami(&context).await,
        Command::Logout => session::logout(&context),
        Command::Status => session::status(&context).await,
        Command::Environment(command) => command.run(&context).await,
        Command::Group(command) => command.run(&context).await,
        Command::Agent(command) => command.run(&context).await,
        Command::Key(command) => command.run(&context).await,
        Command::Publisher(command) => command.run(&context).await,
        Command::Secret(command) => command.run(&context).await,
        Command::Connector(command) => command.run(&context).await,
        Command::Connection(command) => command.run(&context).await,
        Command::OAuth(command) => command.run(&context).await,
        Command::App(command) => command.run(&context).await,
        Command::Policy(command) => command.run(&context).await,
        Command::Project(command) => command.run(&context).await,
        Command::Expr(command) => command.run(&context).await,
        Command::Alias(command) => command.run(&context).await,
        Command::Action(command) => command.run(&context).await,
        Command::Operation(command) => command.run(&context).await,
        Command::Run(command) => command.run(&context).await,
        Command::Sandbox(command) => command.run(&context).await,
        Command::Audit(command) => command.run(&context).await,
        Command::Completions(completions) => {
            completions.run(&context);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The guides of those who write connectors, publish them, and let them in.
    const GUIDES: [&str; 4] = [
        include_str!("../../docs/guides/write-a-connector.md"),
        include_str!("../../docs/guides/publish-a-connector.md"),
        include_str!("../../docs/guides/foreign-publisher.md"),
        include_str!("../../docs/guides/other-languages.md"),
    ];

    #[test]
    fn every_command_in_the_guides_for_connectors_is_one_that_this_tool_knows() {
        let blocks = GUIDES.iter().flat_map(|guide| guide.split("```sh\n").skip(1));
        let lines = blocks.flat_map(|rest| rest.split("```").next().unwrap().lines());
        let commands: Vec<&str> = lines.filter(|line| line.starts_with("wherry ")).collect();
        assert!(commands.len() >= 20, "only {} commands were found", commands.len());
        for command in commands {
            let parsed = Cli::try_parse_from(words(command));
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }

    /// The words of a line without what only the shell sees, and with a key where the line puts one in.
    fn words(line: &str) -> Vec<String> {
        const KEY: &str = "ed25519:eyledc-Jty9fXrXZckw6bkzOT4_uMQgp1s51KwxrNPA";
        let line = [" #", " > "].iter().fold(line, |line, end| line.split(end).next().unwrap());
        let line = match (line.split_once("\"$("), line.rsplit_once(")\"")) {
            (Some((before, _)), Some((_, after))) => format!("{before}{KEY}{after}"),
            _ => line.to_owned(),
        };
        line.replace("ed25519:...", KEY).replace('\'', "").split_whitespace().map(str::to_owned).collect()
    }
}
