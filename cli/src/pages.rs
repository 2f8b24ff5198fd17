//! Which error codes are explained in `docs/errors`. Those of connectors, such as `acme-crm.locked`, are not: they belong to
//! the connector's own documentation.

use wherry_domain::failure::Code;

/// In order, as `build.rs` finds them.
const EXPLAINED: &[&str] = &include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The page of a code, if it has one.
pub(crate) fn page(code: &Code) -> Option<String> {
    EXPLAINED.binary_search(&code.as_str()).is_ok().then(|| format!("docs/errors/{code}.md"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn our_own_codes_have_a_page_and_those_of_connectors_have_none() {
        assert_eq!(page(&codes::UNREACHABLE).as_deref(), Some("docs/errors/client.unreachable.md"));
        assert_eq!(page(&Code::new("http.throttled")).as_deref(), Some("docs/errors/http.throttled.md"));
        for foreign in ["library.not_found", "README", ""] {
            assert_eq!(page(&Code::received(foreign)), None, "{foreign}");
        }
        assert!(EXPLAINED.len() > 400, "{}", EXPLAINED.len());
    }
}
