//! Paths below the connection's URL: written out, or made of segments that are encoded.

use super::url::encode;
use crate::error::{Error, Result};

/// A path below the connection's URL.
///
/// A text is taken as it is written, such as `"/contacts?active=true"`. An array is a list of segments: each is
/// encoded, and one that is empty, `.` or `..` is refused, because `DELETE /contacts/` is not what anybody meant.
pub trait IntoPath {
    /// The path as text.
    fn into_path(self) -> Result<String>;
}

impl IntoPath for &str {
    fn into_path(self) -> Result<String> {
        Ok(self.to_owned())
    }
}

impl IntoPath for String {
    fn into_path(self) -> Result<String> {
        Ok(self)
    }
}

impl IntoPath for &String {
    fn into_path(self) -> Result<String> {
        Ok(self.clone())
    }
}

impl<const N: usize> IntoPath for [&str; N] {
    fn into_path(self) -> Result<String> {
        self.as_slice().into_path()
    }
}

impl IntoPath for &[&str] {
    fn into_path(self) -> Result<String> {
        let mut path = String::new();
        for (at, segment) in self.iter().enumerate() {
            if matches!(*segment, "" | "." | "..") {
                let message = format!("segment {} of the path is empty or a dot and would mean another place", at + 1);
                return Err(Error::data("http.path_invalid", message));
            }
            path.push('/');
            path.push_str(&encode(segment));
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded_and_cannot_mean_another_place() {
        assert_eq!(["contacts", "a/b ä"].into_path().unwrap(), "/contacts/a%2Fb%20%C3%A4");
        for bad in ["", ".", ".."] {
            assert_eq!(["contacts", bad].into_path().unwrap_err().code, "http.path_invalid");
        }
    }
}
