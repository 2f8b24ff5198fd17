//! Opening a connection, and mending an identity that has run out on the way.

use wherry_domain::session::{Event, FailureKind};

use super::{Session, line::Line};
use crate::{identity::IdentityError, link, peer};

impl Session {
    /// Dials and says hello; `None` if that failed or there was no time left for it.
    pub(super) async fn dial(&mut self) -> Option<Line> {
        let until = self.machine.deadline()?;
        let dialled = tokio::select! {
            () = self.parts.shutdown.cancelled() => {
                self.drained();
                return None;
            }
            () = self.parts.clock.sleep_until(until) => {
                tracing::info!("the controller did not answer in time");
                self.lost();
                return None;
            }
            dialled = self.connect() => dialled,
        };
        match dialled {
            Ok(line) => {
                self.tell(Event::Dialled);
                Some(line)
            }
            Err(error) => {
                tracing::info!(code = %error.code(), %error, "no session with the controller");
                self.failed(kind_of(&error));
                None
            }
        }
    }

    async fn connect(&self) -> Result<Line, IdentityError> {
        if self.parts.renewal.has_expired() {
            self.parts.renewal.recover().await?;
        }
        let identity = self.parts.renewal.identity();
        let channel = link::dial(&self.parts.address, link::known_controller(&identity)?).await?;
        let now = self.parts.clock.now();
        match Line::open(channel.clone(), self.hello(), now).await {
            Ok(line) => {
                self.parts.controller.connected(channel);
                Ok(line)
            }
            // Its clock and ours may differ by more than the certificate had left.
            Err(status) if peer::certificate_expired(&status) => {
                self.parts.renewal.recover().await?;
                Err(peer::call_failed(&status))
            }
            Err(status) => Err(peer::call_failed(&status)),
        }
    }
}

fn kind_of(error: &IdentityError) -> FailureKind {
    match error {
        IdentityError::Refused(refused) if refused.is_final => FailureKind::Final(refused.code.clone()),
        IdentityError::Refused(_)
        | IdentityError::AlreadyEnrolled(_)
        | IdentityError::Missing
        | IdentityError::Damaged(_)
        | IdentityError::File(_)
        | IdentityError::Token(_)
        | IdentityError::TokenRefused
        | IdentityError::Link(_)
        | IdentityError::Answer(_)
        | IdentityError::Keyring(_)
        | IdentityError::LocalKey(_)
        | IdentityError::Key(_)
        | IdentityError::Crypto(_) => FailureKind::Transient,
    }
}
