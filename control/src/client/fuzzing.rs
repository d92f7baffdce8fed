//! The doors for the fuzzers: the file of contexts, and addresses.

use super::Contexts;
use super::address::Address;

/// Reads a file of contexts.
pub(crate) fn contexts(text: &str) {
    if let Ok(contexts) = toml::from_str::<Contexts>(text) {
        let written = toml::to_string(&contexts).expect("it is written");
        assert_eq!(toml::from_str::<Contexts>(&written).ok(), Some(contexts));
    }
}

/// Reads an address, and makes that of a request of it.
pub(crate) fn address(text: &str) {
    if let Ok(address) = Address::read(text) {
        let request = address.at(&["v1", text], &[("after", text)]);
        assert!(
            request.username().is_empty() && request.password().is_none(),
            "{request}"
        );
        assert!(matches!(request.scheme(), "http" | "https"), "{request}");
    }
}
