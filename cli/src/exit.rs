//! Exit codes, a contract with scripts.

/// What a finished command tells the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, also "unchanged".
    Done = 0,
    /// Failed, no better code.
    Failed = 1,
    /// Usage or validation.
    Invalid = 2,
    /// Not found.
    NotFound = 3,
    /// Not signed in or not allowed.
    Denied = 4,
    /// Conflict, wrong version, already exists.
    Conflict = 5,
    /// Controller unreachable or unavailable.
    Unavailable = 6,
    /// Waited, time is up; work goes on.
    TimedOut = 7,
    /// The remote run failed.
    RunFailed = 8,
    /// Rate limited.
    Limited = 9,
    /// Signature, digest or trust refused.
    Untrusted = 10,
    /// The connection that was tested does not work.
    TestFailed = 11,
    /// Interrupted.
    Interrupted = 130,
}

/// Shown at the end of `wherry help`.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done (also \"unchanged\")            6  controller unreachable or unavailable
    1  failed, no better code              7  waited, time is up; work goes on
    2  usage or validation                 8  the run failed
    3  not found                           9  rate limited
    4  not signed in or not allowed       10  signature, digest or trust refused
    5  conflict or already exists         11  the tested connection does not work
                                         130  interrupted

Environment: WHERRY_URL and WHERRY_TOKEN say where and as whom, before what `wherry login` wrote
into ~/.config/wherry/config.toml; WHERRY_CONFIG names another file. SSL_CERT_FILE names a file of
certificate authorities to trust..";

impl Exit {
    /// The code for a refusal by the controller; `run` says whether its answer names one, as those of actions do.
    pub(crate) fn of_refusal(status: u16, code: &str, run: bool) -> Self {
        const TRUST: [&str; 4] = [
            "connector.signature_invalid",
            "connector.publisher_untrusted",
            "connector.altered",
            "release.prefix_foreign",
        ];
        if TRUST.contains(&code) || code.starts_with("envelope.") {
            return Self::Untrusted;
        }
        match code {
            "action.timed_out" => return Self::TimedOut,
            "action.unknown" => return Self::RunFailed,
            // These name a run that did not fail: it may go on, or it went well before.
            "controller.stopping" | "action.answer_gone" => {}
            _ if run => return Self::RunFailed,
            _ => {}
        }
        match status {
            400 | 405 | 411 | 413 | 415 | 422 => Self::Invalid,
            404 | 410 => Self::NotFound,
            401 | 403 => Self::Denied,
            409 | 412 => Self::Conflict,
            429 => Self::Limited,
            408 | 502..=504 | 507 => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_the_documented_codes() {
        let table = [
            (404, "agent.not_found", false, Exit::NotFound),
            (401, "access.denied", false, Exit::Denied),
            (409, "resource.in_use", false, Exit::Conflict),
            (422, "project.invalid", false, Exit::Invalid),
            (422, "connector.altered", false, Exit::Untrusted),
            (422, "envelope.signature_invalid", false, Exit::Untrusted),
            (429, "controller.busy", false, Exit::Limited),
            (503, "controller.stopping", false, Exit::Unavailable),
            (507, "store.full", false, Exit::Unavailable),
            (500, "", false, Exit::Failed),
            (502, "", false, Exit::Unavailable),
            (422, "action.input_invalid", false, Exit::Invalid),
            (429, "action.throttled", false, Exit::Limited),
            (403, "action.answers_not_allowed", false, Exit::Denied),
            (504, "action.timed_out", true, Exit::TimedOut),
            (504, "action.unknown", true, Exit::RunFailed),
            (502, "http.server_error", true, Exit::RunFailed),
            (422, "http.params_invalid", true, Exit::RunFailed),
            (422, "record.rejected", true, Exit::RunFailed),
            (403, "agent_policy.host", true, Exit::RunFailed),
            (502, "envelope.signer_unknown", true, Exit::Untrusted),
            (503, "controller.stopping", true, Exit::Unavailable),
            (410, "action.answer_gone", true, Exit::NotFound),
        ];
        for (status, code, run, exit) in table {
            assert_eq!(Exit::of_refusal(status, code, run), exit, "{status} {code}");
        }
    }
}
