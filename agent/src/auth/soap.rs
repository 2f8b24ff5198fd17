//! Credentials inside the header of a SOAP envelope.
//!
//! The connector writes the envelope and leaves `{{wherry:username}}`, `{{wherry:password}}` and the like where the
//! credentials belong. They are replaced outside the sandbox, and only in text directly inside the envelope's own header:
//! never in the body, where a system would store them as data and give them back.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use quick_xml::{
    Reader,
    events::{BytesDecl, Event},
};
use secrecy::{ExposeSecret, SecretString};
use wherry_host::{Body, EgressError};
use zeroize::Zeroizing;

use super::echo::Needles;

/// Largest envelope that is looked through: it is held in memory twice.
pub(crate) const MAX_ENVELOPE: usize = 1 << 20;
/// What a placeholder begins with.
const OPENS: &str = "{{wherry:";
const CLOSES: &str = "}}";
/// Where WS-Addressing sends answers, faults and replies.
const ADDRESSES: [&str; 3] = ["ReplyTo", "FaultTo", "From"];

/// What stands for each placeholder.
pub(crate) struct SoapValues {
    username: String,
    password: SecretString,
    fields: BTreeMap<String, String>,
    pub(crate) needles: Needles,
}

impl SoapValues {
    pub(super) fn new(username: String, password: &SecretString, fields: BTreeMap<String, String>) -> Self {
        let needles = Needles::of(password.expose_secret());
        Self { username, password: password.clone(), fields, needles }
    }

    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "username" => Some(&self.username),
            "password" => Some(self.password.expose_secret()),
            other => self.fields.get(other).map(String::as_str),
        }
    }

    /// Fills in the request's envelope, if it has one.
    ///
    /// # Errors
    /// If the envelope is too large, is none, or names a placeholder that does not exist.
    pub(crate) async fn fill(&self, mut request: Request<Body>) -> Result<Request<Body>, EgressError> {
        Needles::prepare(request.headers_mut());
        if request.body().is_end_stream() || !is_xml(request.headers()) {
            return Ok(request);
        }
        let (mut parts, body) = request.into_parts();
        let whole = Limited::new(body, MAX_ENVELOPE).collect().await.map_err(|error| {
            let own = error.downcast::<EgressError>().map(|error| *error);
            own.unwrap_or_else(|_| invalid(format!("a SOAP envelope has at most {MAX_ENVELOPE} bytes")))
        })?;
        let whole = whole.to_bytes();
        let filled = match std::str::from_utf8(&whole) {
            Ok(text) if text.contains(OPENS) => {
                if !is_utf8(&parts.headers) {
                    return Err(invalid(
                        "a SOAP envelope with placeholders is UTF-8, and its charset says so".to_owned(),
                    ));
                }
                Bytes::from_owner(self.replace(text)?)
            }
            // Without a placeholder it may be whatever it is.
            Ok(_) | Err(_) => whole,
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        Ok(Request::from_parts(parts, Full::new(filled).map_err(|never| match never {}).boxed_unsync()))
    }

    /// The envelope with its header filled in; everything else stays byte for byte.
    fn replace(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, EgressError> {
        let mut reader = Reader::from_str(text);
        let mut out = Zeroizing::new(Vec::with_capacity(text.len() + 1_024));
        let mut place = Place::default();
        let mut from = 0;
        loop {
            let event =
                reader.read_event().map_err(|_| invalid("the SOAP envelope is not well-formed XML".to_owned()))?;
            let to = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let piece = text.get(from..to).ok_or_else(|| invalid("the SOAP envelope cannot be read".to_owned()))?;
            from = to;
            match &event {
                Event::Text(_) if place.in_header() && piece.contains(OPENS) => {
                    place.fill()?;
                    self.fill_text(piece, &mut out)?;
                }
                Event::Start(_)
                | Event::End(_)
                | Event::Empty(_)
                | Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::GeneralRef(_)
                | Event::DocType(_) => out.extend_from_slice(piece.as_bytes()),
                Event::Eof if place.depth == 0 => return Ok(out),
                Event::Eof => return Err(invalid("the SOAP envelope breaks off".to_owned())),
            }
            place.after(&event)?;
        }
    }

    /// Beside other text a secret would become part of a value that the connector composes, such as an address.
    fn fill_text(&self, piece: &str, out: &mut Vec<u8>) -> Result<(), EgressError> {
        let name = piece.strip_prefix(OPENS).and_then(|opened| opened.strip_suffix(CLOSES)).ok_or_else(not_alone)?;
        let unknown = || invalid(format!("the SOAP header has a placeholder {OPENS}...{CLOSES} that does not exist"));
        let value = Zeroizing::new(escape(self.value(name).ok_or_else(unknown)?));
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }
}

/// Where in the document the reader is.
#[derive(Default)]
struct Place {
    begun: bool,
    depth: usize,
    /// Elements directly inside the envelope so far: the header is the first one.
    children: usize,
    header: bool,
    /// An element has just begun.
    fresh: bool,
    /// Its text was a placeholder, so it must end.
    filled: bool,
}

impl Place {
    fn in_header(&self) -> bool {
        self.header
    }

    fn fill(&mut self) -> Result<(), EgressError> {
        self.filled = true;
        if self.fresh { Ok(()) } else { Err(not_alone()) }
    }

    fn after(&mut self, event: &Event<'_>) -> Result<(), EgressError> {
        // The text itself comes by here too.
        if self.filled && !matches!(event, Event::Text(_)) {
            if !matches!(event, Event::End(_)) {
                return Err(not_alone());
            }
            self.filled = false;
        }
        self.fresh = matches!(event, Event::Start(_));
        match event {
            Event::Start(tag) => {
                self.open(tag.local_name().as_ref())?;
                self.depth += 1;
            }
            Event::Empty(tag) => {
                self.open(tag.local_name().as_ref())?;
                self.header &= self.depth > 1;
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.header &= self.depth > 1;
            }
            // With entities the system could read another document than we do.
            Event::DocType(_) => return Err(invalid("a SOAP envelope has no document type".to_owned())),
            Event::Decl(declaration) => declared(declaration)?,
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::GeneralRef(_) | Event::Eof => {
            }
        }
        Ok(())
    }

    fn open(&mut self, name: &str) -> Result<(), EgressError> {
        match self.depth {
            0 if self.begun || name != "Envelope" => {
                Err(invalid("an XML document with placeholders is one SOAP envelope".to_owned()))
            }
            0 => {
                self.begun = true;
                Ok(())
            }
            1 => {
                self.children += 1;
                self.header = self.children == 1 && name == "Header";
                Ok(())
            }
            // With them a connector would say where the system sends what belongs to the credentials.
            2 if self.header && ADDRESSES.contains(&name) => {
                Err(invalid(format!("a SOAP header with placeholders has no {name}: answers go to the agent")))
            }
            _ => Ok(()),
        }
    }
}

fn is_xml(headers: &HeaderMap) -> bool {
    let kind = content_type(headers).0.trim().to_ascii_lowercase();
    matches!(kind.as_str(), "text/xml" | "application/soap+xml" | "application/xml")
}

/// Whether no other encoding is named, in which the bytes that we read would mean something else.
fn is_utf8(headers: &HeaderMap) -> bool {
    content_type(headers).1.split(';').all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let name = name.trim().to_ascii_lowercase();
        !name.starts_with("charset") || (name == "charset" && bare.eq_ignore_ascii_case("utf-8"))
    })
}

/// The type and its parameters. Of two nobody knows which one the system believes.
fn content_type(headers: &HeaderMap) -> (&str, &str) {
    let mut all = headers.get_all(header::CONTENT_TYPE).iter();
    let only = all.next().filter(|_| all.next().is_none()).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    only.split_once(';').unwrap_or((only, ""))
}

fn declared(declaration: &BytesDecl<'_>) -> Result<(), EgressError> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => {
            Err(invalid("a SOAP envelope with placeholders is UTF-8, and its XML declaration says so".to_owned()))
        }
    }
}

fn not_alone() -> EgressError {
    invalid(format!("a placeholder {OPENS}...{CLOSES} is the whole text of an element, with nothing beside it"))
}

fn invalid(reason: String) -> EgressError {
    EgressError::InvalidRequest { reason }
}

/// A text as it stands in XML, inside and outside of attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> SoapValues {
        let fields = BTreeMap::from([("locale".to_owned(), "de_DE".to_owned())]);
        SoapValues::new("Ada & Co".to_owned(), &"p<w>\"'&".into(), fields)
    }

    fn filled(text: &str) -> Result<String, EgressError> {
        values().replace(text).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn the_header_is_filled_in_escaped_and_the_rest_stays_byte_for_byte() {
        let envelope = "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">\r\n \
            <s:Header><u:AuthenticationInfo xmlns:u='urn:HPD'><u:userName>{{wherry:username}}</u:userName>\
            <u:password>{{wherry:password}}</u:password><u:locale>{{wherry:locale}}</u:locale></u:AuthenticationInfo></s:Header>\
            <s:Body><u:note a=\"{{wherry:password}}\">&amp; {{wherry:password}} <![CDATA[{{wherry:password}}]]></u:note></s:Body>\
            <!-- {{wherry:password}} --></s:Envelope>";
        let (head, body) = envelope.split_once("</s:Header>").unwrap();
        let head = head
            .replace("{{wherry:username}}", "Ada &amp; Co")
            .replace("{{wherry:password}}", "p&lt;w&gt;&quot;&apos;&amp;")
            .replace("{{wherry:locale}}", "de_DE");
        assert_eq!(filled(envelope), Ok(format!("{head}</s:Header>{body}")));
    }

    #[test]
    fn nowhere_but_in_the_text_of_the_first_header_is_anything_replaced() {
        for envelope in [
            "<Envelope><Body><Header>{{wherry:password}}</Header></Body></Envelope>",
            "<Envelope><Body/><Header>{{wherry:password}}</Header></Envelope>",
            "<Envelope><Header/><Header>{{wherry:password}}</Header></Envelope>",
            "<Envelope><Header></Header>{{wherry:password}}<Body>{{wherry:password}}</Body></Envelope>",
            "<Envelope><Header><a b=\"{{wherry:password}}\"/><!--{{wherry:password}}--></Header></Envelope>",
            "<Envelope><Header><![CDATA[{{wherry:password}}]]></Header></Envelope>",
            "<Envelope><Header><Header/></Header><Body>{{wherry:password}}</Body></Envelope>",
            "<Envelope><Header><?pi {{wherry:password}}?></Header></Envelope>",
            "<Envelope>{{wherry:password}}<Header/></Envelope>",
        ] {
            assert_eq!(filled(envelope).as_deref(), Ok(envelope));
        }
    }

    #[test]
    fn what_a_system_could_read_differently_is_refused() {
        for envelope in [
            "<!DOCTYPE a [<!ENTITY e \"x\">]><Envelope><Header>{{wherry:password}}</Header></Envelope>",
            "<html><Header>{{wherry:password}}</Header></html>",
            "<Envelope><Header>{{wherry:password}}</Envelope>",
            "<Envelope><Header>{{wherry:password}}</Header>",
            "<Envelope/><Envelope><Header>{{wherry:password}}</Header></Envelope>",
            "<Envelope><Header>{{wherry:secret}}</Header></Envelope>",
            "<Envelope><Header>{{wherry:password</Header></Envelope>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Envelope><Header><a>{{wherry:password}}</a></Header></Envelope>",
            "<?xml version=\"1.0\" encoding=\"utf-8x\"?><Envelope><Header><a>{{wherry:password}}</a></Header></Envelope>",
        ] {
            assert!(matches!(filled(envelope), Err(EgressError::InvalidRequest { .. })), "{envelope}");
        }
    }

    #[test]
    fn a_placeholder_stands_alone_in_its_element() {
        for inside in [
            "http://evil/{{wherry:password}}",
            "{{wherry:password}}/",
            "{{wherry:username}}{{wherry:password}}",
            "&amp;{{wherry:password}}",
            "{{wherry:password}}&amp;",
            "<b/>{{wherry:password}}",
            "{{wherry:password}}<b/>",
            "{{wherry:password}}<!-- -->",
            "<![CDATA[x]]>{{wherry:password}}",
        ] {
            let envelope = format!("<Envelope><Header><a>{inside}</a></Header><Body/></Envelope>");
            assert!(matches!(filled(&envelope), Err(EgressError::InvalidRequest { .. })), "{inside}");
        }
    }

    #[test]
    fn answers_cannot_be_sent_elsewhere_with_credentials_in_the_envelope() {
        for name in ["ReplyTo", "FaultTo", "From"] {
            let with = |header: &str, body: &str| {
                let credential = "<p>{{wherry:password}}</p>";
                filled(&format!("<Envelope><Header>{credential}{header}</Header><Body>{body}</Body></Envelope>"))
            };
            let address = format!("<w:{name}><w:Address>http://evil</w:Address></w:{name}>");
            assert!(matches!(with(&address, ""), Err(EgressError::InvalidRequest { .. })), "{name}");
            assert!(with(&format!("<m>{address}</m>"), "").is_ok() && with("", &address).is_ok(), "{name}");
        }
    }

    #[tokio::test]
    async fn an_envelope_in_another_encoding_is_refused_only_if_it_has_placeholders() {
        let fill = async |kind: &str, body: &'static str| {
            let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
            let request = Request::post("https://desk/").header(header::CONTENT_TYPE, kind).body(body).unwrap();
            values().fill(request).await.map(drop)
        };
        let (with, without) = ("<Envelope><Header><a>{{wherry:password}}</a></Header></Envelope>", "<Envelope/>");
        for good in ["text/xml", "text/xml; charset=UTF-8", "application/soap+xml;charset=\"utf-8\"; action=\"x\""] {
            assert_eq!(fill(good, with).await, Ok(()), "{good}");
        }
        for bad in [
            "text/xml; charset=utf-16; x=utf-8",
            "text/xml; charset=utf-8; charset=utf-7",
            "text/xml; charset=utf-8x",
            "text/xml; charset*=utf-8''utf-16",
            "text/xml; charset",
        ] {
            assert!(matches!(fill(bad, with).await, Err(EgressError::InvalidRequest { .. })), "{bad}");
            assert_eq!(fill(bad, without).await, Ok(()), "{bad}");
        }
    }

    #[test]
    fn only_xml_is_looked_into_and_of_two_types_none_counts() {
        let mut two = HeaderMap::from_iter([(header::CONTENT_TYPE, "text/xml".parse().unwrap())]);
        assert!(is_xml(&two));
        two.append(header::CONTENT_TYPE, "text/xml; charset=utf-16".parse().unwrap());
        assert!(!is_xml(&two));
    }

    #[test]
    fn of_all_content_types_those_of_soap_are_looked_into() {
        let xml = |kind: &str| is_xml(&HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]));
        for kind in ["text/xml", "Text/XML; charset=UTF-8", "application/soap+xml; action=\"x\""] {
            assert!(xml(kind), "{kind}");
        }
        for kind in ["application/json", "text/plain", "multipart/related"] {
            assert!(!xml(kind), "{kind}");
        }
    }
}
