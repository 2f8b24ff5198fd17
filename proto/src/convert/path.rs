//! The way a request took, as `wherry connection test` tells it.

use core::time::Duration;

use wherry_domain::{
    failure::Code,
    path::{Certificate, MAX_STEPS, Obstacle, Path, Phase, Session, Step, Via, Way, plain},
};

use super::{Invalid, parse};
use crate::wire::{
    self,
    path::{self, Phase as WirePhase},
};

/// Texts are bounded and made harmless; what a later version added is left out.
pub(super) fn path(wire: wire::Path) -> Result<Path, Invalid> {
    let way = match wire.proxy {
        None => Way::Direct,
        Some(proxy) => {
            let bypassed = proxy.bypassed;
            let via = via(proxy)?;
            if bypassed { Way::Bypass(via) } else { Way::Proxy(via) }
        }
    };
    let step = |step: &path::Step| {
        phase(step.phase()).map(|phase| Step { phase, duration: Duration::from_micros(step.duration_us) })
    };
    Ok(Path {
        way,
        address: (!wire.address.is_empty()).then(|| plain(&wire.address)),
        tls: wire.tls.map(session),
        steps: wire.steps.iter().filter_map(step).take(MAX_STEPS).collect(),
        obstacle: wire.obstacle.and_then(obstacle),
    })
}

pub(super) fn wire_path(path: Path) -> wire::Path {
    let (via, bypassed) = match path.way {
        Way::Direct => (None, false),
        Way::Bypass(via) => (Some(via), true),
        Way::Proxy(via) => (Some(via), false),
    };
    let proxy = via.map(|Via { name, scheme, address }| path::Proxy {
        name: name.map(|name| name.to_string()).unwrap_or_default(),
        scheme,
        address,
        bypassed,
    });
    let step = |step: Step| path::Step {
        phase: wire_phase(step.phase).into(),
        duration_us: u64::try_from(step.duration.as_micros()).unwrap_or(u64::MAX),
    };
    wire::Path {
        proxy,
        address: path.address.unwrap_or_default(),
        tls: path.tls.map(wire_session),
        steps: path.steps.into_iter().map(step).collect(),
        obstacle: path.obstacle.map(|Obstacle { phase, code, cause }| path::Obstacle {
            phase: wire_phase(phase).into(),
            code: code.as_str().to_owned(),
            cause,
        }),
    }
}

fn via(wire: path::Proxy) -> Result<Via, Invalid> {
    let name = if wire.name.is_empty() { None } else { Some(parse("proxy", &wire.name)?) };
    Ok(Via { name, scheme: plain(&wire.scheme), address: plain(&wire.address) })
}

fn session(wire: path::Tls) -> Session {
    let certificate = wire.certificate.map(|certificate| Certificate {
        subject: plain(&certificate.subject),
        issuer: plain(&certificate.issuer),
        not_after_s: certificate.not_after_s,
    });
    Session { version: plain(&wire.version), certificate }
}

fn wire_session(session: Session) -> path::Tls {
    let certificate = session.certificate.map(|Certificate { subject, issuer, not_after_s }| path::Certificate {
        subject,
        issuer,
        not_after_s,
    });
    path::Tls { version: session.version, certificate }
}

fn obstacle(wire: path::Obstacle) -> Option<Obstacle> {
    let phase = phase(wire.phase())?;
    Some(Obstacle { phase, code: Code::received(&wire.code), cause: plain(&wire.cause) })
}

fn phase(wire: WirePhase) -> Option<Phase> {
    Some(match wire {
        WirePhase::Unspecified => return None,
        WirePhase::Resolve => Phase::Resolve,
        WirePhase::Connect => Phase::Connect,
        WirePhase::Proxy => Phase::Proxy,
        WirePhase::Tls => Phase::Tls,
        WirePhase::FirstByte => Phase::FirstByte,
    })
}

fn wire_phase(phase: Phase) -> WirePhase {
    match phase {
        Phase::Resolve => WirePhase::Resolve,
        Phase::Connect => WirePhase::Connect,
        Phase::Proxy => WirePhase::Proxy,
        Phase::Tls => WirePhase::Tls,
        Phase::FirstByte => WirePhase::FirstByte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long() -> Path {
        let phases = [Phase::Resolve, Phase::Connect, Phase::Proxy, Phase::Tls, Phase::FirstByte];
        Path {
            way: Way::Proxy(Via {
                name: Some("dmz".parse().unwrap()),
                scheme: "socks5h".to_owned(),
                address: "proxy:1080".to_owned(),
            }),
            address: Some("10.0.0.7:1080".to_owned()),
            tls: Some(Session {
                version: "TLS 1.3".to_owned(),
                certificate: Some(Certificate {
                    subject: "CN=desk".to_owned(),
                    issuer: "CN=authority".to_owned(),
                    not_after_s: 4_000_000_000,
                }),
            }),
            steps: phases.map(|phase| Step { phase, duration: Duration::from_micros(17) }).to_vec(),
            obstacle: Some(Obstacle { phase: Phase::Tls, code: Code::new("a.b"), cause: "why".to_owned() }),
        }
    }

    #[test]
    fn ways_come_through_as_they_were() {
        let via = Via { name: None, scheme: "http".to_owned(), address: "proxy:3128".to_owned() };
        let short = Path { way: Way::Direct, address: None, tls: None, steps: Vec::new(), obstacle: None };
        let bypassed = Path { way: Way::Bypass(via), ..short.clone() };
        for way in [short, bypassed, long()] {
            assert_eq!(path(wire_path(way.clone())), Ok(way));
        }
    }

    #[test]
    fn what_an_agent_says_is_bounded_and_what_a_later_one_adds_is_left_out() {
        let mut wire = wire_path(long());
        wire.address = "\u{1b}".repeat(10_000);
        wire.steps = vec![path::Step { phase: WirePhase::Tls.into(), duration_us: u64::MAX }; 10_000];
        wire.steps.insert(0, path::Step { phase: 99, duration_us: 1 });
        wire.obstacle = Some(path::Obstacle { phase: 99, ..path::Obstacle::default() });
        let read = path(wire).unwrap();
        assert!(read.address.as_ref().is_some_and(|address| address.len() <= wherry_domain::path::MAX_TEXT));
        assert_eq!((read.steps.len(), read.steps[0].phase, read.obstacle), (MAX_STEPS, Phase::Tls, None));
        let mut wire = wire_path(long());
        wire.proxy.as_mut().unwrap().name = "Not A Name".to_owned();
        assert!(path(wire).is_err());
    }
}
