//! The way that the test of a connection took, as people read it.

use serde::Serialize;
use utoipa::ToSchema;
use wherry_domain::path::{Certificate, Obstacle, Path, Session, Step, Via, Way};

use super::pages::rfc3339;

/// How the agent got to the system, as far as it did.
#[derive(Serialize, ToSchema)]
pub(super) struct PathTaken {
    /// `direct`, `proxy`, or `bypass`: direct because the proxy's list of exceptions names the system.
    way: &'static str,
    /// The proxy taken or passed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyTaken>,
    /// Address and port that the agent itself connected to: of the system, or of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The TLS session with the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsSeen>,
    /// What was done, in order.
    steps: Vec<StepDone>,
    /// Where it ended, if it did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    obstacle: Option<ObstacleMet>,
}

/// A proxy of the agent's configuration.
#[derive(Serialize, ToSchema)]
struct ProxyTaken {
    /// Its name; absent for the default proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `http`, `https`, `socks5` or `socks5h`.
    scheme: String,
    /// Host and port.
    address: String,
}

/// A TLS session.
#[derive(Serialize, ToSchema)]
struct TlsSeen {
    /// Such as `TLS 1.3`; absent if no session came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The certificate that the system showed.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateSeen>,
}

/// A system's certificate.
#[derive(Serialize, ToSchema)]
struct CertificateSeen {
    subject: String,
    issuer: String,
    /// When it ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    /// Whole days until then; negative once it has ended.
    days_left: i64,
}

/// One step.
#[derive(Serialize, ToSchema)]
struct StepDone {
    /// `resolve`, `connect`, `proxy`, `tls` or `first_byte`.
    phase: &'static str,
    /// In microseconds.
    duration_us: u64,
}

/// Where it ended.
#[derive(Serialize, ToSchema)]
struct ObstacleMet {
    /// As in `steps`.
    phase: &'static str,
    /// Stable code.
    code: String,
    /// The likely cause, in the agent's words.
    cause: String,
}

impl PathTaken {
    /// `now_s`: seconds since the Unix epoch.
    pub(super) fn of(path: Path, now_s: i64) -> Self {
        let (way, proxy) = match path.way {
            Way::Direct => ("direct", None),
            Way::Bypass(via) => ("bypass", Some(via)),
            Way::Proxy(via) => ("proxy", Some(via)),
        };
        Self {
            way,
            proxy: proxy.map(|Via { name, scheme, address }| ProxyTaken {
                name: name.map(|name| name.to_string()),
                scheme,
                address,
            }),
            address: path.address,
            tls: path.tls.map(|session| tls(session, now_s)),
            steps: path.steps.into_iter().map(step).collect(),
            obstacle: path.obstacle.map(|Obstacle { phase, code, cause }| ObstacleMet {
                phase: phase.as_str(),
                code: code.to_string(),
                cause,
            }),
        }
    }
}

fn tls(session: Session, now_s: i64) -> TlsSeen {
    let certificate = session.certificate.map(|certificate| {
        let days_left = certificate.days_left(now_s);
        let Certificate { subject, issuer, not_after_s } = certificate;
        let not_after = u64::try_from(not_after_s).ok().map(|end| rfc3339(end.saturating_mul(1_000)));
        CertificateSeen { subject, issuer, not_after, days_left }
    });
    TlsSeen { version: Some(session.version).filter(|version| !version.is_empty()), certificate }
}

fn step(step: Step) -> StepDone {
    StepDone { phase: step.phase.as_str(), duration_us: u64::try_from(step.duration.as_micros()).unwrap_or(u64::MAX) }
}
