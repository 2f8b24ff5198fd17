//! Who decides whether a connection may weaken TLS.

use wherry_domain::{
    failure::Code,
    policy::{Policies, Policy},
    project::{
        Tls,
        tls::{Conflict, Way, is_local_host},
    },
};

use crate::egress::Destination;

/// The agent owner's word on the two switches of a connection. The organisation's policies are checked here as well and
/// can only refuse more.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsRules {
    /// No connection with `allow_invalid_certificates` is used.
    pub refuse_invalid_certificates: bool,
    /// No connection with `use_non_tls_connections` is used.
    pub refuse_non_tls: bool,
}

/// Why a connection is not used as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsRefusal {
    /// It contradicts itself.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The agent's owner does not want it.
    #[error("the owner of the agent refuses {switch} (tls.{setting} in the agent's configuration)")]
    Refused {
        /// The connection's switch.
        switch: &'static str,
        /// The owner's setting.
        setting: &'static str,
    },
    /// The organisation does not want it in this environment.
    #[error("the organisation refuses {switch} (policy {policy})")]
    Forbidden {
        /// The connection's switch.
        switch: &'static str,
        /// The organisation's rule.
        policy: Policy,
    },
}

impl TlsRefusal {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Conflict(Conflict::Required) => Code::new("connection.tls_required"),
            Self::Conflict(
                Conflict::Contradiction | Conflict::Idle | Conflict::OauthPlain | Conflict::OauthAnybody,
            ) => Code::new("connection.tls_invalid"),
            Self::Refused { .. } => Code::new("connection.tls_refused"),
            Self::Forbidden { .. } => Code::new("policy.tls_refused"),
        }
    }
}

impl TlsRules {
    /// Whether a connection to `destination`, through a proxy or not, may be used. Gives what every run has to be warned
    /// of.
    ///
    /// # Errors
    /// If it may not.
    pub fn admit(
        self,
        tls: &Tls,
        destination: &Destination,
        proxied: bool,
        oauth: bool,
        policies: &Policies,
    ) -> Result<Vec<&'static str>, TlsRefusal> {
        let refused = |switch, setting| Err(TlsRefusal::Refused { switch, setting });
        let forbidden = |switch, policy| Err(TlsRefusal::Forbidden { switch, policy });
        let way = match destination.secure() {
            true => Way::Secure,
            false if is_local_host(destination.host()) && !proxied => Way::Local,
            false => Way::Plain,
        };
        if let Some(conflict) = tls.conflict(way, oauth) {
            return Err(conflict.into());
        }
        let mut warnings = Vec::new();
        if tls.use_non_tls_connections {
            if self.refuse_non_tls {
                return refused("use_non_tls_connections", "refuse_non_tls");
            }
            if policies.refuse_non_tls {
                return forbidden("use_non_tls_connections", Policy::RefuseNonTls);
            }
            warnings.push(
                "it does not use TLS (use_non_tls_connections): everybody on the way can read and change the traffic",
            );
        }
        if tls.allow_invalid_certificates {
            if self.refuse_invalid_certificates {
                return refused("allow_invalid_certificates", "refuse_invalid_certificates");
            }
            if policies.refuse_invalid_certificates {
                return forbidden("allow_invalid_certificates", Policy::RefuseInvalidCertificates);
            }
            warnings.push(match tls.server_certificate {
                None => "it accepts every certificate (allow_invalid_certificates): whoever answers gets the credentials",
                Some(_) => "it accepts certificates that are expired or for another host (allow_invalid_certificates), only its pin holds",
            });
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(rules: TlsRules, tls: &Tls, url: &str, proxied: bool, oauth: bool) -> Result<usize, String> {
        let destination = Destination::parse(url).unwrap();
        let admitted = rules.admit(tls, &destination, proxied, oauth, &Policies::default());
        admitted.map(|warnings| warnings.len()).map_err(|refusal| refusal.code().as_str().to_owned())
    }

    #[test]
    fn switches_are_warned_of_and_refused_where_the_owner_or_oauth_say_so() {
        let lax = TlsRules::default();
        let no_invalid = TlsRules { refuse_invalid_certificates: true, ..lax };
        let no_plain = TlsRules { refuse_non_tls: true, ..lax };
        let none = Tls::default();
        let plain = Tls { use_non_tls_connections: true, ..Tls::default() };
        let invalid = Tls { allow_invalid_certificates: true, ..Tls::default() };
        for (rules, tls, url, oauth, expected) in [
            (lax, &none, "https://a.example", true, Ok(0)),
            (lax, &none, "http://a.example", false, Err("connection.tls_required")),
            (lax, &none, "http://127.0.0.1:1", false, Ok(0)),
            (lax, &none, "http://localhost:1", false, Ok(0)),
            (lax, &none, "http://[::1]:1", false, Ok(0)),
            (lax, &none, "http://[::ffff:127.0.0.1]:1", false, Err("connection.tls_required")),
            (lax, &none, "http://10.0.0.1", false, Err("connection.tls_required")),
            (no_plain, &none, "http://localhost:1", false, Ok(0)),
            (lax, &plain, "http://a.example", false, Ok(1)),
            (lax, &plain, "https://a.example", false, Err("connection.tls_invalid")),
            (lax, &plain, "http://a.example", true, Err("connection.tls_invalid")),
            (no_plain, &plain, "http://a.example", false, Err("connection.tls_refused")),
            (no_invalid, &plain, "http://a.example", false, Ok(1)),
            (lax, &invalid, "https://a.example", false, Ok(1)),
            (lax, &invalid, "https://a.example", true, Err("connection.tls_invalid")),
            (no_invalid, &invalid, "https://a.example", false, Err("connection.tls_refused")),
            (no_plain, &invalid, "https://a.example", false, Ok(1)),
        ] {
            let found = admit(rules, tls, url, false, oauth);
            assert_eq!(found, expected.map_err(str::to_owned), "{rules:?} {tls:?} {url} {oauth}");
        }
        let proxied = admit(lax, &none, "http://localhost:1", true, false);
        assert_eq!(proxied.unwrap_err(), "connection.tls_required", "the proxy's localhost is another machine");
    }

    #[test]
    fn what_the_owner_would_allow_the_organisation_may_refuse() {
        let plain = Tls { use_non_tls_connections: true, ..Tls::default() };
        let invalid = Tls { allow_invalid_certificates: true, ..Tls::default() };
        let no_plain = Policies { refuse_non_tls: true, ..Policies::default() };
        let no_invalid = Policies { refuse_invalid_certificates: true, ..Policies::default() };
        for (tls, url, policies, forbidden) in [
            (&plain, "http://a.example", &no_plain, true),
            (&plain, "http://a.example", &no_invalid, false),
            (&invalid, "https://a.example", &no_invalid, true),
            (&invalid, "https://a.example", &no_plain, false),
        ] {
            let destination = Destination::parse(url).unwrap();
            let admitted = TlsRules::default().admit(tls, &destination, false, false, policies);
            let code = admitted.err().map(|refusal| refusal.code().to_string());
            assert_eq!(code, forbidden.then(|| "policy.tls_refused".to_owned()), "{url} {policies:?}");
        }
    }
}
