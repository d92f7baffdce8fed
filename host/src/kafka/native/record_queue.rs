//! The queue that all fetched messages of a consumer go through.
//!
//! A message is copied out of librdkafka's memory while it is served, and freed at once: a message that is kept pins
//! its whole fetch response. We serve by callback and not by `rd_kafka_consume_batch_queue`: the latter counts an
//! end-of-partition event as a record (librdkafka 2.12.1, its issue 4844), and the next rebalance would then resume
//! behind a record that nobody read. It also waits until a batch is full.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

use super::layout::RawMessage;
use super::message::Message;
use crate::error::{Error, Kind, Result};

/// What takes messages in.
pub(crate) trait TakesMessages {
    /// Copies what it wants of the message. `false`: enough for now, what is still queued stays there, in order.
    fn take(&mut self, message: &Message<'_>) -> bool;
}

/// One queue for the messages of all partitions. Must be dropped before the consumer that it was made of.
///
/// It is served through the queue of one of the partitions that are led into it: only that way librdkafka takes a
/// limited number of messages out at a time (`consume.callback.max.messages`). Served directly, it takes all of them
/// out, looks empty to the fetchers meanwhile, and they fetch more and more.
pub(crate) struct RecordQueue {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
    client: *mut sys::rd_kafka_t,
    topics: BTreeMap<CString, ptr::NonNull<sys::rd_kafka_topic_t>>,
    /// The partitions that are led here.
    led: Vec<(CString, i32)>,
    /// Those that were, and are to be again: what comes of them stays in queues of their own.
    parked: Vec<(CString, i32)>,
    _of_one_thread: PhantomData<*const ()>,
}

// SAFETY: librdkafka's queues and clients may be used from any thread; `&mut` and `!Sync` keep it to one at a time.
unsafe impl Send for RecordQueue {}

impl RecordQueue {
    fn new<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        let client = consumer.client().native_ptr();
        // SAFETY: the client is alive; the queue is destroyed in `drop`, before the client.
        let queue = ptr::NonNull::new(unsafe { sys::rd_kafka_queue_new(client) })?;
        Some(Self {
            queue,
            client,
            topics: BTreeMap::new(),
            led: Vec::new(),
            parked: Vec::new(),
            _of_one_thread: PhantomData,
        })
    }

    /// A queue of this consumer, which must outlive it. Errors: `Kafka`, librdkafka has none.
    pub(crate) fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Result<Self> {
        Self::new(consumer)
            .ok_or_else(|| Error::new(Kind::Kafka, "failed to join the group", "librdkafka has no queue"))
    }

    /// Leads a partition's messages here instead of into the consumer's own queue.
    ///
    /// To be called before the partition is assigned, and after the main thread of librdkafka has carried out an
    /// earlier revocation of it, which would undo this. Then no message goes the other way.
    pub(crate) fn lead(&mut self, topic: &str, partition: i32) -> bool {
        let Ok(topic) = CString::new(topic) else {
            return false;
        };
        if !self.forward(&topic, partition, self.queue.as_ptr()) {
            return false;
        }
        if !self.topics.contains_key(&topic) {
            // SAFETY: the client is alive; the handle is destroyed in `drop`, before the client.
            let handle = unsafe { sys::rd_kafka_topic_new(self.client, topic.as_ptr(), ptr::null_mut()) };
            let Some(handle) = ptr::NonNull::new(handle) else {
                return false;
            };
            self.topics.insert(topic.clone(), handle);
        }
        self.forget(&topic, partition);
        self.led.push((topic, partition));
        true
    }

    /// What comes of a partition that is led here stays in its own queue, and librdkafka fetches no more than fits
    /// there. Nothing is lost: what is in this queue already still comes out of it.
    pub(crate) fn park(&mut self, topic: &str, partition: i32) {
        if let Some(index) = place(&self.led, topic, partition)
            && self.forward(&self.led[index].0, partition, ptr::null_mut())
        {
            let parked = self.led.swap_remove(index);
            self.parked.push(parked);
        }
    }

    /// A partition that was parked is led here again, beginning with what came meanwhile.
    pub(crate) fn unpark(&mut self, topic: &str, partition: i32) {
        if let Some(index) = place(&self.parked, topic, partition)
            && self.forward(&self.parked[index].0, partition, self.queue.as_ptr())
        {
            let led = self.parked.swap_remove(index);
            self.led.push(led);
        }
    }

    /// Lets a partition's queue be forwarded to another; to none: what comes stays in it.
    fn forward(&self, topic: &CStr, partition: i32, to: *mut sys::rd_kafka_queue_t) -> bool {
        // SAFETY: the client is alive; the partition's queue is ours to destroy, forwarding keeps its own reference.
        unsafe {
            let from = sys::rd_kafka_queue_get_partition(self.client, topic.as_ptr(), partition);
            if from.is_null() {
                return false;
            }
            sys::rd_kafka_queue_forward(from, to);
            sys::rd_kafka_queue_destroy(from);
        }
        true
    }

    /// A partition is no more led here, from before the moment when it is unassigned.
    pub(crate) fn forget_led(&mut self, topic: &str, partition: i32) {
        if let Ok(topic) = CString::new(topic) {
            self.forget(&topic, partition);
        }
    }

    fn forget(&mut self, topic: &CStr, partition: i32) {
        let is_other = |(of, number): &(CString, i32)| (of.as_c_str(), *number) != (topic, partition);
        self.led.retain(is_other);
        self.parked.retain(is_other);
    }

    /// Waits until something is queued, at most `wait`, then hands over what is there until `intake` has enough.
    /// `false`: no partition is led here, and nothing was waited for.
    pub(crate) fn serve<I: TakesMessages>(&mut self, wait: Duration, intake: &mut I) -> bool {
        let gate = self
            .led
            .first()
            .and_then(|(topic, partition)| Some((self.topics.get(topic)?, *partition)));
        let Some((topic, partition)) = gate else {
            return false;
        };
        let mut serving = Serving {
            intake,
            client: self.client,
            is_full: false,
        };
        let mut wait = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        loop {
            // SAFETY: the topic's handle is alive; the callback gets `serving` back, which outlives the call, on this
            // thread only.
            let served = unsafe {
                sys::rd_kafka_consume_callback(
                    topic.as_ptr(),
                    partition,
                    wait,
                    Some(take::<I>),
                    ptr::from_mut(&mut serving).cast(),
                )
            };
            if served < 0 {
                return false;
            }
            if served == 0 || serving.is_full {
                return true;
            }
            wait = 0;
        }
    }
}

fn place(of: &[(CString, i32)], topic: &str, partition: i32) -> Option<usize> {
    let is_it = |(name, number): &(CString, i32)| name.to_bytes() == topic.as_bytes() && *number == partition;
    of.iter().position(is_it)
}

impl Drop for RecordQueue {
    fn drop(&mut self) {
        for topic in self.topics.values() {
            // SAFETY: made in `lead`, destroyed once.
            unsafe { sys::rd_kafka_topic_destroy(topic.as_ptr()) };
        }
        // SAFETY: made in `new`, destroyed once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

struct Serving<'a, I> {
    intake: &'a mut I,
    client: *mut sys::rd_kafka_t,
    is_full: bool,
}

/// Called for each message. A panic here ends the process, as in any function that C calls.
unsafe extern "C" fn take<I: TakesMessages>(message: *mut sys::rd_kafka_message_t, serving: *mut c_void) {
    // SAFETY: both come from `serve`: a live message, and the `Serving` that nothing else uses meanwhile.
    let (message, serving) = unsafe { (&*message.cast::<RawMessage>(), &mut *serving.cast::<Serving<'_, I>>()) };
    // SAFETY: librdkafka gave it.
    serving.is_full = !serving.intake.take(&unsafe { Message::native(message) });
    if serving.is_full {
        // SAFETY: the client is alive; this only asks the serving loop of this thread to put the rest back.
        unsafe { sys::rd_kafka_yield(serving.client) };
    }
}
