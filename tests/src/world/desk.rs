//! The project most tests run: requests of the desk become issues of the tracker.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Connection, Operation, Package, Project, World};

impl World {
    /// Publishes the `http` connector and deploys [`World::desk`].
    ///
    /// # Errors
    /// If the controller refuses either.
    pub async fn with_desk(self) -> Result<Self> {
        self.publish(&self.http()?).await?;
        self.deploy(&self.desk()).await?;
        Ok(self)
    }

    /// The `http` connector.
    ///
    /// # Errors
    /// If it was not built.
    pub fn http(&self) -> Result<Package> {
        Package::of(&self.programs, "http")
    }

    /// `read` counts the desk's requests, and so does `read-idempotent`, which claims less than it could; `copy-keyed`
    /// and `copy-unsafe` make issues of them. The connector has no activity that writes and is `idempotent`.
    pub fn desk(&self) -> Project {
        let username = &self.sandbox.credentials.desk.username;
        Project::named("desk")
            .variable("size", 10)
            .variable("pages", 1_000)
            .connection("desk", Connection::to(&self.sandbox.url).basic(username, "desk-password"))
            .connection("tracker", Connection::to(&self.sandbox.url).bearer("tracker-token"))
            .operation("read", Operation::from("desk", "query", requests()).attempts(5))
            .operation("read-idempotent", Operation::from("desk", "query", requests()).class("idempotent").attempts(5))
            .operation("copy-keyed", copy("send.keyed"))
            .operation("copy-unsafe", copy("send"))
    }
}

/// Requests become issues through this activity, with a key for each record.
pub fn copy(activity: &str) -> Operation {
    let issue = json!({ "title": "{{ record.summary }}", "external_id": "{{ run.id }}/{{ record.id }}" });
    let parameters = json!({ "path": "/api/issues", "body": issue, "idempotency_header": "Idempotency-Key" });
    Operation::from("desk", "query", requests()).to("tracker", activity, parameters).attempts(5)
}

/// All requests of the desk, page after page.
pub fn requests() -> Value {
    json!({
        "path": "/rest/requests",
        "records": "items",
        "paging": { "page": { "parameter": "page", "size_parameter": "size", "size": "{{ vars.size }}" } },
        "max_pages": "{{ vars.pages }}",
    })
}
