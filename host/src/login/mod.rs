//! How a client signs in to a cluster, if that is more than properties that never change: tokens of OAUTHBEARER, and
//! secrets that stand in files.
//!
//! Owns: which ways to sign in are built, where a token comes from, and when it and the files are looked at again.
//! Never decides when a client connects; never shows a secret. Always: a client has a token before it connects for the
//! first time, and nobody who processes records waits for another one.

mod settings;
mod secret;
mod token;
mod endpoint;
mod present;
mod process_group;

pub use present::Login;
pub(crate) use present::Present;
pub use secret::Secret;
pub use settings::{RefusedProperty, sign_in};
pub(crate) use token::Token;
