//! The doors for the fuzzers: what the daemon and its clients read of others.
//!
//! Always: what is taken keeps its limits, and what is a secret stands in no problem.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::grant::Grant;
use crate::means::{Access, Quotas, SecretText, TenantCluster};
use crate::model::Status;
use crate::model::names::{Digest, Name};
use crate::{client, fleet, rest};

/// What fuzzers read with.
const WHAT: &str = "failed to fuzz";

/// Reads what somebody sent; the first byte says as what.
pub fn sent(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    match which % 32 {
        0 => drop(Grant::take(bytes)),
        1 => cluster(bytes),
        2 => quotas(bytes),
        3 => access(bytes),
        4 => drop(read::<Status>(bytes)),
        5 => drop(SecretText::new(String::from_utf8_lossy(bytes).into_owned())),
        6 => names(&String::from_utf8_lossy(bytes)),
        7 => client::fuzzing::contexts(&String::from_utf8_lossy(bytes)),
        8 => client::fuzzing::address(&String::from_utf8_lossy(bytes)),
        9 => fleet::fuzzing::log(bytes),
        which => rest::fuzzing::sent(which, bytes),
    }
}

/// What was read is read again of what is written of it.
pub(crate) fn read<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("it is written");
    assert_eq!(serde_json::from_slice::<T>(&written).ok().as_ref(), Some(&read));
    Some(read)
}

fn cluster(bytes: &[u8]) {
    let Some(cluster) = read::<TenantCluster>(bytes) else {
        return;
    };
    if cluster.check(WHAT).is_ok() {
        assert!(
            cluster.properties.keys().all(|name| crate::is_allowed_property(name)),
            "{cluster:?}"
        );
        assert!(!cluster.brokers.contains(['\n', '\0']), "{cluster:?}");
    }
}

fn quotas(bytes: &[u8]) {
    if let Some(quotas) = read::<Quotas>(bytes)
        && quotas.check(WHAT).is_ok()
    {
        let mut again = Quotas::default();
        for (name, figure) in quotas.shown() {
            let figure = figure.unwrap_or_else(|| "none".to_owned());
            again.set(&format!("{name}={figure}")).expect("what is shown is taken");
        }
    }
    let _is_set = Quotas::default().set(&String::from_utf8_lossy(bytes));
}

fn access(bytes: &[u8]) {
    if let Some(access) = read::<Access>(bytes) {
        let _is_within = access.check(WHAT);
    }
}

fn names(text: &str) {
    if let Ok(name) = text.parse::<Name>() {
        assert!(
            !text.contains("--") && !text.contains(['/', '.']) && name.as_str() == text,
            "{text:?}"
        );
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
}
