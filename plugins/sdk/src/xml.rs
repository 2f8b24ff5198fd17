//! XML, as far as SOAP and older interfaces need it: elements with attributes, texts and children. Namespaces are
//! prefixes here; finding goes by local names, because every system chooses its own prefixes.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, escape};

use crate::error::{Error, Result};

/// Elements inside each other.
const DEPTH: usize = 100;
/// Elements of one document.
const ELEMENTS: usize = 200_000;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// An empty element, such as `soapenv:Envelope`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The same with an attribute; declarations of namespaces are attributes.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with text before its children.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// The same with a child behind the others.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// The same with a child that is only text.
    #[must_use]
    pub fn field(self, name: &str, text: &str) -> Self {
        self.child(Self::new(name).with_text(text))
    }

    /// Its name without a prefix.
    pub fn name(&self) -> &str {
        self.name.rsplit(':').next().unwrap_or_default()
    }

    /// Its text, without that of its children and without white space around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// Its children.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// An attribute by its local name.
    pub fn get_attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known.rsplit(':').next() == Some(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first element on a way of local names, such as `Body/Fault/faultstring`.
    pub fn find(&self, way: &str) -> Option<&Self> {
        way.split('/').try_fold(self, |element, name| element.children.iter().find(|child| child.name() == name))
    }

    /// Its children of one local name.
    pub fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.name() == name)
    }

    /// The whole document.
    pub fn to_document(&self) -> String {
        let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
        if self.text.is_empty() && self.children.is_empty() {
            return out.push_str("/>");
        }
        out.push('>');
        out.push_str(&escaped(&self.text));
        self.children.iter().for_each(|child| child.write(out));
        out.push_str(&format!("</{}>", self.name));
    }

    /// Reads a document. Document types are refused, entities beyond the five of XML too: they are for attacks.
    pub fn parse(document: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(document).map_err(|_| not_xml("it is not UTF-8 text"))?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let (mut open, mut count): (Vec<Self>, usize) = (Vec::new(), 0);
        loop {
            let event = reader.read_event().map_err(|error| not_xml(&error.to_string()))?;
            count += 1;
            if open.len() > DEPTH || count > 4 * ELEMENTS {
                return Err(not_xml("it is too deep or too large"));
            }
            let closed = match event {
                Event::Start(start) => {
                    open.push(element(&start)?);
                    None
                }
                Event::Empty(start) => Some(element(&start)?),
                Event::End(_) => open.pop(),
                Event::Eof => return Err(not_xml("it breaks off")),
                Event::DocType(_) => return Err(not_xml("it has a document type")),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    let text = text_of(event)?;
                    open.last_mut().into_iter().for_each(|element| element.text.push_str(&text));
                    None
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
            };
            match (closed, open.last_mut()) {
                (Some(element), Some(parent)) => parent.children.push(element),
                (Some(root), None) => return Ok(root),
                (None, _) => {}
            }
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element> {
    let mut element = Element::new(start.name().as_ref());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| not_xml(&error.to_string()))?;
        let value = escape::unescape(attribute.value.as_ref()).map_err(|error| not_xml(&error.to_string()))?;
        element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(element)
}

fn text_of(event: Event<'_>) -> Result<String> {
    Ok(match event {
        Event::Text(text) => text.xml10_content().into_owned(),
        Event::CData(text) => text.xml10_content().into_owned(),
        Event::GeneralRef(name) => {
            let reference = format!("&{};", name.into_inner());
            escape::unescape(&reference).map_err(|_| not_xml("it refers to an unknown entity"))?.into_owned()
        }
        Event::Start(_)
        | Event::Empty(_)
        | Event::End(_)
        | Event::Eof
        | Event::DocType(_)
        | Event::Comment(_)
        | Event::Decl(_)
        | Event::PI(_) => String::new(),
    })
}

/// Escaped, and without the control characters that XML cannot carry at all.
fn escaped(text: &str) -> String {
    let proper = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    let kept: Cow<'_, str> =
        if text.chars().all(proper) { text.into() } else { text.chars().filter(|c| proper(*c)).collect() };
    escape::escape(kept).into_owned()
}

fn not_xml(why: &str) -> Error {
    Error::data("http.not_xml", format!("the system answered with something that is not usable XML: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let body = Element::new("soap:Body").child(Element::new("Get").field("id", "a<b>&\"c\" ä"));
        let envelope = Element::new("soap:Envelope").attribute("xmlns:soap", "http://x/").child(body);
        let document = envelope.to_document();
        assert!(document.contains("<id>a&lt;b&gt;&amp;&quot;c&quot; ä</id>"), "{document}");
        assert_eq!(Element::parse(document.as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn elements_are_found_by_local_names() {
        let document = b"<?xml version='1.0'?><!-- c --><S:Envelope xmlns:S='x'><S:Body><S:Fault>\n\
            <faultcode>7</faultcode><faultstring><![CDATA[a < b]]> &amp; &#65;</faultstring></S:Fault></S:Body></S:Envelope>";
        let envelope = Element::parse(document).unwrap();
        assert_eq!(envelope.name(), "Envelope");
        assert_eq!(envelope.find("Body/Fault/faultstring").map(Element::text), Some("a < b & A"));
        assert_eq!(envelope.find("Body/Nothing"), None);
        assert_eq!(envelope.find("Body").unwrap().all("Fault").count(), 1);
    }

    #[test]
    fn attacks_and_rubbish_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>";
        let deep = "<a>".repeat(1_000);
        for bad in [bomb, "<a>&b;</a>", "<a><b></a>", "<a>", "", "text", &deep] {
            assert_eq!(Element::parse(bad.as_bytes()).unwrap_err().code, "http.not_xml", "{bad:.40}");
        }
    }
}
