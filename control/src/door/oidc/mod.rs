//! Tokens of an OpenID Connect provider: found out about, asked for, and checked.
//!
//! Never trusts what a token says of itself before its signature was verified by a key of the provider. Always: a
//! provider is spoken to by https, or on this machine.

mod provider;
mod signatures;
mod keys;
mod issuer;

#[cfg(test)]
pub(crate) mod tests;

pub use issuer::OidcOptions;
pub(crate) use issuer::{TokenIssuer, is_of_an_issuer};
pub(crate) use provider::{Provider, is_on_this_machine};
