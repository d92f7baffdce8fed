//! One change of a pipeline after the other.
//!
//! Never makes one pipeline wait for another. Always: what the fleet hears of a pipeline comes in the order in which
//! the catalog took it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Wait, OwnedMutexGuard};

use crate::model::names::Name;

type Waits = HashMap<(Name, Name), Arc<Wait<()>>>;

/// Whose turn it is, by tenant and pipeline.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Waits>>);

/// A turn, which ends with it.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    key: (Name, Name),
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nothing else changes this pipeline.
    pub(crate) async fn turn(&self, tenant: &Name, name: &Name) -> Turn {
        let key = (tenant.clone(), name.clone());
        let wait = {
            let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(waits.entry(key.clone()).or_default())
        };
        // Made first, so that one that goes while it waits tidies up as well.
        let mut turn = Turn {
            turns: self.clone(),
            key,
            guard: None,
        };
        turn.guard = Some(wait.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut waits = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map has one; who waits has another.
        if waits.get(&self.key).is_some_and(|wait| Arc::strong_count(wait) == 1) {
            waits.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_waits_for_the_other_of_the_same_name_and_nothing_is_left() {
        let turns = Turns::default();
        let (tenant, one, other): (Name, Name, Name) =
            ("t".parse().unwrap(), "one".parse().unwrap(), "other".parse().unwrap());
        let first = turns.turn(&tenant, &one).await;
        let of_other = turns.turn(&tenant, &other).await;
        let short = Duration::from_millis(20);
        assert!(tokio::time::timeout(short, turns.turn(&tenant, &one)).await.is_err());
        let waiting = tokio::spawn({
            let (turns, tenant, one) = (turns.clone(), tenant.clone(), one.clone());
            async move { drop(turns.turn(&tenant, &one).await) }
        });
        tokio::time::sleep(short).await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
        drop(of_other);
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
