//! Public keys of minisign, and the signatures of plugins that they check.
//!
//! Never signs, and never takes a signature of the old sort, over the bytes themselves: they would have to be held
//! whole. Always: a signature counts for the bytes and its trusted comment together, and for one key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature, StreamVerifier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::names::KeyId;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Keys of a tenant, at most.
pub(crate) const MOST_SIGNING_KEYS: i64 = 64;
/// Bytes of a signature's text, at most, with its two comments.
const SIGNATURE_BYTES: usize = 4096;
/// Bytes of the text of a public key, at most, with its comment.
const KEY_BYTES: usize = 2048;
/// How the bytes of a signature over a hash of the plugin begin.
const OF_A_HASH: &[u8] = b"ED";
/// How those of a signature over the plugin itself begin.
const OF_THE_BYTES: &[u8] = b"Ed";

/// A public key of minisign.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    key: PublicKey,
    id: KeyId,
    text: String,
}

impl SigningKey {
    /// Its id, which whoever has it says; two keys may have the same.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The whole key, in base64 and in one way.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for SigningKey {
    type Err = String;

    /// From its line of base64, or from the file `minisign.pub`, which has a comment before it.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let none = |why: &str| format!("it is no public key of minisign: {why}");
        if text.len() > KEY_BYTES {
            return Err(none(&format!("it has more than {KEY_BYTES} bytes")));
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = match (lines.next(), lines.next(), lines.next()) {
            (Some(line), None, None) | (Some(_), Some(line), None) => line,
            _ => return Err(none("it is neither one line nor a comment and a line")),
        };
        let bytes = STANDARD.decode(line).map_err(|_| none("it is not in base64"))?;
        let (Some(algorithm), Some(id), 42) = (bytes.get(..2), id_in(&bytes), bytes.len()) else {
            return Err(none("it does not have 42 bytes"));
        };
        if algorithm != OF_THE_BYTES {
            return Err(none("it is of another algorithm than Ed25519"));
        }
        let text = STANDARD.encode(&bytes);
        let key = PublicKey::from_base64(&text).map_err(|why| none(&why.to_string()))?;
        Ok(Self { key, id, text })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({})", self.id)
    }
}

/// A signature of a plugin, as a file `.minisig` has it. It was not checked.
#[derive(Clone)]
pub struct PluginSignature {
    signature: Signature,
    key: KeyId,
    text: String,
}

impl PluginSignature {
    /// The text of the file.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of the key that it says it is of.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Its trusted comment, which can be trusted once the signature is checked.
    pub fn comment(&self) -> &str {
        self.signature.trusted_comment()
    }
}

impl FromStr for PluginSignature {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let none = |why: &str| format!("it is no signature of minisign: {why}");
        if text.len() > SIGNATURE_BYTES {
            return Err(none(&format!("it has more than {SIGNATURE_BYTES} bytes")));
        }
        let line = text.lines().nth(1).unwrap_or_default();
        let bytes = STANDARD
            .decode(line)
            .map_err(|_| none("its second line is not in base64"))?;
        if bytes.get(..2) == Some(OF_THE_BYTES) {
            return Err(
                "it is a signature of the old sort, over the whole plugin and not over its hash: sign with \
                        `minisign -S -H`, or with minisign 0.10 or later"
                    .to_owned(),
            );
        }
        let (Some(OF_A_HASH), Some(key)) = (bytes.get(..2), id_in(&bytes)) else {
            return Err(none("it is of another algorithm than Ed25519"));
        };
        let signature = Signature::decode(text).map_err(|why| none(&why.to_string()))?;
        let is_strange = |c: char| c.is_control() && c != '\t';
        match signature.trusted_comment().chars().any(is_strange) {
            true => Err(none("its trusted comment has control characters")),
            false => Ok(Self {
                signature,
                key,
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Debug for PluginSignature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PluginSignature({})", self.key)
    }
}

/// A signature, and the key that it has to be of.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The signature.
    pub signature: PluginSignature,
    /// The key of that id.
    pub key: SigningKey,
}

impl Signed {
    /// Begins to check it, before the first byte.
    ///
    /// # Errors
    ///
    /// `PluginRefused` if it is of another key.
    pub(crate) fn check(&self, what: &'static str) -> Result<SignatureCheck<'_>> {
        let verifier = self.key.key.verify_stream(&self.signature.signature);
        match verifier {
            Ok(verifier) => Ok(SignatureCheck { verifier, what }),
            Err(why) => Err(Problem::new(ProblemKind::PluginRefused, what, why)),
        }
    }
}

/// A signature that is checked while the bytes come.
pub(crate) struct SignatureCheck<'a> {
    verifier: StreamVerifier<'a>,
    what: &'static str,
}

impl SignatureCheck<'_> {
    /// The next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.verifier.update(bytes);
    }

    /// That was all.
    ///
    /// # Errors
    ///
    /// `PluginRefused` if the bytes or the trusted comment are others than those that were signed, or if another key
    /// signed.
    pub(crate) fn end(mut self) -> Result<()> {
        self.verifier.finalize().map_err(|_| {
            let why = "its signature does not fit: the plugin or the trusted comment is not what was signed, or \
                       another key signed";
            Problem::new(ProblemKind::PluginRefused, self.what, why)
                .hint("sign the file anew, and push it with that signature")
        })
    }
}

/// A key of a tenant, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KeptSigningKey {
    /// Its id, as minisign writes it.
    #[schema(value_type = String)]
    pub id: KeyId,
    /// The whole key, in base64.
    pub key: String,
    /// Whose it is, in the words of whoever added it.
    pub note: String,
    /// When it was added.
    pub created: i64,
    /// The id of the token that added it.
    pub by: String,
}

/// The id in the bytes of a key or a signature, behind the algorithm.
fn id_in(bytes: &[u8]) -> Option<KeyId> {
    bytes.get(2..10)?.try_into().ok().map(KeyId::of_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    const BYTES: &[u8] = b"what is signed";

    fn pair() -> KeyPair {
        KeyPair::generate_unencrypted_keypair().unwrap()
    }

    fn key(pair: &KeyPair) -> SigningKey {
        pair.pk.to_base64().parse().unwrap()
    }

    fn minisig(pair: &KeyPair, comment: &str) -> String {
        minisign::sign(None, &pair.sk, Cursor::new(BYTES), Some(comment), None)
            .unwrap()
            .into_string()
    }

    fn checked(minisig: &str, key: &SigningKey, bytes: &[u8]) -> Result<()> {
        let signature = minisig.parse().unwrap();
        let key = key.clone();
        let signed = Signed { signature, key };
        let mut check = signed.check("failed")?;
        bytes.chunks(3).for_each(|piece| check.add(piece));
        check.end()
    }

    #[test]
    fn a_signature_counts_for_these_bytes_this_comment_and_this_key() {
        let (pair, other) = (pair(), pair());
        let minisig = minisig(&pair, "release\t7");
        let signature: PluginSignature = minisig.parse().unwrap();
        assert_eq!((signature.key(), signature.comment()), (key(&pair).id(), "release\t7"));
        assert_eq!(checked(&minisig, &key(&pair), BYTES), Ok(()));
        let altered = minisig.replace("release\t7", "release\t8");
        for (minisig, key, bytes) in [
            (&minisig, key(&pair), &b"what is signeD"[..]),
            (&minisig, key(&pair), &BYTES[1..]),
            (&minisig, key(&pair), b""),
            (&altered, key(&pair), BYTES),
            (&minisig, key(&other), BYTES),
        ] {
            let refused = checked(minisig, &key, bytes).unwrap_err();
            assert_eq!(refused.kind, ProblemKind::PluginRefused, "{refused}");
        }
        // A key that says it has the other's id is not the other.
        let mut forged = STANDARD.decode(key(&other).as_str()).unwrap();
        forged[2..10].copy_from_slice(&STANDARD.decode(key(&pair).as_str()).unwrap()[2..10]);
        let forged: SigningKey = STANDARD.encode(forged).parse().unwrap();
        assert_eq!(forged.id(), key(&pair).id());
        assert!(checked(&minisig, &forged, BYTES).is_err());
    }

    #[test]
    fn a_key_is_a_line_or_a_file() {
        let pair = pair();
        let line = pair.pk.to_base64();
        let file = pair.pk.to_box().unwrap().into_string();
        assert_eq!(file.parse::<SigningKey>(), line.parse());
        assert_eq!(key(&pair).as_str(), line);
        let secret = pair.sk.to_box(None).unwrap().into_string();
        let longer = format!("{line}\n{line}\n{line}");
        let commented = format!("{}\n{line}", "x".repeat(KEY_BYTES));
        for none in ["", "\n\n", "hunter2", &line[1..], &secret, &longer, &commented] {
            let why = none.parse::<SigningKey>().unwrap_err();
            assert!(why.starts_with("it is no public key of minisign: "), "{why}");
            assert!(!why.contains("hunter2") && !why.contains(&line), "{why}");
        }
    }

    #[test]
    fn what_is_no_signature_is_named_and_one_of_the_old_sort_is_told_how() {
        let minisig = minisig(&pair(), "of a test");
        let lines: Vec<&str> = minisig.lines().collect();
        let mut old = STANDARD.decode(lines[1]).unwrap();
        old[..2].copy_from_slice(OF_THE_BYTES);
        let old = minisig.replace(lines[1], &STANDARD.encode(old));
        assert!(old.parse::<PluginSignature>().unwrap_err().contains("minisign -S -H"));
        for none in [
            String::new(),
            lines[..3].join("\n"),
            minisig.replace(lines[1], "hunter2"),
            minisig.replace(lines[1], &lines[1][4..]),
            minisig.replace(lines[3], &lines[3][4..]),
            minisig.replace("trusted comment: of", "comment: of"),
            minisig.replace("of a test", "of\x1b[2J"),
            minisig.replace("of a test", &"x".repeat(SIGNATURE_BYTES)),
        ] {
            let why = none.parse::<PluginSignature>().unwrap_err();
            assert!(why.starts_with("it is no signature of minisign: "), "{why}");
        }
    }
}
