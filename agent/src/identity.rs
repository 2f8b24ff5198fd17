//! Who this agent is: its keys, its certificate, and how it gets, renews and recovers them.
//!
//! Nothing secret is ever sent: the controller sees a certificate request and the public half of the identity key.
//! Replacing a certificate survives a crash at any point: the next key is on disk before it is certified, and a
//! certificate counts only together with the note that says which generation it is.

mod enrol;
mod error;
mod files;
mod key;
mod pinned;
mod renewal;

pub use enrol::{EnrolOptions, Enrolled, enrol};
pub use error::IdentityError;
pub use files::{Identity, Note};
pub use renewal::{Renewal, renew_when_due};
