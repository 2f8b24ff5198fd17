//! The two kinds of Jira: the one that Atlassian runs, and the one that customers run themselves.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Which Jira the site plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// Jira Cloud: account ids, API tokens, `search/jql` with page tokens, Atlassian document format.
    #[default]
    Cloud,
    /// Jira Data Center: user names, passwords and personal access tokens, `search` with offsets, plain text.
    DataCenter,
}

impl Flavour {
    /// As command lines and answers spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::DataCenter => "data-center",
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Flavour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cloud" => Ok(Self::Cloud),
            "data-center" => Ok(Self::DataCenter),
            other => Err(format!("there is no flavour {other}, choose cloud or data-center")),
        }
    }
}
