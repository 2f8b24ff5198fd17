//! What a deployment says of a connection's tokens, for consents.

use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use wherry_domain::{
    connection::ConnectionPath,
    digest::Digest,
    failure::{Code, Failure},
};

use super::{Executor, Shared, plan::invalid};
use crate::{auth::token::Wanted, oauth::consent::Deployed};

/// Stands in texts that name the run: a consent has none.
const NO_RUN: &str = "consent";

struct Lookup(Weak<Shared>);

impl Executor {
    /// The connections of deployments, as consents need them.
    pub fn deployed(&self) -> Arc<dyn Deployed> {
        // Consents are reached by the tokens that runs use, which must not keep the runs alive.
        Arc::new(Lookup(Arc::downgrade(&self.shared)))
    }
}

impl Deployed for Lookup {
    fn wanted<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        deployment: Digest,
    ) -> BoxFuture<'a, Result<Wanted, Failure>> {
        Box::pin(async move {
            let stopping = || Failure::retry(Code::new("agent.draining"), "the agent is stopping");
            let shared = self.0.upgrade().ok_or_else(stopping)?;
            let wanted = shared.plans.wanted(deployment, &connection.connection, NO_RUN).await?;
            let wanted = wanted.ok_or_else(|| invalid(format!("connection {connection} does not use OAuth 2.0")))?;
            if wanted.path != *connection {
                return Err(invalid(format!("the deployment is not that of connection {connection}")));
            }
            Ok(wanted)
        })
    }
}
