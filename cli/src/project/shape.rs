//! The shape of the three kinds of project files: which keys there are and what their values look like.
//!
//! The types of `wherry_domain::project` would stop at the first fault and know no places; this table finds every
//! fault. A test holds the two together.

mod auth;

pub(super) use auth::{AUTH, AUTH_LATER, TOKEN_PLACE};

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A text; numbers are refused, because `1.10` would silently become `1.1`.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number from 0.
    Count,
    /// A duration such as `30s`.
    Duration,
    /// A name.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A map whose keys belong to a connector.
    Map,
    /// A map from names to any values.
    NamedValues,
    /// A map from names to texts.
    Texts,
    /// A map from names to names.
    Names,
    /// A map from names to maps with known keys.
    Named(&'static Fields),
    /// A whole number from 0, or a text that becomes one when its variables are filled in.
    NumberOrText,
    /// The word `text`, or where in a JSON document a token stands.
    TokenPlace,
    /// A map with known keys.
    Fields(&'static Fields),
    /// The `auth` of a connection, whose keys depend on its `type`.
    Auth,
    /// A secret by name, never a value.
    Secret,
    /// A map with exactly one of the known keys.
    OneOf(&'static Fields),
}

/// The keys of a map.
#[derive(Debug)]
pub(super) struct Fields {
    /// What the map is, for messages: "a connection".
    pub(super) what: &'static str,
    pub(super) known: &'static [Field],
    /// Keys that the design knows and this version does not, each with what to do instead.
    pub(super) later: &'static [(&'static str, &'static str)],
}

/// One key of a map.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

const fn must(key: &'static str, shape: Shape) -> Field {
    Field { key, required: true, shape }
}

const fn may(key: &'static str, shape: Shape) -> Field {
    Field { key, required: false, shape }
}

/// `wherry.yaml`.
pub(super) const PROJECT: Fields = Fields {
    what: "a project",
    known: &[
        must("name", Shape::Name),
        may("description", Shape::Text),
        may("variables", Shape::NamedValues),
        may("aliases", Shape::Named(&ALIAS)),
    ],
    later: &[
        ("policies", "an administrator sets policies at the controller"),
        ("connections", "write each one into a file of its own, connections/NAME.yaml"),
        ("operations", "write each one into a file of its own, operations/NAME.yaml"),
    ],
};

/// An alias of a project.
const ALIAS: Fields = Fields {
    what: "an alias",
    known: &[must("connector", Shape::Name), may("description", Shape::Text)],
    later: &[("connection", "each environment says which: environments/NAME.yaml, or wherry alias set")],
};

/// `environments/NAME.yaml` beside a project.
pub(super) const ENVIRONMENT: Fields = Fields {
    what: "an environment's file",
    known: &[may("aliases", Shape::Names), may("variables", Shape::NamedValues)],
    later: &[],
};

/// `connections/NAME.yaml`.
pub(super) const CONNECTION: Fields = Fields {
    what: "a connection",
    known: &[
        must("connector", Shape::Name),
        must("url", Shape::Text),
        may("auth", Shape::Auth),
        may("use_proxy", Shape::Flag),
        may("proxy", Shape::Name),
        may("single_agent", Shape::Flag),
        may("tls", Shape::Fields(&TLS)),
        may("throttle", Shape::Fields(&THROTTLE)),
        may("options", Shape::Map),
    ],
    later: &[
        ("oauth", "use auth with type oauth1 or oauth2"),
        ("oauth_settings_location", "it stands under auth with type oauth2"),
    ],
};

/// The `throttle` of a connection.
const THROTTLE: Fields = Fields {
    what: "a throttle",
    known: &[may("requests", Shape::Count), may("per", Shape::Duration), may("concurrent", Shape::Count)],
    later: &[],
};

/// The `tls` of a connection.
const TLS: Fields = Fields {
    what: "tls",
    known: &[
        may("ca", Shape::Secret),
        may("ca_file", Shape::Text),
        may("client_certificate", Shape::Fields(&CERTIFICATE_STORE)),
        may("server_certificate", Shape::Text),
        may("allow_invalid_certificates", Shape::Flag),
        may("use_non_tls_connections", Shape::Flag),
    ],
    later: &[],
};

/// A certificate store. Types that no agent reads are refused by the check of the project, which says what to do.
pub(super) const CERTIFICATE_STORE: Fields = Fields {
    what: "a certificate store",
    known: &[
        must("type", Shape::Word(STORE_TYPES)),
        must("store", Shape::OneOf(&STORE_PLACE)),
        may("password", Shape::Secret),
        may("subject", Shape::Text),
    ],
    later: &[("file", "write store: { file: /path }"), ("secret", "write store: { secret: NAME }")],
};

const STORE_TYPES: &[&str] = &[
    "PEMKEY_FILE",
    "PEMKEY_BLOB",
    "PFXFILE",
    "PFXBLOB",
    "JKSFILE",
    "JKSBLOB",
    "USER",
    "MACHINE",
    "PUBLIC_KEY_FILE",
    "PUBLIC_KEY_BLOB",
    "SSHPUBLIC_KEY_FILE",
    "SSHPUBLIC_KEY_BLOB",
    "P7BFILE",
    "P10BFILE",
    "PPKFILE",
    "XMLFILE",
    "XMLBLOB",
];

const STORE_PLACE: Fields =
    Fields { what: "store", known: &[may("secret", Shape::Name), may("file", Shape::Text)], later: &[] };

/// `operations/NAME.yaml`.
pub(super) const OPERATION: Fields = Fields {
    what: "an operation",
    known: &[
        may("description", Shape::Text),
        must("source", Shape::Fields(&STEP)),
        may("when", Shape::Text),
        may("transform", Shape::Text),
        may("target", Shape::Fields(&STEP)),
        may("retry", Shape::Fields(&RETRY)),
        may("timeout", Shape::Duration),
        may("side_effects", Shape::Word(&["read", "idempotent", "keyed", "unsafe"])),
        may("offline_term", Shape::Duration),
        may("on_success", Shape::Name),
        may("on_failure", Shape::Name),
    ],
    later: &[
        ("schedule", "start it from outside, for example with cron and `wherry operation run`"),
        ("missed", "start it from outside, for example with cron and `wherry operation run`"),
        ("trigger", "start it from outside with `wherry operation run`"),
        ("verify", "settle an unknown run with `wherry run retry` or `wherry run cancel`"),
    ],
};

const STEP: Fields = Fields {
    what: "a source or target",
    known: &[must("connection", Shape::Name), must("activity", Shape::Text), may("with", Shape::Map)],
    later: &[("alias", "write the alias under connection")],
};

const RETRY: Fields = Fields {
    what: "a retry rule",
    known: &[
        may("attempts", Shape::Count),
        may("backoff", Shape::Word(&["exponential", "fixed"])),
        may("base", Shape::Duration),
        may("cap", Shape::Duration),
    ],
    later: &[],
};

/// A secret by name.
pub(super) const SECRET: Fields = Fields { what: "a secret", known: &[must("secret", Shape::Name)], later: &[] };

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;
    use wherry_domain::effects::SideEffects;
    use wherry_domain::name::Name;
    use wherry_domain::project::tls::{CertificateStore, StorePlace, StoreType, Tls};
    use wherry_domain::project::{Alias, Auth, Connection, Operation, Project, SecretRef, Step};
    use wherry_domain::retry::{Backoff, RetryRule};
    use wherry_domain::throttle::Limits;

    /// Every field is named here, so that a new one in the domain does not compile before this table knows it.
    #[test]
    fn the_table_knows_exactly_the_keys_of_the_domain() {
        let name: Name = "x".parse().unwrap();
        let values = serde_json::Map::from_iter([("k".to_owned(), 1.into())]);
        let step = Step { connection: name.clone(), activity: "a".into(), with: values.clone() };
        let second = Duration::from_secs(1);
        let retry = RetryRule { attempts: 1, backoff: Backoff::Fixed, base: second, cap: second };
        let operation = Operation {
            description: "d".into(),
            source: step.clone(),
            when: Some(".".into()),
            transform: Some(".".into()),
            target: Some(step.clone()),
            retry,
            timeout: second,
            side_effects: Some(SideEffects::Read),
            offline_term: second,
            on_success: Some(name.clone()),
            on_failure: Some(name.clone()),
        };
        let secret = SecretRef { secret: name.clone() };
        let basic = Auth::Basic { username: "u".into(), password: secret.clone() };
        let store = CertificateStore {
            kind: StoreType::PfxBlob,
            store: StorePlace::Secret(name.clone()),
            password: Some(secret.clone()),
            subject: Some("s".into()),
        };
        let tls = Tls {
            ca: Some(secret.clone()),
            ca_file: Some("f".into()),
            client_certificate: Some(store.clone()),
            server_certificate: Some("p".into()),
            allow_invalid_certificates: true,
            use_non_tls_connections: true,
        };
        let throttle = Limits { requests: Some(1), per: second, concurrent: Some(1) };
        let alias = Alias { connector: name.clone(), description: "d".into() };
        let connection = Connection {
            connector: name.clone(),
            url: "u".into(),
            auth: basic,
            use_proxy: Some(true),
            proxy: Some(name.clone()),
            single_agent: true,
            throttle: Some(throttle),
            tls: tls.clone(),
            options: values,
        };
        let project = Project {
            name: name.clone(),
            description: "d".into(),
            variables: BTreeMap::from([(name.clone(), 1.into())]),
            aliases: BTreeMap::from([(name, alias.clone())]),
            connections: BTreeMap::new(),
            operations: BTreeMap::new(),
        };
        let in_files_of_their_own = ["connections", "operations"];
        assert_eq!(keys(&project, &in_files_of_their_own), known(&PROJECT));
        assert_eq!(keys(&connection, &[]), known(&CONNECTION));
        assert_eq!(keys(&tls, &[]), known(&TLS));
        assert_eq!(keys(&throttle, &[]), known(&THROTTLE));
        assert_eq!(keys(&alias, &[]), known(&ALIAS));
        assert_eq!(keys(&store, &[]), known(&CERTIFICATE_STORE));
        for place in [store.store, StorePlace::File("f".into())] {
            assert!(known(&STORE_PLACE).contains(&keys(&place, &[])[0]));
        }
        for word in STORE_TYPES {
            assert!(serde_json::from_value::<StoreType>((*word).into()).is_ok(), "{word}");
        }
        assert_eq!(keys(&operation, &[]), known(&OPERATION));
        assert_eq!(keys(&step, &[]), known(&STEP));
        assert_eq!(keys(&retry, &[]), known(&RETRY));
        assert_eq!(keys(&secret, &[]), known(&SECRET));
    }

    fn keys(value: &impl serde::Serialize, without: &[&str]) -> Vec<String> {
        let value = serde_json::to_value(value).unwrap();
        value.as_object().unwrap().keys().filter(|key| !without.contains(&key.as_str())).cloned().collect()
    }

    fn known(fields: &Fields) -> Vec<String> {
        let mut keys: Vec<_> = fields.known.iter().map(|field| field.key.to_owned()).collect();
        keys.sort();
        keys
    }
}
