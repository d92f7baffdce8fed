//! The steps of a transaction, as librdkafka's producer takes them.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::failure::Failure;
use super::layout::{milliseconds, owned};
use super::producer::{NativeProducer, ProducerClient};
use super::reports::Reports;
use crate::kafka::codes::HUNG;
use rdkafka::TopicPartitionList;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as code;

/// How much longer than its limit a call may take before it is left behind.
const HELD: Duration = Duration::from_secs(1);
/// So many calls of one producer may be left behind at a time: each holds a client, with its threads and connections,
/// until it comes back.
const LEFT_BEHIND: usize = 8;
/// A step of a transaction that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setback {
    pub(crate) failure: Failure,
    /// The same call may succeed a little later.
    pub(crate) is_retriable: bool,
    /// This producer does nothing more.
    pub(crate) is_fatal: bool,
}

/// Transactions. Each call waits for `limit` at most.
impl<R: Reports> NativeProducer<R> {
    /// Makes this producer the only one of its transactional id: what the one before left open is aborted, or its
    /// commit waited for. May be called again.
    pub(crate) fn init_transactions(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: the client lives; the error that it gives is ours.
        unsafe { outcome(sys::rd_kafka_init_transactions(self.native(), milliseconds(limit))) }
    }

    /// Begins a transaction; asks nobody.
    pub(crate) fn begin_transaction(&self) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe { outcome(sys::rd_kafka_begin_transaction(self.native())) }
    }

    /// Makes offsets part of the transaction. `group`: a membership as the consumer wrote it.
    ///
    /// If no broker is left, librdkafka waits for one without limit (`rd_kafka_coord_req_fsm` of 2.12.1), whatever it
    /// is told. So it is asked in a thread that may stay behind and holds the client until it comes back; another one
    /// has to go on. `left_behind` counts those that did not come back yet; if they are too many, the setback is
    /// fatal.
    pub(crate) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &[u8],
        limit: Duration,
        left_behind: &Arc<AtomicUsize>,
    ) -> Result<(), Setback> {
        let hanging = left_behind.load(Ordering::Relaxed);
        if hanging >= LEFT_BEHIND {
            return Err(hung(hanging));
        }
        let (client, offsets, group) = (self.client.clone(), offsets.clone(), group.to_vec());
        let call = PendingCall::begin(left_behind);
        let (answer, answered) = mpsc::channel();
        let asking = std::thread::Builder::new()
            .name("send-offsets".to_owned())
            .spawn(move || {
                let outcome = send_offsets(&client, &offsets, &group, limit);
                drop((client, call));
                let _nobody_waits_any_more = answer.send(outcome);
            });
        let retriable = |failure| Setback {
            failure,
            is_retriable: true,
            is_fatal: false,
        };
        if let Err(error) = asking {
            let text = format!("no thread can be started: {error}");
            let code = code::RD_KAFKA_RESP_ERR__TIMED_OUT as i32;
            return Err(retriable(Failure { code, text }));
        }
        let in_time = answered.recv_timeout(limit + HELD);
        in_time.unwrap_or_else(|_| Err(retriable(Failure::of(code::RD_KAFKA_RESP_ERR__TIMED_OUT as i32))))
    }

    /// Commits the transaction. May be called again.
    pub(crate) fn commit_transaction(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe { outcome(sys::rd_kafka_commit_transaction(self.native(), milliseconds(limit))) }
    }

    /// Aborts the transaction; what waits is thrown away. May be called again.
    pub(crate) fn abort_transaction(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe { outcome(sys::rd_kafka_abort_transaction(self.native(), milliseconds(limit))) }
    }
}

unsafe extern "C" {
    /// librdkafka's own function. The generated one gives an enum, and a broker may send a number that is none of its
    /// values.
    #[link_name = "rd_kafka_error_code"]
    fn error_code(error: *const sys::rd_kafka_error_t) -> i32;
}

/// What a call that gives an error object came to.
///
/// # Safety
/// `error` is null or an error object that nothing else knows; it is destroyed here.
unsafe fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), Setback> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise; the text is copied before its owner goes.
    unsafe {
        let setback = Setback {
            failure: Failure {
                code: error_code(error),
                text: owned(sys::rd_kafka_error_string(error)),
            },
            is_retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            is_fatal: sys::rd_kafka_error_is_fatal(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(setback)
    }
}

/// A call that is under way, counted until it comes back.
struct PendingCall(Arc<AtomicUsize>);

impl PendingCall {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hung(calls: usize) -> Setback {
    Setback {
        failure: Failure {
            code: HUNG,
            text: format!(
                "{calls} requests that commit positions hang in the Kafka client, and none of them comes back"
            ),
        },
        is_retriable: false,
        is_fatal: true,
    }
}

fn send_offsets<R: Reports>(
    client: &ProducerClient<R>,
    offsets: &TopicPartitionList,
    group: &[u8],
    limit: Duration,
) -> Result<(), Setback> {
    let mut membership = ptr::null_mut();
    // SAFETY: the client lives; the list lives during the call, which copies it; the membership is made of as many
    // bytes as we say, and is ours to destroy if it was made.
    unsafe {
        outcome(sys::rd_kafka_consumer_group_metadata_read(
            &mut membership,
            group.as_ptr().cast(),
            group.len(),
        ))?;
        let sent = outcome(sys::rd_kafka_send_offsets_to_transaction(
            client.native.as_ptr(),
            offsets.ptr(),
            membership,
            milliseconds(limit),
        ));
        sys::rd_kafka_consumer_group_metadata_destroy(membership);
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::native::membership::no_membership;
    use crate::kafka::native::reports::FailedRecord;
    use rdkafka::mocking::MockCluster;

    #[derive(Default)]
    struct Untold;

    impl Reports for Untold {
        fn failed(&mut self, _: &FailedRecord<'_>) {}
        fn broken(&mut self, _: i32, _: String) {}
    }

    #[test]
    fn what_hangs_is_counted_until_it_comes_back_and_is_bounded() {
        const LIMIT: Duration = Duration::from_secs(60);
        let cluster = MockCluster::new(1).unwrap();
        let properties = [
            ("bootstrap.servers".to_owned(), cluster.bootstrap_servers()),
            ("transactional.id".to_owned(), "id".to_owned()),
        ];
        let handle = NativeProducer::<Untold>::new(&properties).unwrap();
        handle.init_transactions(LIMIT).unwrap();
        handle.begin_transaction().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, rdkafka::Offset::Offset(1)).unwrap();
        let send = |limit, left_behind: &Arc<AtomicUsize>| {
            handle.send_offsets(&list, &no_membership("g").unwrap(), limit, left_behind)
        };
        let too_many = Arc::new(AtomicUsize::new(LEFT_BEHIND));
        let setback = send(LIMIT, &too_many).unwrap_err();
        assert!(
            setback.is_fatal && !setback.is_retriable && setback.failure.code == HUNG,
            "{setback:?}"
        );
        assert_eq!(too_many.load(Ordering::Relaxed), LEFT_BEHIND, "none was added");

        let left_behind = Arc::<AtomicUsize>::default();
        cluster.broker_down(1).unwrap();
        assert!(send(Duration::from_millis(300), &left_behind).is_err());
        assert!(left_behind.load(Ordering::Relaxed) <= 1);
        cluster.broker_up(1).unwrap();
        let until = crate::clock::now() + LIMIT;
        while left_behind.load(Ordering::Relaxed) > 0 {
            assert!(crate::clock::now() < until, "it comes back with the broker");
            std::thread::sleep(Duration::from_millis(20));
        }
        let client = Arc::downgrade(&handle.client);
        drop(handle);
        assert!(client.upgrade().is_none(), "nobody holds the client any more");
    }
}
