//! The way that a request took: through which proxy, to which address, with which certificate, and how long each step
//! was. Told by `wherry connection test`, in the agent's own words.

use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{failure::Code, name::Name};

/// Longest text within a [`Path`], in bytes; more of a stranger's certificate says nothing to a person.
pub const MAX_TEXT: usize = 512;
/// Most steps of a path: each phase once.
pub const MAX_STEPS: usize = 5;

/// How a connection to a system came about, as far as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Direct, or through which proxy.
    pub way: Way,
    /// Address and port that the agent itself connected to: those of the system, or of the proxy.
    pub address: Option<String>,
    /// The TLS session with the system.
    pub tls: Option<Session>,
    /// What was done, in order; the last one may be the one that failed.
    pub steps: Vec<Step>,
    /// Where it ended, if it did not succeed.
    pub obstacle: Option<Obstacle>,
}

/// Direct, or through which proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The connection uses no proxy.
    Direct,
    /// The connection uses this proxy, whose `bypass` names the destination.
    Bypass(Via),
    /// Through this proxy.
    Proxy(Via),
}

/// A proxy of the agent's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Its name; none for the default proxy.
    pub name: Option<Name>,
    /// `http`, `https`, `socks5` or `socks5h`.
    pub scheme: String,
    /// Host and port.
    pub address: String,
}

/// A TLS session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Such as `TLS 1.3`; empty if no session came about.
    pub version: String,
    /// What the system showed.
    pub certificate: Option<Certificate>,
}

/// A server's certificate. Its names are the issuer's words, with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is for.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it ends, in seconds since the Unix epoch.
    pub not_after_s: i64,
}

/// One step on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looking up the name of the system, or of the proxy.
    Resolve,
    /// TCP, to the system or to the proxy.
    Connect,
    /// What the proxy wants before it lets bytes through: TLS, credentials, the destination.
    Proxy,
    /// TLS with the system.
    Tls,
    /// From the end of all that to the first byte of an answer.
    FirstByte,
}

/// A phase and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub phase: Phase,
    /// How long it took; told in microseconds.
    pub duration: Duration,
}

/// Where it ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In which phase.
    pub phase: Phase,
    /// Stable code.
    pub code: Code,
    /// The likely cause, in the agent's words.
    pub cause: String,
}

impl Certificate {
    /// Whole days until it ends, at `now_s` seconds after the Unix epoch; negative once it has ended.
    pub const fn days_left(&self, now_s: i64) -> i64 {
        self.not_after_s.saturating_sub(now_s).div_euclid(24 * 3_600)
    }
}

impl Phase {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::FirstByte => "first_byte",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `text` with control and invisible characters escaped, cut to [`MAX_TEXT`] bytes.
pub fn plain(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        let is_plain = c == ' ' || c.is_alphanumeric() || c.is_ascii_punctuation();
        let room = MAX_TEXT - kept.len();
        if is_plain && c.len_utf8() <= room {
            kept.push(c);
        } else if !is_plain && c.escape_unicode().len() <= room {
            kept.extend(c.escape_unicode());
        } else {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_left_are_whole_ones_and_negative_after_the_end() {
        let day = 24 * 3_600;
        let certificate = Certificate { subject: String::new(), issuer: String::new(), not_after_s: 10 * day };
        let left = [0, day, day + 1, 10 * day, 10 * day + 1, i64::MIN].map(|now| certificate.days_left(now));
        assert_eq!(left[..5], [10, 9, 8, 0, -1]);
        assert!(left[5] > 0);
    }

    #[test]
    fn a_strangers_text_is_bounded_and_cannot_drive_a_terminal() {
        assert_eq!(plain("CN=desk.example, O=Büro"), "CN=desk.example, O=Büro");
        assert_eq!(plain("a\u{1b}[31m\n\u{202e}b"), "a\\u{1b}[31m\\u{a}\\u{202e}b");
        for text in ["x".repeat(5_000), "\u{7f}".repeat(5_000), "ü".repeat(5_000)] {
            let kept = plain(&text);
            assert!((MAX_TEXT - 10..=MAX_TEXT).contains(&kept.len()), "{}", kept.len());
        }
    }
}
