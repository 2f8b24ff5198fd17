//! How requests of a connection prove who they are, outside the connector's sandbox.
//!
//! | module | what it is for |
//! |---|---|
//! | [`token`] | tokens that have to be got first: the seam to OAuth 2.0 |
//! | [`alone`] | a connection's way out without a run |
//! | [`calls`] | the calls that a scheme makes itself |
//! | `scheme` | from the `auth` of a project to a credential |
//! | `credential` | what a request is given |
//! | `keeper` | one login at a time, and none for a minute after a refusal |
//! | `login` | a login call that gives a token |
//! | `crowd` | Atlassian Crowd |
//! | `oauth1` | signatures of OAuth 1.0a |
//! | `soap` | credentials inside a SOAP header |
//! | `query` | a key in the query |
//! | `echo` | answers that contain the secret |

pub mod alone;
pub mod calls;
mod credential;
mod crowd;
mod echo;
mod keeper;
mod login;
mod oauth1;
mod query;
mod scheme;
mod soap;
pub mod token;

pub use calls::AuthCalls;
pub(crate) use credential::Credential;
pub(crate) use scheme::{Made, Scheme};
pub(crate) use token::OpenCalls;
pub use token::{AuthFailure, Source, Token, TokenSource, Tokens};
