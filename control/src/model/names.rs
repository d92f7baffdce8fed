//! Names of tenants, pipelines and secrets, digests of plugins, and ids of keys: checked once, when they come in.
//!
//! Always: a name is made of letters, digits and single hyphens, so that no path leaves its folder by it, and that two
//! names joined by two hyphens are never those of others.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::texts::text_of;

/// Characters of a name, at most.
const NAME_CHARS: usize = 63;
/// Characters of a digest.
const DIGEST_CHARS: usize = 71;

/// The name of a tenant, a pipeline or a secret: `a` to `z`, `0` to `9` and single hyphens between them, 63 characters
/// at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_of_a_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_word = |word: &str| !word.is_empty() && word.chars().all(is_of_a_word);
        match text.len() <= NAME_CHARS && text.split('-').all(is_word) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "{text:?} is no name: one has a to z, 0 to 9 and single hyphens between them, {NAME_CHARS} characters \
                 at most"
            )),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl PartialSchema for Name {
    fn schema() -> RefOr<Schema> {
        text_of("^[a-z0-9]+(-[a-z0-9]+)*$", NAME_CHARS).into()
    }
}

impl ToSchema for Name {}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The SHA-256 of a plugin's bytes: `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Of these 32 bytes.
    pub fn of_hash(hash: &[u8]) -> Self {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{hex}"))
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_of_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.chars().all(is_of_hex) => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "{text:?} is no digest: one is sha256: and 64 hexadecimal digits"
            )),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl PartialSchema for Digest {
    fn schema() -> RefOr<Schema> {
        text_of("^sha256:[0-9a-f]{64}$", DIGEST_CHARS).into()
    }
}

impl ToSchema for Digest {}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The id of a key that signs plugins: 16 hexadecimal digits in upper case, as minisign writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// Of these bytes of a key or a signature.
    pub fn of_bytes(bytes: [u8; 8]) -> Self {
        Self(format!("{:016X}", u64::from_le_bytes(bytes)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_of_hex = |c: char| matches!(c, '0'..='9' | 'A'..='F');
        match text.len() == 16 && text.chars().all(is_of_hex) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "{text:?} is no id of a key: one has 16 hexadecimal digits in upper case"
            )),
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_a_path_or_another_name_is_no_name() {
        for name in ["a", "team-1", "0", &"x".repeat(63)] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for none in [
            "",
            "-a",
            "A",
            "a/b",
            "..",
            "a.b",
            "a b",
            "ä",
            "a\n",
            "a\0",
            &"x".repeat(64),
        ] {
            assert!(none.parse::<Name>().is_err(), "{none:?}");
        }
        assert!(serde_json::from_str::<Name>("\"../x\"").is_err());
    }

    #[test]
    fn a_digest_is_written_in_one_way() {
        let digest = Digest::of_hash(&[0xab; 32]);
        assert_eq!(digest.as_str().parse::<Digest>().as_ref(), Ok(&digest));
        let none = [
            digest.as_str().to_uppercase(),
            "sha256:ab".to_owned(),
            digest.hex().to_owned(),
        ];
        assert!(none.iter().all(|text| text.parse::<Digest>().is_err()));
    }

    #[test]
    fn an_id_of_a_key_is_written_as_minisign_does() {
        let id = KeyId::of_bytes([0x0f, 0xe8, 0xb4, 0x42, 0x18, 0x0f, 0x62, 0x0a]);
        assert_eq!(id.as_str(), "0A620F1842B4E80F");
        assert_eq!(id.as_str().parse().as_ref(), Ok(&id));
        for none in ["", "0a620f1842b4e80f", "0A620F1842B4E80", "0A620F1842B4E80F0"] {
            assert!(none.parse::<KeyId>().is_err(), "{none:?}");
        }
    }
}
