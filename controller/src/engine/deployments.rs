//! Deployments: immutable, numbered snapshots of a project in an environment.

use std::{collections::BTreeMap, sync::Arc};

use wherry_domain::{
    digest::Digest,
    id::{DeploymentId, GroupId},
    name::Name,
    project::{
        ConnectorPin, MAX_DOCUMENT, Mapping, Project, Snapshot, alias,
        check::{self, Fault},
    },
};
use wherry_trust::{deployment::Statement, keys::sha256, names::AgentIdentity};

use super::{Ledger, Page, Refusal, Signature, Turn, programs, state::Current};
use crate::model::Deployment;

/// Most projects in one environment.
const MAX_PROJECTS: usize = 500;

/// What a deployment would be or has become.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its record; for a trial, what it would be.
    pub deployment: Deployment,
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// Whether anything changed.
    pub changed: bool,
    /// What an operator signs by its digest, where that is going to be done.
    pub to_sign: Option<Vec<u8>>,
    /// Whether the environment takes it under an operator's signature alone.
    pub signature_needed: bool,
}

/// A project with what is to be done with it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The project.
    pub project: Project,
    /// Counts before what the environment says of the project.
    pub mapping: Mapping,
    /// Who answers for it.
    pub signature: Signature,
    /// Nothing changes.
    pub trial: bool,
}

impl Ledger {
    /// Deploys a project. A project equal to the newest deployment changes nothing; with `trial`
    /// nothing changes in any case.
    ///
    /// # Errors
    /// `project.invalid` with every fault.
    pub async fn deploy(
        &self,
        who: String,
        environment: Name,
        project: Project,
        trial: bool,
    ) -> Result<Deployed, Refusal> {
        let asked = Asked { project, mapping: Mapping::default(), signature: Signature::None, trial };
        self.deploy_as(who, environment, asked).await
    }

    /// As [`Ledger::deploy`], with a mapping and an operator's signature.
    ///
    /// # Errors
    /// `project.invalid` with every fault; `policy.deployment_unsigned` where a signature is needed; the code of a
    /// signature that does not count.
    pub async fn deploy_as(&self, who: String, environment: Name, asked: Asked) -> Result<Deployed, Refusal> {
        let (project, mut faulty) = programs::check(asked.project).await?;
        let (project, mismatches) = self.schema_faults(&environment, project).await?;
        faulty.extend(mismatches);
        let (trial, asked) = (asked.trial, Asked { project, ..asked });
        let (planned, document) = self.act(move |turn| turn.plan(&environment, asked, faulty)).await?;
        if trial || !planned.changed {
            return Ok(planned);
        }
        self.write_file(document).await?;
        self.begin(move |turn| turn.deploy(&who, planned)).await
    }

    /// Deployments of an environment, newest first, older than `before`.
    ///
    /// # Errors
    /// If there is no such environment, or `before` is not one of these deployments.
    pub async fn list_deployments(
        &self,
        environment: Name,
        project: Option<Name>,
        before: Option<DeploymentId>,
        limit: usize,
    ) -> Result<Page<Deployment, DeploymentId>, Refusal> {
        let mut found = self.deployments(environment, project).await?;
        if let Some(before) = before {
            let unknown = || Refusal::invalid("request.cursor_invalid", "the cursor is not one of this list");
            let at = found.iter().position(|one| one.id == before).ok_or_else(unknown)?;
            found.drain(..=at);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|last| last.id).filter(|_| more);
        Ok(Page { items: found, next })
    }

    /// All deployments of an environment, newest first.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn deployments(&self, environment: Name, project: Option<Name>) -> Result<Vec<Deployment>, Refusal> {
        self.act(move |turn| {
            let id = turn.environment(&environment)?.id;
            let mut found: Vec<Deployment> = turn.stored_deployments()?;
            found.retain(|one| one.environment == id && project.as_ref().is_none_or(|name| *name == one.project));
            found.sort_by_key(|one| std::cmp::Reverse((one.created_ms, one.number)));
            Ok(found)
        })
        .await
    }

    /// A deployment with its snapshot.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn deployment(&self, id: DeploymentId) -> Result<(Deployment, Vec<u8>), Refusal> {
        let missing = || Refusal::not_found("deployment.not_found", format!("there is no deployment {id}"));
        let found = self.act(|turn| turn.stored_deployments()).await?.into_iter().find(|one| one.id == id);
        let deployment = found.ok_or_else(missing)?;
        let document = self.read_file(deployment.digest).await?;
        Ok((deployment, document))
    }

    /// The document of a deployment that belongs to the group.
    ///
    /// # Errors
    /// If the agent is unknown or locked; otherwise one answer whether the document does not exist
    /// or is not for this group.
    pub async fn document_for(
        &self,
        agent: AgentIdentity,
        digest: Digest,
    ) -> Result<(Vec<u8>, Option<String>), Refusal> {
        let signature = self.act(move |turn| {
            let group = turn.member(&agent)?;
            let mut current = turn.snapshots_of(group).map(|current| &current.deployment);
            if let Some(deployment) = current.find(|deployment| deployment.digest == digest) {
                return Ok(deployment.signature.clone());
            }
            let mut runs = turn.state.runs.values().map(|run| &run.record.spec);
            let of_run = runs.any(|spec| spec.group == group && spec.snapshot == digest);
            let missing = || Refusal::not_found("deployment.not_found", "there is no deployment of that digest");
            (of_run || turn.parts_with(group, digest)).then_some(()).ok_or_else(missing)?;
            let found = turn.stored_deployments()?.into_iter().find(|deployment| deployment.digest == digest);
            Ok(found.and_then(|deployment| deployment.signature))
        });
        let signature = signature.await?;
        Ok((self.read_file(digest).await?, signature))
    }

    /// Operations that can be run in an environment, with the deployment each comes from.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn operations(&self, environment: Name) -> Result<Vec<(Deployment, Arc<Snapshot>)>, Refusal> {
        self.act(move |turn| {
            let id = turn.environment(&environment)?.id;
            let here = turn.state.current.iter().filter(|((of, _), _)| *of == id);
            Ok(here.map(|(_, current)| (current.deployment.clone(), Arc::clone(&current.snapshot))).collect())
        })
        .await
    }
}

fn sound(project: &Project, faults: Vec<Fault>) -> Result<(), Refusal> {
    if faults.is_empty() {
        return Ok(());
    }
    let message = match faults.len() {
        1 => format!("project {} has a fault: correct it and deploy again", project.name),
        many => format!("project {} has {many} faults: correct them and deploy again", project.name),
    };
    Err(Refusal { faults, ..Refusal::invalid("project.invalid", message) })
}

/// What agents fetch: the snapshot as it was written.
fn document(written: &Snapshot) -> Result<Vec<u8>, Refusal> {
    let document =
        serde_json::to_vec(written).map_err(|error| Refusal::invalid("request.invalid", error.to_string()))?;
    if document.len() > MAX_DOCUMENT {
        let message = format!("a deployment has at most {MAX_DOCUMENT} bytes; this one has {}", document.len());
        return Err(Refusal::invalid("project.too_large", message));
    }
    Ok(document)
}

impl Turn<'_> {
    fn plan(&self, environment: &Name, asked: Asked, faulty: Vec<Fault>) -> Result<(Deployed, Vec<u8>), Refusal> {
        let environment = self.environment(environment)?.clone();
        let Asked { mut project, mapping, signature, trial } = asked;
        let mapping = self.mapping(environment.id, &project.name).under(mapping).of(&project);
        let offered = self.offered(&environment.name);
        let incomplete = self.complete(&mut project);
        let mut faults = check::check(&project, Some(&offered));
        faults.extend(check::unsupported(&project, &self.schemes(&environment.name)));
        faults.extend(alias::check(&project, &environment.name, &mapping));
        faults.extend(incomplete);
        faults.extend(faulty);
        faults.extend(self.forbidden(&environment.name, &project));
        sound(&project, faults)?;
        let newest = self.state.current.get(&(environment.id, project.name.clone()));
        let number = self.next_number(environment.id, &project.name);
        let connectors = self.pins(&environment.name, &project)?;
        self.lock_allows(&environment.name, &connectors)?;
        let side_effects = project
            .operations
            .iter()
            .map(|(name, operation)| (name.clone(), check::side_effects(&project, operation, &offered)))
            .collect();
        let written =
            Snapshot { environment: environment.name.clone(), number, project, mapping, connectors, side_effects };
        let signature_needed = self.wants_signature(&environment.name);
        let snapshot = written.clone().bound();
        if let Some(current) = newest
            && *current.snapshot == (Snapshot { number: current.snapshot.number, ..snapshot.clone() })
            && self.is_signed_enough((environment.group, &environment.name), &current.deployment, &signature)
        {
            let Current { deployment, snapshot } = current.clone();
            let unchanged = Deployed { deployment, snapshot, changed: false, to_sign: None, signature_needed };
            return Ok((unchanged, Vec::new()));
        }
        let document = document(&written)?;
        let statement = Statement::new(environment.name, snapshot.project.name.clone(), number, sha256(&document));
        if !trial {
            self.signed_enough(environment.group, &statement, &signature)?;
        }
        let deployment = Deployment {
            id: self.fresh(),
            environment: environment.id,
            project: statement.project,
            number,
            digest: statement.digest,
            created_ms: self.wall_ms,
            created_by: String::new(),
            withdrawn_ms: None,
            signature: signature.envelope().map(str::to_owned),
        };
        let to_sign = matches!(signature, Signature::Wanted(_)).then(|| document.clone());
        let deployed = Deployed { deployment, snapshot: Arc::new(snapshot), changed: true, to_sign, signature_needed };
        Ok((deployed, document))
    }

    /// The version of each connector that the project uses: the environment's, or else the newest that may run there.
    fn pins(&self, environment: &Name, project: &Project) -> Result<BTreeMap<Name, ConnectorPin>, Refusal> {
        let used = project.connections.values().map(|connection| &connection.connector);
        used.map(|name| {
            let chosen = self
                .chosen(environment, name)
                .ok_or_else(|| Refusal::not_found("connector.not_found", format!("there is no connector {name}")))?;
            let pin = ConnectorPin { version: chosen.version.clone(), digest: chosen.digest, length: chosen.length };
            Ok((name.clone(), pin))
        })
        .collect()
    }

    fn deploy(&mut self, who: &str, planned: Deployed) -> Result<Deployed, Refusal> {
        let Deployed { mut deployment, snapshot, signature_needed, .. } = planned;
        if self.state.environment(deployment.environment).is_none() {
            let message = format!("environment {} was removed in the meantime", snapshot.environment);
            return Err(Refusal::not_found("environment.not_found", message));
        }
        let key = (deployment.environment, deployment.project.clone());
        if deployment.number != self.next_number(deployment.environment, &deployment.project) {
            let message =
                format!("someone else deployed {} in the meantime: look at it and deploy again", deployment.project);
            return Err(Refusal::conflict("deployment.overtaken", message));
        }
        let here = self.state.current.keys().filter(|(id, _)| *id == deployment.environment).count();
        if here >= MAX_PROJECTS && !self.state.current.contains_key(&key) {
            let message = format!("an environment has at most {MAX_PROJECTS} projects");
            return Err(Refusal::conflict("project.too_many", message));
        }
        self.lock_newly_used(&snapshot.environment, &snapshot.connectors)?;
        deployment.created_by = who.to_owned();
        let target = format!("{} {} {}", snapshot.environment, deployment.project, deployment.number);
        self.audit(who, "project.deploy", &target, &deployment.digest.to_string());
        self.define("deployment", &deployment.id.to_string(), &deployment);
        self.state.withdrawn.remove(&key);
        if let Some(before) = self.state.current.get(&key).map(|current| Arc::clone(&current.snapshot)) {
            self.forget_memories(deployment.environment, &before, Some(&snapshot));
            self.forget_owners(deployment.environment, &before, Some(&snapshot));
        }
        self.state.current.insert(key, Current { deployment: deployment.clone(), snapshot: Arc::clone(&snapshot) });
        Ok(Deployed { deployment, snapshot, changed: true, to_sign: None, signature_needed })
    }

    pub(super) fn snapshots_of(&self, group: GroupId) -> impl Iterator<Item = &Current> {
        let served = move |current: &&Current| {
            self.state.environment(current.deployment.environment).is_some_and(|environment| environment.group == group)
        };
        self.state.current.values().filter(served)
    }

    pub(super) fn stored_deployments(&self) -> Result<Vec<Deployment>, Refusal> {
        super::load::definitions(self.store, "deployment").map_err(|error| Refusal::read(&error))
    }
}
