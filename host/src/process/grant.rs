//! What this process was granted, if the daemon of many tenants started it.
//!
//! Always: taken once, before anything else is read; whoever reads a pipeline file afterwards reads it under the grant,
//! whatever the verb.

use std::sync::OnceLock;

pub use sandbar_control::{CanaryGrant, Grant, GrantedCluster, GrantedCode, GrantedLimits, is_allowed_property};

use crate::error::{Error, Kind, Result};

static GRANT: OnceLock<Grant> = OnceLock::new();

/// Takes the grant that stands in standard input.
///
/// # Errors
/// `Invalid`: there is none, or one of another version of Sandbar.
pub fn take() -> Result<&'static Grant> {
    let taken = Grant::take(std::io::stdin().lock()).map_err(|why| {
        Error::new(
            Kind::Invalid,
            "failed to take what the daemon grants from standard input",
            why,
        )
        .hint("--granted is for processes that `sandbar serve` starts; after an update of the program, start it again")
    })?;
    Ok(GRANT.get_or_init(|| taken))
}

/// What this process was granted; `None`: a person started it, and it has what that person has.
pub fn granted() -> Option<&'static Grant> {
    GRANT.get()
}
