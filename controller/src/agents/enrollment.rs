//! Enroll, renew, recover.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tonic::{Request, Response, Status};
use wherry_daemon::clock::Clock;
use wherry_domain::{id::AgentId, time::Timestamp};
use wherry_proto::{
    RECOVER_CONTEXT,
    convert::wire_publishers,
    wire::{self, enrollment_service_server::EnrollmentService, recover_response::Answer},
};
use wherry_trust::{
    keys::PublicKey,
    names::AgentIdentity,
    seal_local::{LocalKey, mac, verify},
    token::AuthPart,
};

use super::{identity, status};
use crate::{
    ca::{self, Authority, Issued},
    engine::{Admission, EnrolRequest, Ledger, TOKEN_INVALID},
};

/// Wrong tokens allowed per address and minute.
const FAILURES_PER_MINUTE: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered; beyond it all strangers share the answer "too many".
const MAX_ADDRESSES: usize = 10_000;
/// How long a challenge may be answered.
const CHALLENGE_LIFE_MS: u64 = 60_000;
/// How long after its certificate ended an agent may recover.
const RECOVER_WITHIN_MS: u64 = 14 * 86_400_000;

/// The service.
pub(super) struct Enrollment {
    pub(super) ledger: Ledger,
    pub(super) authority: Arc<Authority>,
    pub(super) clock: Clock,
    pub(super) domain: String,
    pub(super) certificate_life: Duration,
    /// Seals challenges, so that none has to be remembered; made anew at each start.
    pub(super) challenge_key: LocalKey,
    pub(super) failures: Mutex<BTreeMap<IpAddr, (Timestamp, u32)>>,
}

#[tonic::async_trait]
impl EnrollmentService for Enrollment {
    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        let address = identity::peer(&request)?.address;
        self.slow_down(address)?;
        let asked = request.into_inner();
        let csr = read_csr(&asked.csr)?;
        let name = asked.name.parse().map_err(|error: wherry_domain::name::InvalidName| {
            status::invalid("agent.name_invalid", error.to_string())
        })?;
        let identity_key = <[u8; 32]>::try_from(asked.identity_key.as_slice())
            .map_err(|_| status::invalid("enrolment.identity_key_invalid", "an identity key has 32 bytes"))?;
        let auth_part = AuthPart::from_slice(&asked.auth_part).map_err(|_| self.failed(address))?;
        let version = asked.version.chars().take(64).collect();
        let request = EnrolRequest { token_id: asked.token_id, auth_part, key: csr.key, identity_key, name, version };
        let admission = self.ledger.admit(request).await.map_err(|refusal| {
            if refusal.code.as_str() == "enrolment.token_invalid" {
                self.note_failure(address);
            }
            status::of(&refusal)
        })?;
        let certificate = self.certify(&csr, &admission).await?;
        Ok(Response::new(wire::EnrollResponse {
            agent_id: admission.agent.to_string(),
            group: admission.group_name.to_string(),
            certificate: Some(certificate),
            publishers: wire_publishers(admission.publishers),
            invite: admission.invite.map(String::into_bytes).unwrap_or_default(),
        }))
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let agent = identity::agent(&request)?.agent();
        let asked = request.into_inner();
        let csr = read_csr(&asked.csr)?;
        let admission =
            self.ledger.renew(agent, Some(asked.generation)).await.map_err(|refusal| status::of(&refusal))?;
        let certificate = self.certify(&csr, &admission).await?;
        Ok(Response::new(wire::RenewResponse { certificate: Some(certificate) }))
    }

    async fn recover(&self, request: Request<wire::RecoverRequest>) -> Result<Response<wire::RecoverResponse>, Status> {
        let address = identity::peer(&request)?.address;
        self.slow_down(address)?;
        let asked = request.into_inner();
        let agent: AgentId = asked.agent_id.parse().map_err(|_| self.failed(address))?;
        if asked.challenge.is_empty() {
            let answer = Some(Answer::Challenge(self.challenge(agent)));
            return Ok(Response::new(wire::RecoverResponse { answer }));
        }
        let csr = read_csr(&asked.csr)?;
        let view = self.ledger.agent(agent.to_string()).await.map_err(|_| self.failed(address))?;
        let signed = [RECOVER_CONTEXT, &asked.challenge, &asked.csr].concat();
        let key = PublicKey::from_bytes(view.agent.identity_key);
        if !self.is_fresh(agent, &asked.challenge) || !key.verify(&signed, &asked.signature) {
            return Err(self.failed(address));
        }
        if view.agent.certificate_ends_ms.saturating_add(RECOVER_WITHIN_MS) < self.clock.wall_unix_millis() {
            let message = "its certificate ended more than 14 days ago: enrol the agent again";
            return Err(status::unauthenticated("enrolment.recovery_over", message));
        }
        let admission = self.ledger.renew(agent, None).await.map_err(|refusal| status::of(&refusal))?;
        let certificate = self.certify(&csr, &admission).await?;
        Ok(Response::new(wire::RecoverResponse { answer: Some(Answer::Certificate(certificate)) }))
    }
}

impl Enrollment {
    async fn certify(&self, csr: &ca::Request, admission: &Admission) -> Result<wire::Certificate, Status> {
        let failed = |error: String| {
            tracing::error!(error, "could not issue a certificate");
            Status::internal("the certificate could not be issued: look into the controller's log")
        };
        let Admission { organisation, group, agent, generation, .. } = *admission;
        let identity = AgentIdentity::new(&self.domain, organisation, group, agent);
        let identity = identity.map_err(|error| failed(error.to_string()))?;
        let issued = self.authority.issue(csr, &identity, self.certificate_life, self.clock.wall_unix_millis());
        let Issued { chain, ends_ms, renew_after } = issued.map_err(|error| failed(error.to_string()))?;
        self.ledger.certified(agent, ends_ms).await;
        Ok(wire::Certificate {
            chain: chain.iter().map(|der| der.to_vec()).collect(),
            roots: vec![self.authority.root().to_vec()],
            renew_after_ms: u64::try_from(renew_after.as_millis()).unwrap_or(u64::MAX),
            generation,
        })
    }

    /// The agent and an end, under a MAC.
    fn challenge(&self, agent: AgentId) -> Vec<u8> {
        let ends = self.clock.wall_unix_millis().saturating_add(CHALLENGE_LIFE_MS).to_be_bytes();
        let tag = mac(&self.challenge_key, &[&agent.to_bytes(), &ends]);
        [ends.as_slice(), &tag].concat()
    }

    fn is_fresh(&self, agent: AgentId, challenge: &[u8]) -> bool {
        let Some((ends, tag)) = challenge.split_first_chunk::<8>() else { return false };
        verify(&self.challenge_key, &[&agent.to_bytes(), ends], tag)
            && u64::from_be_bytes(*ends) >= self.clock.wall_unix_millis()
    }

    fn slow_down(&self, address: IpAddr) -> Result<(), Status> {
        let now = self.clock.now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (since, _)| now.since(*since) < WINDOW);
        let many = failures.get(&address).is_some_and(|(_, count)| *count >= FAILURES_PER_MINUTE);
        if many || (failures.len() >= MAX_ADDRESSES && !failures.contains_key(&address)) {
            let message = "too many wrong tokens from this address: wait a minute".to_owned();
            return Err(status::coded(tonic::Code::ResourceExhausted, "enrolment.too_many_attempts", message));
        }
        Ok(())
    }

    fn note_failure(&self, address: IpAddr) {
        let now = self.clock.now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.entry(address).or_insert((now, 0)).1 += 1;
    }

    fn failed(&self, address: IpAddr) -> Status {
        self.note_failure(address);
        status::unauthenticated("enrolment.token_invalid", TOKEN_INVALID)
    }
}

fn read_csr(der: &[u8]) -> Result<ca::Request, Status> {
    ca::Request::read(der).map_err(|error| status::invalid("enrolment.csr_rejected", error.to_string()))
}
