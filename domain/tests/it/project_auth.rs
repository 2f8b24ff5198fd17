//! What the check says of authentication that lacks something.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::project_check::{desk, faults, with};

#[test]
fn what_each_scheme_needs_is_found_with_its_field() {
    let secret = json!({ "secret": "x" });
    let store = json!({ "type": "PEMKEY_BLOB", "store": { "secret": "x" } });
    let oauth1 = json!({ "type": "oauth1", "signature_method": "HMAC-SHA1", "consumer_key": "c", "consumer_secret": secret, "token": secret });
    let oauth2 = json!({ "type": "oauth2", "grant": "client_credentials", "client_id": "c", "client_secret": secret });
    let login = json!({ "type": "login_token", "username": "u", "password": secret });
    let crowd = json!({
        "type": "crowd", "user": "u", "password": secret, "sso_login_url": "https://crowd.example/crowd",
        "sso_app_name": "jira", "sso_app_password": secret,
    });
    let soap = json!({ "type": "soap_header", "username": "u", "password": secret });
    let key = json!({ "type": "api_key", "name": "X-Key", "key": secret });
    let auto = json!({ "type": "auto", "user": "u", "password": secret });
    let basic = json!({ "type": "basic", "username": "u", "password": secret });
    let many: BTreeMap<String, String> = (0..33).map(|n| (format!("f{n}"), String::new())).collect();
    let cases = [
        (&basic, "username", json!(""), "username"),
        (&basic, "username", json!("a:b"), "username"),
        (&key, "name", json!(""), "name"),
        (&key, "name", json!("a b"), "name"),
        (&key, "name", json!("Content-Length"), "name"),
        (&key, "name", json!("Proxy-Key"), "name"),
        (&key, "prefix", json!("a\n"), "prefix"),
        (&oauth1, "consumer_key", json!(""), "consumer_key"),
        (&oauth1, "consumer_secret", Value::Null, "consumer_secret"),
        (&oauth1, "signature_method", json!("RSA-SHA1"), "certificate"),
        (&oauth1, "certificate", store, "certificate"),
        (&oauth1, "realm", json!("a\"b"), "realm"),
        (&oauth2, "grant", json!("password"), "username"),
        (&oauth2, "grant", json!("refresh_token"), "refresh_token"),
        (&oauth2, "grant", json!("access_token"), "access_token"),
        (&oauth2, "initiate", json!("OFF"), "access_token"),
        (&oauth2, "initiate", json!("REFRESH"), "refresh_token"),
        (&oauth2, "created_ms", json!(1), "created_ms"),
        (&oauth2, "expires_in", json!("soon"), "expires_in"),
        (&oauth2, "token_url", json!("http://login.example/token"), "token_url"),
        (&oauth2, "rsso_host", json!("rsso.example"), "rsso_host"),
        (&oauth2, "client_authentication", json!("none"), "client_secret"),
        (&oauth2, "client_authentication", json!("private_key_jwt"), "certificate"),
        (&oauth2, "parameters", json!({ "client_id": "x" }), "parameters"),
        (&oauth2, "parameters", json!(many), "parameters"),
        (&oauth2, "cloud_id", json!("../x"), "cloud_id"),
        (&oauth2, "sites_url", json!("http://api.example/sites"), "sites_url"),
        (&oauth2, "userinfo_url", json!("http://api.example/me"), "userinfo_url"),
        (&login, "username", json!(""), "username"),
        (&login, "login_url", json!("ftp://x"), "login_url"),
        (&login, "logout_url", json!("logout"), "logout_url"),
        (&login, "fields", json!({ "username": "x" }), "fields"),
        (&login, "header", json!("Host"), "header"),
        (&login, "token", json!({ "json": "data" }), "token"),
        (&crowd, "sso_login_url", json!("http://crowd.example"), "sso_login_url"),
        (&crowd, "sso_exchange_url", json!("/relative"), "sso_exchange_url"),
        (&crowd, "sso_app_password", Value::Null, "sso_app_password"),
        (&soap, "fields", json!({ "password": "x" }), "fields"),
        (&soap, "fields", json!({ "a}}": "x" }), "fields"),
        (&auto, "user", json!(""), "user"),
        (&auto, "password", Value::Null, "password"),
        (&auto, "access_token", secret, "access_token"),
    ];
    for sound in [&basic, &key, &oauth1, &oauth2, &login, &crowd, &soap, &auto] {
        assert_eq!(faults(&with(desk(), "/connections/helix/auth", sound.clone())), [], "{sound}");
    }
    for (scheme, field, wrong, found) in cases {
        let mut auth = scheme.clone();
        auth[field] = wrong.clone();
        let faults = faults(&with(desk(), "/connections/helix/auth", auth));
        let path = ["connections", "helix", "auth", found].map(str::to_owned);
        let hit = faults.iter().any(|fault| fault.path == path && fault.code.as_str() == "project.auth_invalid");
        assert!(hit, "{} {field} {wrong}: {faults:?}", scheme["type"]);
    }
}
