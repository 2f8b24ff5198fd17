//! What a request is given on its way out.

use http::{HeaderName, HeaderValue};

use super::{oauth1::Signer, query::QueryKey, soap::SoapValues, token::Source};

/// A credential that is ready to be used.
pub(crate) enum Credential {
    /// A header that is the same each time.
    Header(HeaderName, HeaderValue),
    /// A key in the query.
    Query(QueryKey),
    /// A signature of each request.
    OAuth1(Box<Signer>),
    /// Placeholders in a SOAP header.
    Soap(Box<SoapValues>),
    /// A token that is got first, and again when it is refused.
    Token(Source),
}
