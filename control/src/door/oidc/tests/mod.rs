//! Tokens of an issuer that stands on this machine.

pub(crate) mod test_issuer;
mod test_key;
mod renewals;
mod tokens;

pub(crate) use test_key::TestKey;
