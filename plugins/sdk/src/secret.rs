//! A value that cannot be shown.

use serde::Deserialize;

/// Text that neither logs nor errors nor records can carry: it has no `Debug`, `Display` or `Serialize`, and no log
/// macro takes it. For what a system itself hands out, such as a session token; credentials never reach a connector.
///
/// ```compile_fail
/// let token: wherry_sdk::Secret = "t".to_owned().into();
/// let shown = format!("{token:?}");
/// ```
///
/// ```compile_fail
/// # fn log(cx: &wherry_sdk::Context<wherry_sdk::NoOptions>, token: wherry_sdk::Secret) {
/// wherry_sdk::info!(cx, "signed in", token = token);
/// # }
/// ```
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for the header or body that needs it and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}
