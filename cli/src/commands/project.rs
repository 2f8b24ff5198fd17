//! `wherry project`.

mod signing;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize as _;
use serde_json::{Value, json};
use wherry_domain::failure::Code;
use wherry_domain::name::Name;
use wherry_domain::project::check::Spot;
use wherry_domain::project::{Alias, Mapping, Project};

pub(crate) use self::signing::Asked;
use super::Context;
use crate::client::{Body, Call, Client};
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::keystore::Keystore;
use crate::project::export::{files, write};
use crate::project::{Fault, Loaded, load};
use crate::prompt::confirm;
use crate::table::{Column, count, list, text, time};
use crate::text::plain;

const CHECKED: &[Column] = &[
    text("PROJECT", "project"),
    list("CONNECTIONS", "connections"),
    list("OPERATIONS", "operations"),
    text("CONNECTORS", "connectors"),
];
const DEPLOYMENT: &[Column] = &[
    text("PROJECT", "project"),
    text("ENVIRONMENT", "environment"),
    count("NUMBER", "number"),
    list("OPERATIONS", "operations"),
    text("CONNECTORS", "connectors"),
    list("SIGNED BY", "signed_by"),
    text("DIGEST", "digest"),
    text("ID", "id"),
];
const HISTORY: &[Column] = &[
    text("PROJECT", "project"),
    count("NUMBER", "number"),
    time("DEPLOYED", "created_at"),
    text("BY", "created_by"),
    list("SIGNED BY", "signed_by"),
    text("DIGEST", "digest"),
    text("ID", "id"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Projects {
    /// Checks a project folder: every fault with its file, line and column.
    Check {
        /// The folder with wherry.yaml.
        folder: PathBuf,
        /// Checks connectors and activities too, at the controller, as for a deployment there.
        #[arg(long)]
        environment: Option<Name>,
    },
    /// Deploys a project folder to an environment.
    Deploy(Deploy),
    /// Lists the projects in an environment.
    List {
        /// The environment.
        #[arg(long)]
        environment: Name,
    },
    /// Lists the deployments of a project, newest first.
    History {
        /// The project's name.
        project: Name,
        /// The environment.
        #[arg(long)]
        environment: Name,
    },
    /// Writes a deployed project back as files, from which it can be deployed in another environment.
    #[command(after_help = "\
Examples:
    wherry project export desk --environment dev --to desk
    wherry alias set crm helix-prod --project desk --environment prod
    wherry project deploy desk --environment prod")]
    Export {
        /// The project's name.
        project: Name,
        /// The environment it is deployed in.
        #[arg(long)]
        environment: Name,
        /// The folder to make [default: one with the project's name].
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
    },
    /// Takes a project out of an environment; its deployments stay on record.
    Undeploy {
        /// The project's name.
        project: Name,
        /// The environment.
        #[arg(long)]
        environment: Name,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The folder with wherry.yaml.
    folder: PathBuf,
    /// The environment.
    #[arg(long)]
    environment: Name,
    /// Lets the controller check everything and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Signs the deployment with your operator key, for environments and agents that run signed work alone.
    #[arg(long, conflicts_with = "dry_run")]
    sign: bool,
    /// Does not ask before it signs what the controller filled in.
    #[arg(long, requires = "sign")]
    yes: bool,
}

impl Projects {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Check { folder, environment } => check(&folder, environment, context).await,
            Self::Deploy(deploy) => deploy.run(context).await,
            Self::List { environment } => {
                let mut deployments = deployments(&context.client()?, &environment, None).await?;
                keep_current(&mut deployments);
                context.screen.list(HISTORY, &deployments);
                Ok(())
            }
            Self::History { project, environment } => {
                let deployments = deployments(&context.client()?, &environment, Some(&project)).await?;
                context.screen.list(HISTORY, &deployments);
                Ok(())
            }
            Self::Export { project, environment, to } => export(&project, &environment, to, context).await,
            Self::Undeploy { project, environment, yes } => undeploy(&project, &environment, yes, context).await,
        }
    }
}

impl Deploy {
    async fn run(self, context: &Context) -> Outcome {
        let loaded = load(&self.folder);
        let project = sound(&loaded)?;
        note_unused(&loaded, &self.environment, project, context);
        let client = context.client()?;
        let deployment = if self.sign {
            self.signed(&client, &loaded, context).await?
        } else {
            let asked = if self.dry_run { Asked::DryRun } else { Asked::Deploy };
            submit(&client, &loaded, &self.environment, asked).await?
        };
        let unchanged = deployment.get("unchanged").and_then(Value::as_bool) == Some(true);
        let (name, environment) = (&project.name, &self.environment);
        match (self.dry_run, unchanged) {
            (true, true) => {
                context.screen.done(&format!("unchanged: {environment} has exactly this {name}"), &deployment)
            }
            (true, false) => context.screen.done(&format!("{name} can be deployed to {environment}"), &deployment),
            (false, true) => {
                context.screen.done(&format!("unchanged: {environment} has exactly this {name}"), &deployment)
            }
            (false, false) => context.screen.show(DEPLOYMENT, &deployment),
        }
        if !self.dry_run && !context.screen.is_json() {
            self.note_newer(&client, &deployment, context).await;
        }
        Ok(())
    }

    /// A deployment moves no connector that the environment has already, so whoever published a new version hears where to
    /// go on. What cannot be asked is left out: the deployment is done.
    async fn note_newer(&self, client: &Client, deployment: &Value, context: &Context) {
        let environment = &self.environment;
        let Ok(standing) = client.all(&["environments", environment.as_str(), "connectors"], &[]).await else { return };
        let items = standing.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for line in items.iter().filter_map(|item| newer(item, deployment, environment)) {
            context.screen.note(&line);
        }
    }
}

/// That a connector of the deployment has a newer version than the environment runs.
fn newer(item: &Value, deployment: &Value, environment: &Name) -> Option<String> {
    let said = |key: &str| item.get(key).and_then(Value::as_str);
    let (connector, version, newest) = (said("connector")?, said("version")?, said("newest")?);
    deployment.get("connectors")?.get(connector)?;
    if version.parse::<semver::Version>().ok()? >= newest.parse().ok()? {
        return None;
    }
    let stays = if item.get("pinned") == Some(&Value::Bool(true)) { "is pinned at" } else { "stays" };
    Some(plain(&format!(
        "{connector} {stays} {version}; {newest} is published: wherry connector upgrade {connector} --environment {environment}"
    )))
}

impl Deploy {
    /// Has the deployment made, signs it and has it deployed.
    async fn signed(&self, client: &Client, loaded: &Loaded, context: &Context) -> Outcome<Value> {
        let (operator, _) = Keystore::own()?.operator()?;
        let signer = operator.public().key_id().to_string();
        let proposed = submit(client, loaded, &self.environment, Asked::ToSign(signer)).await?;
        let mapping = mapping(loaded, &self.environment)?;
        let what = (&self.environment, sound(loaded)?, &mapping);
        match signing::envelope(&proposed, what, &operator, context, self.yes)? {
            Some(envelope) => submit(client, loaded, &self.environment, Asked::Signed(envelope)).await,
            None => Ok(proposed),
        }
    }
}

/// Several projects may share an environment's file, so this is no fault.
fn note_unused(loaded: &Loaded, environment: &Name, project: &Project, context: &Context) {
    let Ok(Some(settings)) = loaded.settings(environment) else { return };
    let unused: Vec<&str> = settings.mapping.unused(project).map(Name::as_str).collect();
    if !unused.is_empty() {
        let file = settings.file.display();
        context.screen.note(&format!("{file}: project {} declares no {}", project.name, unused.join(", ")));
    }
}

async fn export(project: &Name, environment: &Name, to: Option<PathBuf>, context: &Context) -> Outcome {
    let client = context.client()?;
    let mut found = deployments(&client, environment, Some(project)).await?;
    keep_current(&mut found);
    let id = found.get("items").and_then(|items| items.get(0)?.get("id")?.as_str());
    let missing = || {
        let message = format!("project {project} is not deployed in {environment}: see wherry project list");
        CliError::new(Exit::NotFound, codes::PROJECT_NOT_DEPLOYED, message)
    };
    let deployment = client.get(&["deployments", id.ok_or_else(missing)?]).await?;
    let exported = deployment.get("snapshot").and_then(|snapshot| snapshot.get("project")).ok_or_else(missing)?;
    let files = files(exported);
    let folder = to.unwrap_or_else(|| PathBuf::from(project.as_str()));
    write(&folder, &files).map_err(|error| {
        let message = format!("{}: {error}; export writes into a folder that it makes itself", folder.display());
        CliError::new(Exit::Failed, codes::FILE_UNWRITABLE, message)
    })?;
    let written = json!({"project": project, "folder": folder, "files": files.len()});
    context.screen.done(&format!("{project} is in {}, {} files", folder.display(), files.len()), &written);
    Ok(())
}

async fn undeploy(project: &Name, environment: &Name, yes: bool, context: &Context) -> Outcome {
    confirm(&format!("Take project {project} out of {environment}?"), yes)?;
    context.client()?.delete(&["environments", environment.as_str(), "projects", project.as_str()]).await?;
    let undeployed = json!({"project": project, "environment": environment, "undeployed": true});
    context.screen.done(&format!("{project} is not deployed in {environment} any more"), &undeployed);
    Ok(())
}

async fn check(folder: &Path, environment: Option<Name>, context: &Context) -> Outcome {
    let loaded = load(folder);
    let project = sound(&loaded)?;
    let connectors = match environment {
        Some(environment) => checked_at(&context.client()?, &loaded, &environment).await?,
        None => checked_anywhere(&loaded, context).await?,
    };
    let checked = json!({
        "project": project.name,
        "connections": project.connections.keys().collect::<Vec<_>>(),
        "operations": project.operations.keys().collect::<Vec<_>>(),
        "connectors": connectors,
    });
    context.screen.show(CHECKED, &checked);
    Ok(())
}

async fn checked_at(client: &Client, loaded: &Loaded, environment: &Name) -> Outcome<String> {
    submit(client, loaded, environment, Asked::DryRun).await?;
    Ok(format!("checked at {}, environment {environment}", client.url()))
}

/// Connectors are the same in all environments, so any of them will do. Without a controller the check is still worth
/// something, and says what it left out.
async fn checked_anywhere(loaded: &Loaded, context: &Context) -> Outcome<String> {
    let Some(client) = context.client_if_any()? else {
        return Ok("not checked: sign in to a controller to check them, too".to_owned());
    };
    let environments = match client.all(&["environments"], &[]).await {
        Ok(environments) => environments,
        Err(error) => return Ok(format!("not checked: {}", error.message)),
    };
    let first = environments.get("items").and_then(|items| items.get(0)?.get("name")?.as_str()?.parse().ok());
    match first {
        Some(environment) => {
            send(&client, loaded, (&environment, anything(sound(loaded)?)), Asked::DryRun).await?;
            Ok(format!("checked at {}, environment {environment}", client.url()))
        }
        None => Ok("not checked: the controller has no environment yet".to_owned()),
    }
}

/// Each alias on a connection that fits: what the environments say of them is not asked here.
fn anything(project: &Project) -> Mapping {
    let fitting = |alias: &Alias| project.connections.iter().find(|(_, one)| one.connector == alias.connector);
    let aliases = project.aliases.iter().filter_map(|(name, alias)| Some((name.clone(), fitting(alias)?.0.clone())));
    Mapping { aliases: aliases.collect(), ..Mapping::default() }
}

/// Sends the project to be deployed, or only checked. Faults that the controller finds get their places back.
pub(crate) async fn submit(client: &Client, loaded: &Loaded, environment: &Name, asked: Asked) -> Outcome<Value> {
    let mapping = mapping(loaded, environment)?;
    send(client, loaded, (environment, mapping), asked).await
}

/// What the folder says of the project in an environment.
fn mapping(loaded: &Loaded, environment: &Name) -> Outcome<Mapping> {
    let project = sound(loaded)?;
    let settings = loaded.settings(environment).map_err(|faults| invalid(&faults, loaded))?;
    Ok(settings.map(|settings| settings.mapping.of(project)).unwrap_or_default())
}

async fn send(
    client: &Client,
    loaded: &Loaded,
    (environment, mapping): (&Name, Mapping),
    asked: Asked,
) -> Outcome<Value> {
    let project = sound(loaded)?;
    let path = ["environments", environment.as_str(), "deployments"];
    let mut body = asked.fields();
    body.extend([("project".to_owned(), json!(project)), ("mapping".to_owned(), json!(mapping))]);
    client.send(Call::post(&path, Body::Json(Value::Object(body)))).await.map_err(|error| located(error, loaded))
}

/// The project, or an error with all its faults.
fn sound(loaded: &Loaded) -> Outcome<&Project> {
    loaded.outcome().map_err(|faults| invalid(faults, loaded))
}

fn invalid(faults: &[Fault], loaded: &Loaded) -> CliError {
    let count = faults.len();
    let message = format!("the project has {count} fault{}", if count == 1 { "" } else { "s" });
    let mut error = CliError::new(Exit::Invalid, codes::PROJECT_INVALID, message);
    error.details = faults.iter().map(|fault| loaded.shown(fault)).collect::<String>().into();
    error.problem = Some(Box::new(json!({ "errors": faults })));
    error
}

fn located(error: CliError, loaded: &Loaded) -> CliError {
    let listed = error.problem.as_ref().and_then(|problem| problem.get("errors")?.as_array());
    let Some(listed) = listed.filter(|_| error.code == codes::PROJECT_INVALID) else { return error };
    let mut faults: Vec<_> = listed.iter().map(|fault| placed(fault, loaded)).collect();
    faults.sort();
    let request = error.problem.as_ref().and_then(|problem| problem.get("request_id").cloned());
    let mut located = invalid(&faults, loaded);
    if let (Some(request), Some(Value::Object(fields))) = (request, located.problem.as_deref_mut()) {
        fields.insert("request_id".to_owned(), request);
    }
    located
}

fn placed(fault: &Value, loaded: &Loaded) -> Fault {
    let text = |key: &str| fault.get(key).and_then(Value::as_str).unwrap_or_default();
    let keys = fault.get("path").and_then(Value::as_array).into_iter().flatten();
    let path: Vec<_> = keys.filter_map(|key| key.as_str().map(str::to_owned)).collect();
    let spot = fault.get("at").and_then(|at| Spot::deserialize(at).ok());
    let (file, at) = loaded.find_inside(&path, spot);
    let meant = fault.get("suggestion").and_then(Value::as_str).map(str::to_owned);
    Fault::new(file, at, Code::received(text("code")), text("message")).meant(meant)
}

async fn deployments(client: &Client, environment: &Name, project: Option<&Name>) -> Outcome<Value> {
    let path = ["environments", environment.as_str(), "deployments"];
    client.all(&path, &[("project", project.map(Name::as_str))]).await
}

/// The newest deployment of each project, unless that was taken out again.
fn keep_current(deployments: &mut Value) {
    let Some(Value::Array(items)) = deployments.get_mut("items") else { return };
    let number = |item: &Value| item.get("number").and_then(Value::as_u64).unwrap_or_default();
    let project = |item: &Value| item.get("project").and_then(Value::as_str).unwrap_or_default().to_owned();
    items.sort_by_key(|item| (project(item), std::cmp::Reverse(number(item))));
    items.dedup_by_key(|item| project(item));
    items.retain(|item| item.get("withdrawn_at").is_none_or(Value::is_null));
}
