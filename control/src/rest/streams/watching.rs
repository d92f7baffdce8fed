//! Streams that stay open: how many there may be, and when one ends.
//!
//! Always: a stream of a pipeline ends soon after its token is revoked or expires, or the pipeline is deleted; one
//! tenant cannot take the streams of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::rest::router::Rest;
use crate::rest::sign_in::Caller;

/// Streams of a tenant at the same time, at most.
pub(in crate::rest) const MOST_STREAMS: usize = 64;
/// Milliseconds from one look to the next whether the token and the pipeline are still there.
const LOOK_MILLIS: i64 = 5000;

/// The streams that are open, by tenant.
#[derive(Debug, Clone, Default)]
pub(in crate::rest) struct Watchers(Arc<Mutex<HashMap<Name, usize>>>);

/// A stream's place among those of its tenant, which goes with it.
#[derive(Debug)]
pub(in crate::rest) struct Place {
    watchers: Watchers,
    tenant: Name,
}

impl Watchers {
    /// A place for one more stream.
    ///
    /// # Errors
    ///
    /// `TooMany` if the tenant has as many as it may.
    pub(in crate::rest) fn place(&self, tenant: &Name) -> Result<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(tenant.clone()).or_default();
        if *count >= MOST_STREAMS {
            let why = format!("the tenant {tenant} has {MOST_STREAMS} open streams, as many as it may");
            return Err(Problem::new(ProblemKind::TooMany, "failed to open a stream", why)
                .hint("close one of them, or ask for the status instead"));
        }
        *count += 1;
        Ok(Place {
            watchers: self.clone(),
            tenant: tenant.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.tenant).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => open.remove(&self.tenant),
            left => open.insert(self.tenant.clone(), left),
        };
    }
}

/// A stream of a pipeline, as to whether it may go on.
pub(in crate::rest) struct Watch {
    rest: Rest,
    caller: Caller,
    tenant: Name,
    name: Name,
    looked: i64,
    _place: Place,
}

impl Watch {
    /// One that may.
    pub(in crate::rest) fn new(rest: Rest, caller: Caller, tenant: Name, name: Name) -> Result<Self> {
        let _place = rest.watchers.place(&tenant)?;
        let looked = crate::clock::now();
        Ok(Self {
            rest,
            caller,
            tenant,
            name,
            looked,
            _place,
        })
    }

    /// Whether it still may; looked up every few seconds.
    pub(in crate::rest) async fn may_go_on(&mut self) -> bool {
        let now = crate::clock::now();
        if (self.looked..self.looked + LOOK_MILLIS).contains(&now) {
            return true;
        }
        self.looked = now;
        let catalog = &self.rest.catalog;
        let identity = self.rest.identify(&self.caller.secret).await;
        let is_known = identity.is_ok_and(|identity| identity.as_ref() == Some(&self.caller.identity));
        let pipeline = catalog.pipeline(&self.tenant, &self.name).await;
        is_known && pipeline.is_ok_and(|pipeline| pipeline.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_streams_and_no_more_and_gets_them_back() {
        let watchers = Watchers::default();
        let (one, other): (Name, Name) = ("one".parse().unwrap(), "other".parse().unwrap());
        let mut places: Vec<Place> = (0..MOST_STREAMS).map(|_| watchers.place(&one).unwrap()).collect();
        assert_eq!(watchers.place(&one).unwrap_err().kind, ProblemKind::TooMany);
        assert!(watchers.place(&other).is_ok());
        places.pop();
        assert!(watchers.place(&one).is_ok());
        drop(places);
        assert!(watchers.0.lock().unwrap().is_empty());
    }
}
