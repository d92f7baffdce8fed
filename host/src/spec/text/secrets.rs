//! Which values are secrets, by the names that stand with them: the file may not hold one, and no error shows it.

/// Parts of names whose values are secrets.
const SECRETS: &[&str] = &[
    "password",
    "passphrase",
    "secret",
    "token",
    "key.pem",
    "key_pem",
    "access_key",
    "access-key",
];

/// What such a name may end with and be none: it says where something is.
const PLACES: &[&str] = &[".url", ".location", ".name", ".file"];

/// Whether the value of a property of this name is a secret.
pub(in crate::spec) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // The settings of the unsecured test mechanism hold a name, those of a real one hold a secret in the middle of a
    // text.
    let secret = SECRETS.iter().any(|part| name.contains(part)) || name == "sasl.oauthbearer.config";
    secret && !PLACES.iter().any(|end| name.ends_with(end))
}

/// Whether a line of a file is better not shown. Rather a line too many than a password.
pub(in crate::spec) fn may_hold_a_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    SECRETS.iter().any(|part| line.contains(part))
        || line.contains("oauthbearer.config")
        || line.contains("private key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_where_a_secret_is_is_none() {
        for name in [
            "sasl.password",
            "ssl.key.pem",
            "sasl.oauthbearer.client.secret",
            "ssl.key.password",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "sasl.oauthbearer.token.endpoint.url",
            "ssl.key.location",
            "security.protocol",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
