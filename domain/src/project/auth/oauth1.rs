//! OAuth 1.0a, which self-hosted Jira still speaks.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::project::{SecretRef, tls::CertificateStore};

/// OAuth 1.0a (RFC 5849) with a token that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth1 {
    /// How requests are signed.
    pub signature_method: SignatureMethod,
    /// Consumer key; takes variables.
    pub consumer_key: String,
    /// The consumer secret's name; needed for HMAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_secret: Option<SecretRef>,
    /// The RSA key; needed for RSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStore>,
    /// The token's name.
    pub token: SecretRef,
    /// The token secret's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<SecretRef>,
    /// `oauth_verifier`, where a system wants it with each request; takes variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub verifier: String,
    /// Realm of the header; takes variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub realm: String,
}

/// How OAuth 1.0a requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureMethod {
    /// HMAC with SHA-1.
    #[serde(rename = "HMAC-SHA1")]
    HmacSha1,
    /// HMAC with SHA-256, where a system offers it.
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// RSA with SHA-1: Jira Data Center's.
    #[serde(rename = "RSA-SHA1")]
    RsaSha1,
}
