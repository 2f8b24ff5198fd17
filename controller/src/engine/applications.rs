//! App registrations: what the organisation registered with providers of OAuth.

use wherry_domain::{
    name::Name,
    project::{Project, application, application::Application, check::Fault},
};

use super::{Ledger, Refusal, Turn, owners::oauth_of};
use crate::model::AppRegistration;

/// Most app registrations of an organisation: a few for each connector there can be.
const MAX_APPLICATIONS: usize = 500;

impl Ledger {
    /// Every app registration.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn applications(&self) -> Result<Vec<AppRegistration>, Refusal> {
        self.act(|turn| Ok(turn.state.applications.values().cloned().collect())).await
    }

    /// Registers an application. What is deployed already does not change.
    ///
    /// # Errors
    /// If a field is wrong, the name is taken, or there are too many.
    pub async fn add_application(&self, who: String, application: Application) -> Result<AppRegistration, Refusal> {
        if let Some((key, why)) = application.faults().into_iter().next() {
            return Err(Refusal::invalid("application.invalid", format!("{key}: {why}")));
        }
        self.begin(move |turn| {
            let name = application.name.clone();
            if turn.state.applications.contains_key(&name) {
                let message =
                    format!("there is an application {name} already: remove it first, or choose another name");
                return Err(Refusal::conflict("application.exists", message));
            }
            if turn.state.applications.len() >= MAX_APPLICATIONS {
                let message = format!("an organisation registers at most {MAX_APPLICATIONS} applications");
                return Err(Refusal::conflict("application.too_many", message));
            }
            let target = format!("{name} for {}", application.connector);
            turn.audit(&who, "application.add", &target, &application.authorization_url);
            let registration = AppRegistration { application, created_ms: turn.wall_ms, created_by: who };
            turn.define("application", name.as_str(), &registration);
            turn.state.applications.insert(name, registration.clone());
            Ok(registration)
        })
        .await
    }

    /// Removes an app registration.
    ///
    /// # Errors
    /// If there is none of that name, or a deployed connection uses it.
    pub async fn remove_application(&self, who: String, name: Name) -> Result<(), Refusal> {
        self.act(move |turn| {
            if !turn.state.applications.contains_key(&name) {
                let message = format!("no application {name} is registered: see wherry app list");
                return Err(Refusal::not_found("application.not_found", message));
            }
            if let Some(user) = turn.user_of_application(&name) {
                let message = format!("{user} uses the application {name}: deploy it with another one first");
                return Err(Refusal::conflict("resource.in_use", message));
            }
            turn.audit(&who, "application.remove", name.as_str(), "");
            turn.undefine("application", name.as_str());
            turn.state.applications.remove(&name);
            Ok(())
        })
        .await
    }
}

impl Turn<'_> {
    /// Completes the connections of a project by the registrations there are.
    pub(super) fn complete(&self, project: &mut Project) -> Vec<Fault> {
        let known: Vec<Application> = self.state.applications.values().map(|one| one.application.clone()).collect();
        application::fill(project, &known)
    }

    /// A deployed connection that uses it.
    fn user_of_application(&self, name: &Name) -> Option<String> {
        self.state.current.values().find_map(|current| {
            let snapshot = &current.snapshot;
            let mut connections = snapshot.project.connections.iter();
            let uses = |auth| oauth_of(auth).is_some_and(|oauth| oauth.application.as_ref() == Some(name));
            let (connection, _) = connections.find(|(_, connection)| uses(&connection.auth))?;
            Some(format!("{}/{}/{connection}", snapshot.environment, snapshot.project.name))
        })
    }
}
