//! The keys of `auth`, scheme by scheme.

use super::{CERTIFICATE_STORE, Field, Fields, Shape, may, must};

const fn scheme(what: &'static str, known: &'static [Field]) -> Fields {
    Fields { what, known, later: &[] }
}

/// The schemes, each with its keys.
pub(in crate::project) const AUTH: &[(&str, Fields)] = &[
    ("none", scheme("auth of type none", &[must("type", Shape::Text)])),
    ("basic", scheme("auth of type basic", BASIC)),
    ("bearer", scheme("auth of type bearer", &[must("type", Shape::Text), must("token", Shape::Secret)])),
    ("api_key", scheme("auth of type api_key", API_KEY)),
    ("oauth1", scheme("auth of type oauth1", OAUTH1)),
    ("oauth2", scheme("auth of type oauth2", OAUTH2)),
    ("login_token", scheme("auth of type login_token", LOGIN_TOKEN)),
    ("crowd", scheme("auth of type crowd", CROWD)),
    ("soap_header", scheme("auth of type soap_header", SOAP_HEADER)),
    ("auto", Fields { what: "auth of type auto", known: AUTO, later: AUTO_LATER }),
];

/// Schemes that this version does not have, each with what to do instead.
pub(in crate::project) const AUTH_LATER: &[(&str, &str)] = &[
    ("oauth", "write oauth1 or oauth2"),
    ("header", "write api_key"),
    ("query", "write api_key with in: query"),
    ("mtls", "a client certificate stands under tls.client_certificate, beside auth"),
    ("certificate", "a client certificate stands under tls.client_certificate, beside auth"),
    ("digest", "it is not supported"),
    ("ntlm", "it is not supported"),
    ("kerberos", "it is not supported"),
    ("okta", "it is not supported, use oauth2"),
    ("sso", "write crowd"),
    ("saml", "posting SAML assertions is not supported, use crowd with sso_exchange_url, oauth2 or a token"),
];

/// What other products' `auto` takes and ours does not choose by itself.
const AUTO_LATER: &[(&str, &str)] = &[
    ("sso_login_url", NO_CROWD),
    ("sso_exchange_url", NO_CROWD),
    ("sso_app_name", NO_CROWD),
    ("sso_app_password", NO_CROWD),
    ("sso_properties", NO_CROWD),
    ("client_id", NO_OAUTH),
    ("client_secret", NO_OAUTH),
    ("refresh_token", NO_OAUTH),
    ("initiate", NO_OAUTH),
];
const NO_CROWD: &str = "auto does not choose single sign-on, write type: crowd";
const NO_OAUTH: &str = "auto takes an access_token as it is and refreshes none, write type: oauth2";

const BASIC: &[Field] = &[must("type", Shape::Text), must("username", Shape::Text), must("password", Shape::Secret)];

const API_KEY: &[Field] = &[
    must("type", Shape::Text),
    may("in", Shape::Word(&["header", "query"])),
    must("name", Shape::Text),
    may("prefix", Shape::Text),
    must("key", Shape::Secret),
];

const OAUTH1: &[Field] = &[
    must("type", Shape::Text),
    must("signature_method", Shape::Word(&["HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1"])),
    must("consumer_key", Shape::Text),
    may("consumer_secret", Shape::Secret),
    may("certificate", Shape::Fields(&CERTIFICATE_STORE)),
    must("token", Shape::Secret),
    may("token_secret", Shape::Secret),
    may("verifier", Shape::Text),
    may("realm", Shape::Text),
];

const OAUTH2: &[Field] = &[
    must("type", Shape::Text),
    must(
        "grant",
        Shape::Word(&["authorization_code", "client_credentials", "password", "refresh_token", "access_token"]),
    ),
    may("initiate", Shape::Word(&["OFF", "GETANDREFRESH", "REFRESH"])),
    may("application", Shape::Name),
    may("client_id", Shape::Text),
    may("client_secret", Shape::Secret),
    may("client_authentication", Shape::Word(&["basic", "post", "private_key_jwt", "none"])),
    may("token_format", Shape::Word(&["form", "json"])),
    may("certificate", Shape::Fields(&CERTIFICATE_STORE)),
    may("issuer", Shape::Text),
    may("rsso_host", Shape::Text),
    may("authorization_url", Shape::Text),
    may("token_url", Shape::Text),
    may("par_url", Shape::Text),
    may("revocation_url", Shape::Text),
    may("scope", Shape::Text),
    may("cloud_id", Shape::Text),
    may("sites_url", Shape::Text),
    may("userinfo_url", Shape::Text),
    may("username", Shape::Text),
    may("password", Shape::Secret),
    may("access_token", Shape::Secret),
    may("refresh_token", Shape::Secret),
    may("created_ms", Shape::NumberOrText),
    may("expires_in", Shape::NumberOrText),
    may("parameters", Shape::Texts),
    may("oauth_settings_location", Shape::Text),
];

const LOGIN_TOKEN: &[Field] = &[
    must("type", Shape::Text),
    may("login_url", Shape::Text),
    may("logout_url", Shape::Text),
    may("format", Shape::Word(&["form", "json"])),
    must("username", Shape::Text),
    must("password", Shape::Secret),
    may("username_field", Shape::Text),
    may("password_field", Shape::Text),
    may("fields", Shape::Texts),
    may("token", Shape::TokenPlace),
    may("header", Shape::Text),
    may("prefix", Shape::Text),
];

const CROWD: &[Field] = &[
    must("type", Shape::Text),
    must("user", Shape::Text),
    must("password", Shape::Secret),
    must("sso_login_url", Shape::Text),
    may("sso_exchange_url", Shape::Text),
    must("sso_app_name", Shape::Text),
    must("sso_app_password", Shape::Secret),
    may("sso_properties", Shape::Texts),
];

const SOAP_HEADER: &[Field] = &[
    must("type", Shape::Text),
    must("username", Shape::Text),
    must("password", Shape::Secret),
    may("fields", Shape::Texts),
];

const AUTO: &[Field] = &[
    must("type", Shape::Text),
    may("user", Shape::Text),
    may("password", Shape::Secret),
    may("api_token", Shape::Secret),
    may("access_token", Shape::Secret),
];

/// Where a login's answer has the token, when it is not the whole answer.
pub(in crate::project) const TOKEN_PLACE: Fields =
    Fields { what: "the place of a token", known: &[must("json", Shape::Text)], later: &[] };

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use wherry_domain::project::Auth;

    /// Each scheme with every field, so that a field of the domain that this table does not know fails the test, and
    /// the other way round.
    fn full() -> Vec<Value> {
        let secret = json!({ "secret": "x" });
        let store = json!({ "type": "PEMKEY_BLOB", "store": { "secret": "x" } });
        vec![
            json!({ "type": "none" }),
            json!({ "type": "basic", "username": "u", "password": secret }),
            json!({ "type": "bearer", "token": secret }),
            json!({ "type": "api_key", "in": "query", "name": "n", "prefix": "p", "key": secret }),
            json!({
                "type": "oauth1", "signature_method": "RSA-SHA1", "consumer_key": "c", "consumer_secret": secret,
                "certificate": store, "token": secret, "token_secret": secret, "verifier": "v", "realm": "r",
            }),
            json!({
                "type": "oauth2", "grant": "password", "initiate": "REFRESH", "application": "a", "client_id": "c",
                "client_secret": secret, "client_authentication": "post", "token_format": "form", "certificate": store, "issuer": "i",
                "rsso_host": "h", "authorization_url": "a", "token_url": "t", "par_url": "p", "revocation_url": "r",
                "scope": "s", "cloud_id": "c", "sites_url": "s", "userinfo_url": "/u", "username": "u", "password": secret, "access_token": secret,
                "refresh_token": secret, "created_ms": 1, "expires_in": "{{ vars.x }}", "parameters": { "a": "b" },
                "oauth_settings_location": "l",
            }),
            json!({
                "type": "login_token", "login_url": "/l", "logout_url": "/o", "format": "json", "username": "u",
                "password": secret, "username_field": "a", "password_field": "b", "fields": { "c": "d" },
                "token": { "json": "/t" }, "header": "H", "prefix": "p",
            }),
            json!({
                "type": "crowd", "user": "u", "password": secret, "sso_login_url": "l", "sso_exchange_url": "e",
                "sso_app_name": "n", "sso_app_password": secret, "sso_properties": { "a": "b" },
            }),
            json!({ "type": "soap_header", "username": "u", "password": secret, "fields": { "a": "b" } }),
            json!({ "type": "auto", "user": "u", "password": secret, "api_token": secret, "access_token": secret }),
        ]
    }

    #[test]
    fn the_table_knows_every_scheme_of_the_domain_with_exactly_its_keys() {
        let full = full();
        assert_eq!(full.len(), AUTH.len());
        for (given, (name, fields)) in full.iter().zip(AUTH) {
            let auth: Auth = serde_json::from_value(given.clone()).unwrap();
            assert_eq!(auth.scheme(), *name);
            let written = serde_json::to_value(&auth).unwrap();
            assert_eq!(&written, given, "a key of the domain is missing in this test");
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            let mut known: Vec<_> = fields.known.iter().map(|field| field.key.to_owned()).collect();
            known.sort();
            let mut given = keys(given);
            given.sort();
            assert_eq!(given, known, "{name}");
            for word in fields
                .known
                .iter()
                .filter_map(|field| if let Shape::Word(words) = field.shape { Some((field.key, words)) } else { None })
            {
                for value in word.1 {
                    let mut changed = written.clone();
                    changed[word.0] = json!(value);
                    assert!(serde_json::from_value::<Auth>(changed).is_ok(), "{name} {} {value}", word.0);
                }
            }
        }
    }
}
