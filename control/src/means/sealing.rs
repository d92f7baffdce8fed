//! Seals texts, so that whoever reads the catalog does not read them.
//!
//! Never shows the key. Always: a sealed text opens only in the place that it was sealed for, so that no row takes
//! another's; two seals of one text differ.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

use crate::model::problem::{Problem, ProblemKind, Result};
use crate::random::random;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Random bytes in front of what is sealed: so many that none comes twice.
const NONCE_BYTES: usize = 24;
/// What a sealed text begins with: how it was sealed.
const XCHACHA20_POLY1305: u8 = 1;

/// The key that the secrets of a catalog are sealed with. Its `Debug` does not show it.
#[derive(Clone)]
pub struct SealingKey(XChaCha20Poly1305);

impl SealingKey {
    /// A key of 32 random bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(&bytes.into()))
    }

    /// The text as it is kept in this place.
    ///
    /// # Errors
    ///
    /// `Failed` if there is no randomness, or the text has hundreds of gigabytes.
    pub(crate) fn seal(&self, place: &[&str], text: &str) -> Result<String> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let place = place.join("\0");
        let payload = Payload {
            msg: text.as_bytes(),
            aad: place.as_bytes(),
        };
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Problem::new(ProblemKind::Failed, "failed to seal a secret", "it is too long"))?;
        Ok(STANDARD_NO_PAD.encode([&[XCHACHA20_POLY1305], nonce.as_slice(), &sealed].concat()))
    }

    /// The text of what was sealed with this key in this place. `None`: it was not, or was changed since.
    pub(crate) fn open(&self, place: &[&str], sealed: &str) -> Option<String> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (&XCHACHA20_POLY1305, rest) = bytes.split_first()? else {
            return None;
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let place = place.join("\0");
        let payload = Payload {
            msg: sealed,
            aad: place.as_bytes(),
        };
        let text = self.0.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(text).ok()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SealingKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_with_its_key_alone() {
        let key = SealingKey::new([7; KEY_BYTES]);
        let sealed = key.seal(&["secret", "a", "b"], "hunter2").unwrap();
        assert_eq!(key.open(&["secret", "a", "b"], &sealed).as_deref(), Some("hunter2"));
        assert_ne!(key.seal(&["secret", "a", "b"], "hunter2").unwrap(), sealed);
        for place in [["secret", "a", "c"], ["secret", "c", "b"], ["check", "a", "b"]] {
            assert_eq!(key.open(&place, &sealed), None, "{place:?}");
        }
        let other = SealingKey::new([8; KEY_BYTES]);
        assert_eq!(other.open(&["secret", "a", "b"], &sealed), None);
        assert_eq!(format!("{key:?}"), "SealingKey");
    }

    #[test]
    fn what_was_changed_or_is_none_does_not_open() {
        let key = SealingKey::new([7; KEY_BYTES]);
        let sealed = key.seal(&["a"], "hunter2").unwrap();
        let bytes = STANDARD_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&["a"], &STANDARD_NO_PAD.encode(changed)), None, "{at}");
            assert_eq!(key.open(&["a"], &STANDARD_NO_PAD.encode(&bytes[..at])), None, "{at}");
        }
        assert_eq!(key.open(&["a"], "hunter2"), None);
        assert_eq!(key.open(&["a"], ""), None);
    }
}
