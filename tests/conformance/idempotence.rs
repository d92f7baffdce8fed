//! Idempotent producers: each record once, in order.

use crate::client::{numbered, produce, read, topic};
use crate::wire;

const NONE: i16 = 0;
const CORRUPT_MESSAGE: i16 = 2;
const OUT_OF_ORDER: i16 = 45;
const INVALID_EPOCH: i16 = 47;

pub(crate) fn an_idempotent_producer_writes_each_record_once(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let records = numbered(20_000);
    let idempotent = [
        ("enable.idempotence", "true"),
        ("batch.num.messages", "100"),
        ("linger.ms", "0"),
    ];
    let reports = produce(bootstrap, &topic, 0, &records, &idempotent);
    assert_eq!(reports, (0..20_000).map(|offset| Ok((0, offset))).collect::<Vec<_>>());
    assert_eq!(read(bootstrap, &topic, 0, 0, 20_000), records);
}

pub(crate) fn a_repeated_batch_gets_its_old_offset(bootstrap: &str) {
    let topic = topic(bootstrap, 2);
    let id = wire::producer_id(bootstrap);
    let send =
        |partition, sequence, count| wire::produce(bootstrap, &topic, partition, &wire::batch(id, 0, sequence, count));
    for (sequence, offset) in [(0, 0), (3, 3), (6, 6), (9, 9), (12, 12), (15, 15)] {
        assert_eq!(send(0, sequence, 3), (NONE, offset));
    }
    for (sequence, offset) in [(15, 15), (3, 3), (9, 9)] {
        assert_eq!(
            send(0, sequence, 3),
            (NONE, offset),
            "the last five batches are remembered"
        );
    }
    assert_eq!(send(0, 0, 3).0, OUT_OF_ORDER, "the sixth is not");
    assert_eq!(
        send(0, 15, 2).0,
        OUT_OF_ORDER,
        "the same start with another length is not a repetition"
    );
    assert_eq!(send(1, 0, 3), (NONE, 0), "each partition counts for itself");
    assert_eq!(send(0, 18, 1), (NONE, 18));
}

pub(crate) fn a_gap_is_out_of_order(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let id = wire::producer_id(bootstrap);
    assert_ne!(id, wire::producer_id(bootstrap));
    let send = |sequence| wire::produce(bootstrap, &topic, 0, &wire::batch(id, 0, sequence, 2));
    assert_eq!(send(0), (NONE, 0));
    assert_eq!(send(4), (OUT_OF_ORDER, -1));
    assert_eq!(send(2), (NONE, 2));
    assert_eq!(send(4), (NONE, 4));
}

pub(crate) fn an_old_epoch_is_refused(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let id = wire::producer_id(bootstrap);
    let send = |epoch, sequence| wire::produce(bootstrap, &topic, 0, &wire::batch(id, epoch, sequence, 1));
    assert_eq!(send(0, 0), (NONE, 0));
    assert_eq!(send(1, 1), (OUT_OF_ORDER, -1), "a new epoch counts from 0");
    assert_eq!(send(1, 0), (NONE, 1));
    assert_eq!(send(0, 1), (INVALID_EPOCH, -1));
}

pub(crate) fn a_damaged_batch_is_refused(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let mut batch = wire::batch(-1, -1, -1, 2);
    assert_eq!(wire::produce(bootstrap, &topic, 0, &batch), (NONE, 0));
    let last = batch.len() - 2;
    batch[last] ^= 1;
    assert_eq!(wire::produce(bootstrap, &topic, 0, &batch), (CORRUPT_MESSAGE, -1));
    let cut = &wire::batch(-1, -1, -1, 2)[..70];
    assert_ne!(wire::produce(bootstrap, &topic, 0, cut).0, NONE);
    assert_eq!(
        wire::produce(bootstrap, &topic, 0, &wire::batch(-1, -1, -1, 1)),
        (NONE, 2)
    );
}
