//! Bodies of several parts (`multipart/form-data`, RFC 7578), for systems that take attachments.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::body::{Body, Piece};
use crate::blobs::Blob;
use crate::error::{Error, Result};

/// A form with files.
#[derive(Default)]
pub struct Multipart {
    parts: Vec<(String, Piece)>,
    fault: Option<Error>,
}

impl Multipart {
    /// Without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[must_use]
    pub fn text(self, name: &str, value: impl Into<String>) -> Self {
        let head = [("name", name)];
        self.part(&head, None, Piece::Bytes(value.into().into_bytes()))
    }

    /// Adds a file from memory.
    #[must_use]
    pub fn file(self, name: &str, file_name: &str, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        self.part(&[("name", name), ("filename", file_name)], Some(media_type), Piece::Bytes(content.into()))
    }

    /// Adds a file of the run, which streams.
    #[must_use]
    pub fn blob(self, name: &str, file_name: &str, media_type: &str, content: Blob) -> Self {
        self.part(&[("name", name), ("filename", file_name)], Some(media_type), Piece::Blob(content))
    }

    fn part(mut self, names: &[(&str, &str)], media_type: Option<&str>, content: Piece) -> Self {
        let mut head = "content-disposition: form-data".to_owned();
        for (parameter, value) in names {
            head.push_str(&format!("; {parameter}=\"{}\"", quoted(value)));
        }
        if let Some(media_type) = media_type {
            if media_type.chars().any(char::is_control) {
                let message = "the media type of a part has a line break or control character in it";
                self.fault = Some(Error::data("http.header_invalid", message));
            }
            head.push_str(&format!("\r\ncontent-type: {media_type}"));
        }
        self.parts.push((head, content));
        self
    }

    /// The body, and the value of its `content-type`.
    pub(crate) fn into_body(self) -> Result<(Body, String)> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let boundary = format!("wherry-{:016x}{:016x}", chance(), chance());
        let mut body = Body::default();
        for (head, content) in self.parts {
            body.push(Piece::Bytes(format!("--{boundary}\r\n{head}\r\n\r\n").into_bytes()));
            body.push(content);
            body.push(Piece::Bytes(b"\r\n".to_vec()));
        }
        body.push(Piece::Bytes(format!("--{boundary}--\r\n").into_bytes()));
        Ok((body, format!("multipart/form-data; boundary={boundary}")))
    }
}

/// A number that no content can foresee: the keys of the standard library's hash maps are random.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// As browsers do it: what could end the quotes or the line is encoded.
fn quoted(value: &str) -> String {
    value.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_separated_and_names_cannot_break_out() {
        let form = Multipart::new().text("comment", "hi").file("file", "a\"\r\nb.txt", "text/plain", "content");
        let (body, content_type) = form.into_body().unwrap();
        let (_, boundary) = content_type.split_once("boundary=").unwrap();
        let length = body.len();
        let mut bytes = Vec::new();
        body.write_to(|piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
        let expected = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"comment\"\r\n\r\nhi\r\n\
             --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a%22%0D%0Ab.txt\"\r\n\
             content-type: text/plain\r\n\r\ncontent\r\n--{boundary}--\r\n"
        );
        assert_eq!((String::from_utf8(bytes).unwrap(), length), (expected.clone(), expected.len() as u64));
    }

    #[test]
    fn a_media_type_cannot_smuggle_headers() {
        let form = Multipart::new().file("f", "f", "text/plain\r\nevil: 1", "");
        assert_eq!(form.into_body().err().unwrap().code, "http.header_invalid");
    }
}
