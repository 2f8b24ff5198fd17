//! Frames about OAuth.

use core::time::Duration;

use wherry_domain::{
    connection::ConnectionPath,
    digest::Digest,
    failure::{Code, Failure, FailureClass},
    owner::{Intent, OwnerFence},
};

use super::{Invalid, bounded, parse};
use crate::{
    MAX_CODE, MAX_CONSENT_URL, MAX_COPY, MAX_SEALED_CODE,
    frame::{
        ConsentAddress, ConsentedAccount, OAuthAsked, OAuthOrder, OAuthReport, OAuthSaid, TokenCopy, TokenOwnership,
        Unshown, Wrapped,
    },
    wire::{self, oauth_order as order, oauth_report as report},
};

/// Longest text about an account, in bytes.
const MAX_ACCOUNT: usize = 4_096;
/// Longest sentence of a failure, in bytes.
const MAX_SENTENCE: usize = 1_024;

/// `None`: of a kind that this build does not know.
pub(super) fn report(wire: wire::OauthReport) -> Result<Option<OAuthReport>, Invalid> {
    let Some(what) = wire.what else { return Ok(None) };
    let said = match what {
        report::What::Claim(report::Claim { have, refresh }) => {
            OAuthSaid::Claim { have, intent: if refresh { Intent::Refresh } else { Intent::Look } }
        }
        report::What::Publish(report::Publish { fence, generation, sealed }) => {
            bounded("sealed", sealed.len(), MAX_COPY)?;
            OAuthSaid::Publish { fence: OwnerFence::from_bits(fence), generation, sealed: Wrapped(sealed) }
        }
        report::What::Wanted(report::Wanted { generation }) => OAuthSaid::Wanted { generation },
        report::What::State(report::State { failure }) => OAuthSaid::State(failure.map(self::failure)),
        report::What::Started(wire) => {
            let flow = parse("flow_id", &wire.flow_id)?;
            OAuthSaid::Started { flow, result: started(wire)? }
        }
        report::What::Redeemed(wire) => {
            let flow = parse("flow_id", &wire.flow_id)?;
            OAuthSaid::Redeemed { flow, result: redeemed(wire)? }
        }
        report::What::Kept(report::Kept { flow_id, failure }) => {
            let result = failure.map(self::failure).map_or(Ok(()), Err);
            OAuthSaid::Kept { flow: parse("flow_id", &flow_id)?, result }
        }
        report::What::Disconnected(report::Disconnected { revoked, failure }) => {
            OAuthSaid::Disconnected(failure.map(self::failure).map_or(Ok(revoked), Err))
        }
    };
    Ok(Some(OAuthReport { connection: path(wire.connection)?, request: wire.request, said }))
}

fn started(wire: report::Started) -> Result<Result<ConsentAddress, Failure>, Invalid> {
    if let Some(failure) = wire.failure {
        return Ok(Err(self::failure(failure)));
    }
    bounded("url", wire.url.len(), MAX_CONSENT_URL)?;
    let hash = wire.state_hash.try_into().map_err(|_| Invalid::new("state_hash", "it is not a SHA-256"))?;
    Ok(Ok(ConsentAddress { url: wire.url, state_hash: Digest::from_bytes(hash), opens_sealed: wire.opens_sealed }))
}

fn redeemed(wire: report::Redeemed) -> Result<Result<ConsentedAccount, Failure>, Invalid> {
    if let Some(failure) = wire.failure {
        return Ok(Err(self::failure(failure)));
    }
    bounded("label", wire.label.len(), MAX_ACCOUNT)?;
    bounded("scope", wire.scope.len(), MAX_ACCOUNT)?;
    let expires_in = (wire.expires_in_ms > 0).then(|| Duration::from_millis(wire.expires_in_ms));
    Ok(Ok(ConsentedAccount { label: wire.label, scope: wire.scope, expires_in }))
}

pub(super) fn wire_report(report: OAuthReport) -> wire::OauthReport {
    let what = match report.said {
        OAuthSaid::Claim { have, intent } => {
            let refresh = match intent {
                Intent::Look => false,
                Intent::Refresh => true,
            };
            report::What::Claim(report::Claim { have, refresh })
        }
        OAuthSaid::Publish { fence, generation, sealed } => {
            report::What::Publish(report::Publish { fence: fence.bits(), generation, sealed: sealed.0 })
        }
        OAuthSaid::Wanted { generation } => report::What::Wanted(report::Wanted { generation }),
        OAuthSaid::State(failure) => report::What::State(report::State { failure: failure.map(wire_failure) }),
        OAuthSaid::Started { flow, result } => {
            let flow_id = flow.to_string();
            report::What::Started(match result {
                Ok(ConsentAddress { url, state_hash, opens_sealed }) => {
                    let state_hash = state_hash.as_bytes().to_vec();
                    report::Started { flow_id, url, state_hash, failure: None, opens_sealed }
                }
                Err(failure) => {
                    report::Started { flow_id, failure: Some(wire_failure(failure)), ..report::Started::default() }
                }
            })
        }
        OAuthSaid::Redeemed { flow, result } => {
            let flow_id = flow.to_string();
            report::What::Redeemed(match result {
                Ok(ConsentedAccount { label, scope, expires_in }) => {
                    let expires_in_ms = expires_in.map_or(0, millis);
                    report::Redeemed { flow_id, label, scope, expires_in_ms, failure: None }
                }
                Err(failure) => {
                    report::Redeemed { flow_id, failure: Some(wire_failure(failure)), ..report::Redeemed::default() }
                }
            })
        }
        OAuthSaid::Kept { flow, result } => {
            report::What::Kept(report::Kept { flow_id: flow.to_string(), failure: result.err().map(wire_failure) })
        }
        OAuthSaid::Disconnected(result) => {
            let revoked = result.as_ref().is_ok_and(|revoked| *revoked);
            report::What::Disconnected(report::Disconnected { revoked, failure: result.err().map(wire_failure) })
        }
    };
    wire::OauthReport { connection: Some(wire_path(report.connection)), request: report.request, what: Some(what) }
}

/// Empty: none was named, by a controller that does not say it.
fn deployment(text: &str) -> Result<Option<Digest>, Invalid> {
    if text.is_empty() { Ok(None) } else { parse("deployment_digest", text).map(Some) }
}

fn digest_text(digest: Option<Digest>) -> String {
    digest.map(|digest| digest.to_string()).unwrap_or_default()
}

/// `None`: of a kind that this build does not know.
pub(super) fn order(wire: wire::OauthOrder) -> Result<Option<OAuthOrder>, Invalid> {
    let Some(what) = wire.what else { return Ok(None) };
    let asked = match what {
        order::What::Ownership(wire) => OAuthAsked::Ownership(TokenOwnership {
            owner: wire.owner,
            fence: OwnerFence::from_bits(wire.fence),
            good_for: Duration::from_millis(wire.good_for_ms),
            generation: wire.generation,
            newest: wire.newest.map(copy).transpose()?,
            in_doubt: wire.in_doubt,
            holder: wire.holder.chars().take(64).collect(),
        }),
        order::What::Published(order::Published { accepted, generation, newest }) => {
            OAuthAsked::Published { accepted, generation, newest: newest.map(copy).transpose()? }
        }
        order::What::Newer(order::Newer { newest }) => {
            OAuthAsked::Newer(copy(newest.ok_or(Invalid::missing("newest"))?)?)
        }
        order::What::RefreshWanted(order::RefreshWanted { generation, deployment_digest }) => {
            OAuthAsked::RefreshWanted { generation, deployment: deployment(&deployment_digest)? }
        }
        order::What::Refused(order::Refused { failure }) => {
            OAuthAsked::Refused(self::failure(failure.ok_or(Invalid::missing("failure"))?))
        }
        order::What::Start(order::Start { flow_id, deployment_digest, redirect_uri }) => {
            bounded("redirect_uri", redirect_uri.len(), MAX_CONSENT_URL)?;
            let deployment = parse("deployment_digest", &deployment_digest)?;
            OAuthAsked::Start { flow: parse("flow_id", &flow_id)?, deployment, redirect_uri }
        }
        order::What::Code(order::Code { flow_id, sealed, .. }) if !sealed.is_empty() => {
            bounded("sealed", sealed.len(), MAX_SEALED_CODE)?;
            OAuthAsked::SealedCode { flow: parse("flow_id", &flow_id)?, sealed: Wrapped(sealed) }
        }
        order::What::Code(order::Code { flow_id, code, state, iss, .. }) => {
            for (field, text) in [("code", &code), ("state", &state), ("iss", &iss)] {
                bounded(field, text.len(), MAX_CODE)?;
            }
            let iss = Some(iss).filter(|iss| !iss.is_empty());
            OAuthAsked::Code { flow: parse("flow_id", &flow_id)?, code: Unshown(code), state: Unshown(state), iss }
        }
        order::What::Confirm(order::Confirm { flow_id, accepted }) => {
            OAuthAsked::Confirm { flow: parse("flow_id", &flow_id)?, accepted }
        }
        order::What::Disconnect(order::Disconnect { deployment_digest }) => {
            OAuthAsked::Disconnect { deployment: deployment(&deployment_digest)? }
        }
    };
    Ok(Some(OAuthOrder { connection: path(wire.connection)?, request: wire.request, asked }))
}

pub(super) fn wire_order(order: OAuthOrder) -> wire::OauthOrder {
    let what = match order.asked {
        OAuthAsked::Ownership(of) => order::What::Ownership(order::Ownership {
            owner: of.owner,
            fence: of.fence.bits(),
            good_for_ms: millis(of.good_for),
            generation: of.generation,
            newest: of.newest.map(wire_copy),
            in_doubt: of.in_doubt,
            holder: of.holder,
        }),
        OAuthAsked::Published { accepted, generation, newest } => {
            order::What::Published(order::Published { accepted, generation, newest: newest.map(wire_copy) })
        }
        OAuthAsked::Newer(newest) => order::What::Newer(order::Newer { newest: Some(wire_copy(newest)) }),
        OAuthAsked::RefreshWanted { generation, deployment } => {
            order::What::RefreshWanted(order::RefreshWanted { generation, deployment_digest: digest_text(deployment) })
        }
        OAuthAsked::Refused(failure) => order::What::Refused(order::Refused { failure: Some(wire_failure(failure)) }),
        OAuthAsked::Start { flow, deployment, redirect_uri } => order::What::Start(order::Start {
            flow_id: flow.to_string(),
            deployment_digest: deployment.to_string(),
            redirect_uri,
        }),
        OAuthAsked::Code { flow, code, state, iss } => order::What::Code(order::Code {
            flow_id: flow.to_string(),
            code: code.0,
            state: state.0,
            iss: iss.unwrap_or_default(),
            sealed: Vec::new(),
        }),
        OAuthAsked::SealedCode { flow, sealed } => {
            order::What::Code(order::Code { flow_id: flow.to_string(), sealed: sealed.0, ..order::Code::default() })
        }
        OAuthAsked::Confirm { flow, accepted } => {
            order::What::Confirm(order::Confirm { flow_id: flow.to_string(), accepted })
        }
        OAuthAsked::Disconnect { deployment } => {
            order::What::Disconnect(order::Disconnect { deployment_digest: digest_text(deployment) })
        }
    };
    wire::OauthOrder { connection: Some(wire_path(order.connection)), request: order.request, what: Some(what) }
}

fn path(wire: Option<wire::ConnectionPath>) -> Result<ConnectionPath, Invalid> {
    let wire = wire.ok_or(Invalid::missing("connection"))?;
    Ok(ConnectionPath {
        environment: parse("environment", &wire.environment)?,
        project: parse("project", &wire.project)?,
        connection: parse("connection", &wire.connection)?,
    })
}

fn wire_path(path: ConnectionPath) -> wire::ConnectionPath {
    wire::ConnectionPath {
        environment: path.environment.to_string(),
        project: path.project.to_string(),
        connection: path.connection.to_string(),
    }
}

fn copy(wire: wire::TokenCopy) -> Result<TokenCopy, Invalid> {
    bounded("sealed", wire.sealed.len(), MAX_COPY)?;
    Ok(TokenCopy { generation: wire.generation, sealed: Wrapped(wire.sealed) })
}

fn wire_copy(copy: TokenCopy) -> wire::TokenCopy {
    wire::TokenCopy { generation: copy.generation, sealed: copy.sealed.0 }
}

fn failure(wire: wire::OauthFailure) -> Failure {
    let message: String = wire.message.chars().filter(|c| !c.is_control()).take(MAX_SENTENCE).collect();
    let code = Code::received(&wire.code);
    if wire.retry { Failure::retry(code, message) } else { Failure::permanent(code, message) }
}

fn wire_failure(failure: Failure) -> wire::OauthFailure {
    wire::OauthFailure {
        code: failure.code.as_str().to_owned(),
        message: failure.message,
        retry: failure.class == FailureClass::Retry,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use wherry_domain::id::FlowId;

    use super::*;
    use crate::frame::{FromAgent, FromController};

    const FLOW: FlowId = FlowId::from_u128(5);

    fn said(said: OAuthSaid) -> FromAgent {
        FromAgent::OAuth(OAuthReport { connection: "prod/desk/jira".parse().unwrap(), request: 7, said })
    }

    fn asked(asked: OAuthAsked) -> FromController {
        FromController::OAuth(OAuthOrder { connection: "prod/desk/jira".parse().unwrap(), request: 7, asked })
    }

    fn copied(bytes: usize) -> TokenCopy {
        TokenCopy { generation: 3, sealed: Wrapped(vec![9; bytes]) }
    }

    #[test]
    fn every_frame_comes_through_as_it_was() {
        let failure = || Failure::retry(Code::new("oauth.expired"), "why");
        let address = ConsentAddress {
            url: "https://a.example/x".into(),
            state_hash: Digest::from_bytes([1; 32]),
            opens_sealed: true,
        };
        let expires_in = Some(Duration::from_secs(3_600));
        let account = ConsentedAccount { label: "Ada".into(), scope: "read".into(), expires_in };
        let fence = OwnerFence::from_bits(1 << 32 | 4);
        for frame in [
            OAuthSaid::Claim { have: 2, intent: Intent::Refresh },
            OAuthSaid::Claim { have: 0, intent: Intent::Look },
            OAuthSaid::Publish { fence, generation: 3, sealed: Wrapped(vec![1; MAX_COPY]) },
            OAuthSaid::Wanted { generation: 3 },
            OAuthSaid::State(Some(failure())),
            OAuthSaid::State(None),
            OAuthSaid::Started { flow: FLOW, result: Ok(address) },
            OAuthSaid::Started { flow: FLOW, result: Err(failure()) },
            OAuthSaid::Redeemed { flow: FLOW, result: Ok(account) },
            OAuthSaid::Redeemed { flow: FLOW, result: Err(failure()) },
            OAuthSaid::Kept { flow: FLOW, result: Ok(()) },
            OAuthSaid::Kept { flow: FLOW, result: Err(failure()) },
            OAuthSaid::Disconnected(Ok(true)),
            OAuthSaid::Disconnected(Err(failure())),
        ] {
            let frame = said(frame);
            assert_eq!(FromAgent::from_wire(frame.clone().into_wire()), Ok(Some(frame)));
        }
        let ownership = TokenOwnership {
            owner: true,
            fence,
            good_for: Duration::from_secs(60),
            generation: 3,
            newest: Some(copied(10)),
            in_doubt: true,
            holder: "pier-1".into(),
        };
        for frame in [
            OAuthAsked::Ownership(ownership),
            OAuthAsked::Published { accepted: false, generation: 3, newest: Some(copied(1)) },
            OAuthAsked::Newer(copied(MAX_COPY)),
            OAuthAsked::RefreshWanted { generation: 3, deployment: None },
            OAuthAsked::RefreshWanted { generation: 3, deployment: Some(Digest::from_bytes([2; 32])) },
            OAuthAsked::SealedCode { flow: FLOW, sealed: Wrapped(vec![7; MAX_SEALED_CODE]) },
            OAuthAsked::Refused(failure()),
            OAuthAsked::Start {
                flow: FLOW,
                deployment: Digest::from_bytes([2; 32]),
                redirect_uri: "https://c/".into(),
            },
            OAuthAsked::Code { flow: FLOW, code: Unshown("c".into()), state: Unshown("s".into()), iss: None },
            OAuthAsked::Confirm { flow: FLOW, accepted: true },
            OAuthAsked::Disconnect { deployment: None },
            OAuthAsked::Disconnect { deployment: Some(Digest::from_bytes([2; 32])) },
        ] {
            let frame = asked(frame);
            assert_eq!(FromController::from_wire(frame.clone().into_wire()), Ok(Some(frame)));
        }
    }

    #[test]
    fn what_is_too_large_or_incomplete_means_nothing_and_what_is_new_is_ignored() {
        let publish =
            OAuthSaid::Publish { fence: OwnerFence::NONE, generation: 1, sealed: Wrapped(vec![0; MAX_COPY + 1]) };
        assert!(FromAgent::from_wire(said(publish).into_wire()).is_err());
        let long = Unshown("x".repeat(MAX_CODE + 1));
        let code = OAuthAsked::Code { flow: FLOW, code: long, state: Unshown(String::new()), iss: None };
        assert!(FromController::from_wire(asked(code).into_wire()).is_err());
        let nowhere = wire::OauthReport {
            connection: None,
            ..wire_report(OAuthReport {
                connection: "prod/desk/jira".parse().unwrap(),
                request: 0,
                said: OAuthSaid::Wanted { generation: 0 },
            })
        };
        assert!(report(nowhere).is_err());
        assert_eq!(order(wire::OauthOrder::default()), Ok(None));
    }

    #[test]
    fn neither_code_nor_address_are_shown() {
        let code = asked(OAuthAsked::Code {
            flow: FLOW,
            code: Unshown("c0de".into()),
            state: Unshown("st4te".into()),
            iss: None,
        });
        let address = ConsentAddress {
            url: "https://a.example/?state=st4te".into(),
            state_hash: Digest::from_bytes([1; 32]),
            opens_sealed: false,
        };
        let shown = format!("{code:?} {:?}", said(OAuthSaid::Started { flow: FLOW, result: Ok(address) }));
        assert!(!shown.contains("c0de") && !shown.contains("st4te"), "{shown}");
    }
}
