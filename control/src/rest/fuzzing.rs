//! The doors for the fuzzers: bodies and queries of requests, and what is made of them before anybody is asked.

use axum::extract::Query;
use axum::http::Uri;
use serde::de::DeserializeOwned;

use super::asked::{PieceByDigest, PieceByName};
use super::difference::difference;
use super::pipelines::{Application, Applying};
use super::upgrades::{PlannedVersion, RollbackAsked, UpgradeAsked};
use super::{inside, streams, tenants};

/// Reads what somebody sent, as this.
pub(crate) fn sent(which: u8, bytes: &[u8]) {
    match which {
        10 => drop(body::<Application>(bytes)),
        11 => drop(body::<UpgradeAsked>(bytes)),
        12 => drop(body::<RollbackAsked>(bytes)),
        13 => piece(bytes),
        14 => drop(query::<Applying>(bytes)),
        15 => versions(bytes),
        16 | 17 => streams::fuzzing::line(bytes),
        which @ 18..22 => tenants::fuzzing::sent(which, bytes),
        which => inside::fuzzing::sent(which, bytes),
    }
}

pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

pub(super) fn query<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let uri: Uri = [b"/v1?", bytes].concat().try_into().ok()?;
    Query::<T>::try_from_uri(&uri).ok().map(|query| query.0)
}

fn piece(bytes: &[u8]) {
    let mosts = [
        query::<PieceByName>(bytes).map(|piece| piece.most()),
        query::<PieceByDigest>(bytes).map(|piece| piece.most()),
    ];
    for most in mosts.into_iter().flatten().flatten() {
        assert!((1..=500).contains(&most));
    }
}

/// Two versions of a file, with a zero byte between.
fn versions(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (old, new) = text.split_once('\0').unwrap_or((&text, ""));
    let lines = difference(old, new);
    assert!(lines.len() <= old.lines().count() + new.lines().count());
    let _plugins = (PlannedVersion::ready_made(new), PlannedVersion::has_checkpoint(new));
}
