//! How transactions end: by their producer, by a successor, by the clock, or at the start of a broker whose predecessor
//! was killed.

use super::transaction::{Transaction, TransactionPhase};
use crate::broker::disk::batch::TransactionEnd;
use crate::broker::disk::journal::JournalEvent;
use crate::broker::state::BrokerState;
use crate::clock;
use kafka_protocol::error::ResponseError;

/// A transactional id that was not used for so long is forgotten, Kafka's own default of
/// `transactional.id.expiration.ms`.
pub(in crate::broker) const EXPIRATION_MS: i64 = 7 * 24 * 3600 * 1000;

/// Decides an open transaction. When this returns well the decision stands, whatever happens; what it entails is mostly
/// done too.
pub(in crate::broker) fn end(
    state: &mut BrokerState,
    id: &str,
    outcome: TransactionEnd,
    fences: bool,
) -> Result<(), ResponseError> {
    let open = state
        .transactions
        .get(id)
        .ok_or(ResponseError::InvalidProducerIdMapping)?;
    let transaction = open.decided(outcome, fences, clock::wall_ms());
    let id = id.to_owned();
    state.commit(vec![JournalEvent::Transaction {
        id: id.clone(),
        transaction,
    }])?;
    // What fails now is tried again at each look at the clock.
    let _ = complete(state, &id);
    Ok(())
}

/// Ends what is overdue, and what is decided but could not be completed; whether there was anything.
pub(in crate::broker) fn tick(state: &mut BrokerState) -> bool {
    let now_ms = clock::wall_ms();
    state
        .transactions
        .retain(|_, transaction| !is_forgotten(transaction, now_ms));
    let due: Vec<(String, TransactionPhase)> = state
        .transactions
        .iter()
        .filter(|(_, transaction)| {
            transaction.is_overdue(now_ms) || matches!(transaction.phase, TransactionPhase::Ending { .. })
        })
        .map(|(id, transaction)| (id.clone(), transaction.phase))
        .collect();
    for (id, phase) in &due {
        let outcome = if matches!(phase, TransactionPhase::Ending { .. }) {
            complete(state, id)
        } else {
            tracing::info!(
                transactional_id = id,
                "a transaction was open for too long and is aborted"
            );
            end(state, id, TransactionEnd::Abort, true)
        };
        if let Err(error) = outcome {
            tracing::warn!(transactional_id = id, %error, "failed to end a transaction");
        }
    }
    !due.is_empty()
}

/// Does what decided transactions of an earlier process still need.
pub(in crate::broker) fn complete_all(state: &mut BrokerState) -> Result<(), ResponseError> {
    let ids: Vec<String> = state.transactions.keys().cloned().collect();
    ids.iter().try_for_each(|id| complete(state, id))
}

/// Writes what a decided transaction needs: its markers, its positions, and last the line that says that all is there.
/// Begun again after a failure it may write a marker twice, which changes nothing for any reader.
fn complete(state: &mut BrokerState, id: &str) -> Result<(), ResponseError> {
    let Some(decided) = state.transactions.get(id).cloned() else {
        return Ok(());
    };
    let TransactionPhase::Ending { outcome } = decided.phase else {
        return Ok(());
    };
    let now_ms = clock::wall_ms();
    for (topic, partitions) in &decided.partitions {
        for partition in partitions {
            // A topic that was deleted meanwhile needs no marker.
            if let Ok(log) = state.log_mut(topic, *partition) {
                log.mark(decided.producer_id, decided.epoch, outcome, now_ms)?;
            }
        }
    }
    let mut events = match outcome {
        TransactionEnd::Commit => positions(state, &decided),
        TransactionEnd::Abort => Vec::new(),
    };
    events.push(JournalEvent::Transaction {
        id: id.to_owned(),
        transaction: decided.ended(outcome, now_ms),
    });
    state.commit(events)
}

/// The positions that a commit makes count: all but those for which a later commit came from elsewhere.
fn positions(state: &BrokerState, decided: &Transaction) -> Vec<JournalEvent> {
    let mut events = Vec::new();
    for (group, pending) in &decided.groups {
        let committed = state.committed.get(group);
        for pending in pending {
            let place = (pending.topic.clone(), pending.partition);
            let current = committed.and_then(|positions| positions.get(&place));
            if current.is_none_or(|current| current.order < pending.position.order) {
                events.push(JournalEvent::Committed {
                    group: group.clone(),
                    topic: place.0,
                    partition: place.1,
                    position: pending.position.clone(),
                });
            }
        }
    }
    events
}

fn is_forgotten(transaction: &Transaction, now_ms: i64) -> bool {
    let is_idle = matches!(
        transaction.phase,
        TransactionPhase::Empty | TransactionPhase::Ended { .. }
    );
    is_idle && transaction.changed_ms.saturating_add(EXPIRATION_MS) < now_ms
}
