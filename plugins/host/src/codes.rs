//! Which codes of a connector's own errors may leave the agent: those that every connector built with the kit reports, those
//! that the host itself answered it with, and those that its signed descriptor declares. A code that is made up at run time is a text like any other, in which hostile
//! code could carry records away.

use super::descriptor::Descriptor;

/// Most codes that a connector declares.
pub(crate) const MOST: usize = 128;
/// Longest code, in bytes.
pub(crate) const LONGEST: usize = 64;

/// What the kit reports (`plugins/sdk`), in order.
const KIT: [&str; 33] = [
    "connector.activity_unknown",
    "connector.cancelled",
    "connector.connection_invalid",
    "connector.cursor_invalid",
    "connector.params_invalid",
    "connector.record_invalid",
    "connector.record_too_large",
    "connector.state_invalid",
    "http.answer_too_large",
    "http.answer_unexpected",
    "http.body_invalid",
    "http.broken_answer",
    "http.empty_answer",
    "http.exchange_failed",
    "http.forbidden",
    "http.header_forbidden",
    "http.header_invalid",
    "http.html_answer",
    "http.next_url_foreign",
    "http.not_found",
    "http.not_json",
    "http.not_xml",
    "http.page_repeated",
    "http.path_invalid",
    "http.proxy_unauthorized",
    "http.records_missing",
    "http.redirected",
    "http.refused",
    "http.server_error",
    "http.throttled",
    "http.too_many_pages",
    "http.truncated_answer",
    "http.unauthorized",
];

/// What the host's own functions answer to a connector that uses them wrongly, which it may hand on, in order.
const HOST: [&str; 12] = [
    "sandbox.ack_invalid",
    "sandbox.batch_invalid",
    "sandbox.batch_too_large",
    "sandbox.blob_chunk",
    "sandbox.blob_finished",
    "sandbox.blob_unknown",
    "sandbox.blobs_full",
    "sandbox.cancelled",
    "sandbox.cursor_too_large",
    "sandbox.output_invalid",
    "sandbox.reject_invalid",
    "sandbox.state_full",
];

/// First parts of the codes by which agent and controller speak of themselves: a connector that used them could have
/// itself taken for one of them.
const RESERVED: [&str; 49] = [
    "access",
    "action",
    "agent",
    "agent_policy",
    "alias",
    "application",
    "auth",
    "backup",
    "catalogue",
    "certificate",
    "client",
    "config",
    "connection",
    "connector",
    "controller",
    "crypto",
    "demo",
    "deployment",
    "egress",
    "enrolment",
    "envelope",
    "environment",
    "group",
    "identity",
    "invite",
    "key",
    "keyring",
    "link",
    "lock",
    "oauth",
    "operation",
    "operator",
    "policy",
    "project",
    "publisher",
    "record",
    "recovery",
    "release",
    "request",
    "rollout",
    "roster",
    "run",
    "sandbox",
    "seal",
    "secret",
    "session",
    "store",
    "token",
    "worker",
];

/// Whether a connector may declare the code.
pub(crate) fn may_be_declared(code: &str) -> bool {
    let reserved = code.split('.').next().is_none_or(|first| RESERVED.contains(&first));
    (3..=LONGEST).contains(&code.len()) && code.contains('.') && crate::text::code(code) == code && !reserved
}

impl Descriptor {
    /// Whether a code of this connector's own errors may leave the agent.
    pub fn declares_error(&self, code: &str) -> bool {
        [&KIT[..], &HOST[..]].iter().any(|known| known.binary_search(&code).is_ok())
            || self.errors.iter().any(|declared| declared == code)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Codes in the source below a folder of `plugins` that begin so, tests left out.
    fn codes(folder: &str, first: &[&str]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), first, &mut found);
        found
    }

    fn collect(folder: &Path, first: &[&str], found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, first, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let literals = code.split('"').skip(1).step_by(2);
            let codes = literals.filter(|text| crate::text::code(text) == **text);
            found.extend(codes.filter(|text| first.iter().any(|first| text.starts_with(first))).map(str::to_owned));
        }
    }

    #[test]
    fn every_code_of_the_kit_and_of_the_hosts_functions_is_known() {
        assert!(KIT.is_sorted() && HOST.is_sorted() && RESERVED.is_sorted());
        let kit = codes("sdk/src", &["http.", "connector."]);
        assert!(kit.len() > 20, "{kit:?}");
        let unknown: Vec<_> = kit.iter().filter(|code| KIT.binary_search(&code.as_str()).is_err()).collect();
        assert!(unknown.is_empty(), "{unknown:?} is missing in KIT");
        let host = codes("host/src/imports", &["sandbox."]);
        assert!(host.len() > 8, "{host:?}");
        let unknown: Vec<_> = host.iter().filter(|code| HOST.binary_search(&code.as_str()).is_err()).collect();
        assert!(unknown.is_empty(), "{unknown:?} is missing in HOST");
    }

    #[test]
    fn nobody_declares_what_agent_and_controller_say_of_themselves() {
        let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")).unwrap();
        let pages = pages.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let first: BTreeSet<String> = pages.filter_map(|page| Some(page.split_once('.')?.0.to_owned())).collect();
        // These belong to connectors of our own.
        let own = ["declarative", "http", "jira"];
        // These to commands, or they are no part of what a run can end with.
        let others = ["manifest", "package", "resource", "schema", "sealed", "tls", "transform"];
        let open: Vec<_> = first.iter().map(String::as_str).filter(|first| !RESERVED.contains(first)).collect();
        let known = |first: &&str| own.contains(first) || others.contains(first);
        assert!(open.iter().all(known), "{open:?}");
        for bad in ["worker.died", "agent_policy.host", "sandbox.trap", "odd", "", "Crm.odd", "crm.é"] {
            assert!(!may_be_declared(bad), "{bad}");
        }
        assert!(may_be_declared("crm.contact_missing") && may_be_declared("http.template_invalid"));
    }
}
