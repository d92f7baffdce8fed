//! Random bytes of the kernel, for secrets, ids and nonces.

use rustix::rand::GetRandomFlags;

use crate::model::problem::{Problem, ProblemKind, Result};

/// So many random bytes; the kernel gives up to 256 of them at once.
///
/// # Errors
///
/// `Failed` if the kernel gives none.
pub(crate) fn random<const COUNT: usize>() -> Result<[u8; COUNT]> {
    let failed = |why: String| Problem::new(ProblemKind::Failed, "failed to get random bytes", why);
    let mut bytes = [0; COUNT];
    match rustix::rand::getrandom(bytes.as_mut_slice(), GetRandomFlags::empty()) {
        Ok(count) if count == COUNT => Ok(bytes),
        Ok(count) => Err(failed(format!("the kernel gave {count} of {COUNT}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}
