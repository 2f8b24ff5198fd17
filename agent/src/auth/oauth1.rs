//! OAuth 1.0a signatures (RFC 5849, section 3).

use aws_lc_rs::{hmac, rand};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use secrecy::{ExposeSecret, SecretString};
use wherry_daemon::clock::Clock;
use wherry_domain::project::auth::SignatureMethod;
use wherry_host::{Body, EgressError};
use wherry_rsa_sha1::SigningKey;

use crate::net::proxy;

/// Largest form: its fields are part of what is signed, so it must be there whole.
const MAX_FORM: usize = 1 << 20;

/// What signs.
pub(crate) enum Key {
    /// HMAC over consumer and token secret.
    Hmac(Box<hmac::Key>, SignatureMethod),
    /// The consumer's private key.
    Rsa(Box<SigningKey>),
}

/// Signs requests of one connection.
pub(crate) struct Signer {
    pub(super) key: Key,
    pub(super) consumer: String,
    pub(super) token: SecretString,
    pub(super) verifier: String,
    pub(super) realm: String,
    pub(super) clock: Clock,
}

impl Key {
    /// The key of HMAC-SHA1 or HMAC-SHA256 (RFC 5849, section 3.4.2).
    pub(super) fn hmac(method: SignatureMethod, consumer: &SecretString, token: Option<&SecretString>) -> Self {
        let algorithm = match method {
            SignatureMethod::HmacSha256 => hmac::HMAC_SHA256,
            SignatureMethod::HmacSha1 | SignatureMethod::RsaSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        let token = token.map(ExposeSecret::expose_secret).unwrap_or_default();
        let text = zeroize::Zeroizing::new(format!("{}&{}", encode(consumer.expose_secret()), encode(token)));
        Self::Hmac(Box::new(hmac::Key::new(algorithm, text.as_bytes())), method)
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Hmac(_, SignatureMethod::HmacSha256) => "HMAC-SHA256",
            Self::Hmac(_, SignatureMethod::HmacSha1 | SignatureMethod::RsaSha1) => "HMAC-SHA1",
            Self::Rsa(_) => "RSA-SHA1",
        }
    }

    fn sign(&self, base: &str) -> Option<String> {
        Some(match self {
            Self::Hmac(key, _) => STANDARD.encode(hmac::sign(key, base.as_bytes())),
            Self::Rsa(key) => STANDARD.encode(key.sign(base.as_bytes()).ok()?),
        })
    }
}

/// What makes each request different from every other one.
struct Once {
    nonce: String,
    /// Seconds since 1970.
    timestamp: u64,
}

impl Signer {
    /// Adds the header `Authorization`. The fields of a form are part of the signature, other bodies are not.
    ///
    /// # Errors
    /// If a form is too large.
    pub(crate) async fn sign(&self, request: Request<Body>) -> Result<Request<Body>, EgressError> {
        let (mut parts, mut body) = request.into_parts();
        let mut form = Bytes::new();
        if is_form(&parts.headers) && !body.is_end_stream() {
            let whole = Limited::new(body, MAX_FORM).collect().await.map_err(|error| {
                let own = error.downcast::<EgressError>().map(|error| *error);
                let reason = format!("a form that OAuth 1.0a signs has at most {MAX_FORM} bytes");
                own.unwrap_or(EgressError::InvalidRequest { reason })
            })?;
            form = whole.to_bytes();
            body = Full::new(form.clone()).map_err(|never| match never {}).boxed_unsync();
        }
        let once = self.once().ok_or_else(unsigned)?;
        let value = self.header(&parts.method, &parts.uri, &form, &once).ok_or_else(unsigned)?;
        parts.headers.insert(header::AUTHORIZATION, value);
        Ok(Request::from_parts(parts, body))
    }

    fn once(&self) -> Option<Once> {
        // 24 digits: widespread servers refuse nonces of more than 30.
        let mut chance = [0; 12];
        rand::fill(&mut chance).ok()?;
        let nonce = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Once { nonce, timestamp: self.clock.wall_unix_millis() / 1_000 })
    }

    fn header(&self, method: &Method, uri: &Uri, form: &[u8], once: &Once) -> Option<HeaderValue> {
        let timestamp = once.timestamp.to_string();
        let mut own = vec![
            ("oauth_consumer_key", self.consumer.as_str()),
            ("oauth_nonce", &once.nonce),
            ("oauth_signature_method", self.key.method()),
            ("oauth_timestamp", &timestamp),
            ("oauth_token", self.token.expose_secret()),
            ("oauth_version", "1.0"),
        ];
        if !self.verifier.is_empty() {
            own.push(("oauth_verifier", &self.verifier));
        }
        let signature = self.key.sign(&base_string(method, uri, form, &own)?)?;
        own.push(("oauth_signature", &signature));
        let mut text = String::from("OAuth ");
        if !self.realm.is_empty() {
            text.push_str(&format!("realm=\"{}\", ", self.realm));
        }
        let pairs: Vec<String> = own.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
        text.push_str(&pairs.join(", "));
        proxy::sensitive(&text)
    }
}

fn unsigned() -> EgressError {
    EgressError::Credentials { reason: "the request could not be signed".to_owned() }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Section 3.4.1: what is signed.
fn base_string(method: &Method, uri: &Uri, form: &[u8], own: &[(&str, &str)]) -> Option<String> {
    let host = uri.host()?.to_ascii_lowercase();
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let standard = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != standard).map(|port| format!(":{port}")).unwrap_or_default();
    let base = format!("{scheme}://{host}{port}{}", uri.path());
    let mut pairs: Vec<(String, String)> = own.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    for source in [uri.query().unwrap_or_default().as_bytes(), form] {
        pairs.extend(decoded(source).map(|(name, value)| (encode_bytes(&name), encode_bytes(&value))));
    }
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(format!("{method}&{}&{}", encode(&base), encode(&pairs.join("&"))))
}

/// The pairs of a query or form, as bytes: what is not UTF-8 is signed as it is.
fn decoded(source: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let pieces = source.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| {
        let mut halves = piece.splitn(2, |byte| *byte == b'=');
        let mut half = || halves.next().map(unescaped).unwrap_or_default();
        (half(), half())
    })
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit =
        |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16)).and_then(|it| u8::try_from(it).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 2;
            }
            (b'+', _, _) => out.push(b' '),
            (other, _, _) => out.push(*other),
        }
        at += 1;
    }
    out
}

fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

/// Section 3.6: everything but letters, digits and `-._~`, in capitals.
fn encode_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Empty;
    use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    use wherry_domain::time::Timestamp;

    /// The private key of the test cases that the OAuth community kept at wiki.oauth.net, as is everything that is
    /// signed with it below. It is as public as a key can be.
    const WIKI_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBALRiMLAh9iimur8V
A7qVvdqxevEuUkW4K+2KdMXmnQbG9Aa7k7eBjK1S+0LYmVjPKlJGNXHDGuy5Fw/d
7rjVJ0BLB+ubPK8iA/Tw3hLQgXMRRGRXXCn8ikfuQfjUS1uZSatdLB81mydBETlJ
hI6GH4twrbDJCR2Bwy/XWXgqgGRzAgMBAAECgYBYWVtleUzavkbrPjy0T5FMou8H
X9u2AC2ry8vD/l7cqedtwMPp9k7TubgNFo+NGvKsl2ynyprOZR1xjQ7WgrgVB+mm
uScOM/5HVceFuGRDhYTCObE+y1kxRloNYXnx3ei1zbeYLPCHdhxRYW7T0qcynNmw
rn05/KO2RLjgQNalsQJBANeA3Q4Nugqy4QBUCEC09SqylT2K9FrrItqL2QKc9v0Z
zO2uwllCbg0dwpVuYPYXYvikNHHg+aCWF+VXsb9rpPsCQQDWR9TT4ORdzoj+Nccn
qkMsDmzt0EfNaAOwHOmVJ2RVBspPcxt5iN4HI7HNeG6U5YsFBb+/GZbgfBT3kpNG
WPTpAkBI+gFhjfJvRw38n3g/+UeAkwMI2TJQS4n8+hid0uus3/zOjDySH3XHCUno
cn1xOJAyZODBo47E+67R4jV1/gzbAkEAklJaspRPXP877NssM5nAZMU0/O/NGCZ+
3jPgDUno6WbJn5cqm8MqWhW1xGkImgRk+fkDBquiq4gPiT898jusgQJAd5Zrr6Q8
AO/0isr/3aa6O6NLQxISLKcPDk2NOccAfS/xOtfOz4sJYM3+Bs4Io9+dZGSDCA54
Lw03eHTNQghS0A==
-----END PRIVATE KEY-----";

    fn signer(key: Key, consumer: &str, token: &str) -> Signer {
        let (clock, _) = Clock::manual(Timestamp::from_millis(0));
        let (consumer, token) = (consumer.to_owned(), token.into());
        Signer { key, consumer, token, verifier: String::new(), realm: String::new(), clock }
    }

    #[test]
    fn the_base_string_is_that_of_the_rfcs_example() {
        // RFC 5849, section 3.4.1.1, with the parameters of section 3.4.1.3.1.
        let uri: Uri = "http://EXAMPLE.com:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b".parse().unwrap();
        let own = [
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
        ];
        let base = base_string(&Method::POST, &uri, b"c2&a3=2+q", &own).unwrap();
        assert_eq!(
            base,
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26\
             c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26\
             oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }

    #[test]
    fn an_hmac_signature_is_that_of_the_rfcs_example() {
        // RFC 5849, section 1.2: the photo that is fetched at the end.
        let key = Key::hmac(SignatureMethod::HmacSha1, &"kd94hf93k423kf44".into(), Some(&"pfkkdhi9sl3r4s00".into()));
        let uri: Uri = "http://photos.example.net/photos?file=vacation.jpg&size=original".parse().unwrap();
        let own = [
            ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
            ("oauth_token", "nnch734d00sl2jdk"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131202"),
            ("oauth_nonce", "chapoH"),
        ];
        let base = base_string(&Method::GET, &uri, b"", &own).unwrap();
        assert_eq!(
            key.sign(&base).unwrap(),
            "MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D".replace("%2F", "/").replace("%3D", "=")
        );
    }

    #[test]
    fn an_rsa_signature_is_that_of_the_communitys_test_case() {
        let der = PrivatePkcs8KeyDer::from_pem_slice(WIKI_KEY.as_bytes()).unwrap();
        let key = Key::Rsa(Box::new(SigningKey::from_pkcs8(der.secret_pkcs8_der()).unwrap()));
        let base = "GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacaction.jpg%26oauth_consumer_key%3Ddpf43f3p2l4k3l03\
                    %26oauth_nonce%3D13917289812797014437%26oauth_signature_method%3DRSA-SHA1%26oauth_timestamp%3D1196666512\
                    %26oauth_version%3D1.0%26size%3Doriginal";
        assert_eq!(
            key.sign(base).unwrap(),
            "jvTp/wX1TYtByB1m+Pbyo0lnCOLIsyGCH7wke8AUs3BpnwZJtAuEJkvQL2/9n4s5wUmUl4aCI4BwpraNx4RtEXMe5qg5T1LVTGliMRpK\
             asKsW//e+RinhejgCuzoH26dyF8iY2ZZ/5D1ilgeijhV/vBka5twt399mXwaYdCwFYE="
        );
    }

    #[test]
    fn the_header_quotes_and_encodes_and_its_value_is_never_shown() {
        let key = Key::hmac(SignatureMethod::HmacSha256, &"c&s".into(), None);
        let signer = Signer { realm: "Desk A".into(), verifier: "v/1".into(), ..signer(key, "key \u{e9}", "t=k") };
        let once = Once { nonce: "n".into(), timestamp: 7 };
        let value = signer.header(&Method::PUT, &"https://h/p".parse().unwrap(), b"", &once).unwrap();
        let text = value.to_str().unwrap();
        let before = "OAuth realm=\"Desk A\", oauth_consumer_key=\"key%20%C3%A9\", oauth_nonce=\"n\", \
                      oauth_signature_method=\"HMAC-SHA256\", oauth_timestamp=\"7\", oauth_token=\"t%3Dk\", \
                      oauth_version=\"1.0\", oauth_verifier=\"v%2F1\", oauth_signature=\"";
        assert!(text.starts_with(before) && text.ends_with("%3D\""), "{text}");
        assert_eq!(format!("{value:?}"), "Sensitive");
    }

    #[tokio::test]
    async fn two_requests_never_share_a_nonce_and_bodies_stay_as_they_are() {
        let signer = signer(Key::hmac(SignatureMethod::HmacSha1, &"s".into(), None), "c", "t");
        let signed = async |kind: &'static str, body: &'static str| {
            let request = Request::post("https://h/p").header(header::CONTENT_TYPE, kind);
            let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync();
            let (parts, body) = signer.sign(request.body(body).unwrap()).await.unwrap().into_parts();
            let header = parts.headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
            (header, body.collect().await.unwrap().to_bytes())
        };
        let (first, body) = signed("application/x-www-form-urlencoded", "a=b&c=d").await;
        let (second, json) = signed("application/json", "{\"a\":1}").await;
        assert_eq!((&body[..], &json[..]), (&b"a=b&c=d"[..], &b"{\"a\":1}"[..]));
        assert_ne!(first, second);
        let none = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        assert!(signer.sign(Request::new(none)).await.is_err(), "without a host there is nothing to sign");
    }
}
