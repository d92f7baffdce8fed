//! The doors for the fuzzers: what is asked about a tenant.

use super::plugins::Called;
use super::tokens::TokenAsked;
use super::usage::{OfPipeline, UsageAsked};
use crate::rest::fuzzing::{body, query};

/// Reads what somebody sent, as this.
pub(in crate::rest) fn sent(which: u8, bytes: &[u8]) {
    match which {
        18 => drop(body::<TokenAsked>(bytes)),
        19 => drop(query::<UsageAsked>(bytes)),
        20 => drop(query::<Called>(bytes)),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(pipeline) = text.parse::<OfPipeline>() {
                assert_eq!(pipeline.to_string(), text);
            }
        }
    }
}
