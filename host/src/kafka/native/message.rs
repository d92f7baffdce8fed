//! A fetched message in librdkafka's memory, and what can be read of it.

use std::ffi::CStr;
use std::ptr;

use rdkafka::message::BorrowedMessage;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka_sys as sys;

use super::layout::{NO_ERROR, RawFetched, RawMessage, bytes, code};

/// A message, or an error that came in its place, in librdkafka's memory.
pub(crate) struct Message<'a>(&'a RawMessage);

/// Tells whether two messages lie in the same partition without comparing names. Valid among the messages of one
/// serving only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionHandle(usize, i32);

impl<'a> Message<'a> {
    /// # Safety
    /// librdkafka gave the message to whoever serves a consumer's queue, or it is only asked for its error.
    pub(super) unsafe fn native(message: &'a RawMessage) -> Self {
        Self(message)
    }

    /// The same view of a message that came by another way than the queue.
    pub(crate) fn of(message: &'a BorrowedMessage<'a>) -> Self {
        // SAFETY: the borrowed message owns what its pointer shows, for `'a`.
        Message(unsafe { &*message.ptr().cast::<RawMessage>() })
    }

    /// Why there is no message: the code, and librdkafka's words.
    pub(crate) fn error(&self) -> Option<(Code, String)> {
        if self.0.err == NO_ERROR {
            return None;
        }
        let text = self.payload().map(|text| String::from_utf8_lossy(text).into_owned());
        Some((code(self.0.err), text.unwrap_or_default()))
    }

    fn raw(&self) -> *const sys::rd_kafka_message_t {
        ptr::from_ref(self.0).cast()
    }

    pub(crate) fn place(&self) -> PartitionHandle {
        PartitionHandle(self.0.rkt as usize, self.0.partition)
    }

    pub(crate) fn topic(&self) -> &str {
        if self.0.rkt.is_null() {
            return "";
        }
        // SAFETY: the topic handle lives as long as the message that refers to it, and its name ends with NUL.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.0.rkt)) };
        name.to_str().unwrap_or_default()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.0.partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.0.offset
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        // SAFETY: librdkafka gives pointer and length of one allocation that lives as long as the message.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        // SAFETY: as in `key`.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Milliseconds since 1970; -1 if the message has none.
    pub(crate) fn timestamp(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: reads fields of a live message; `kind` outlives the call.
        let at = unsafe { sys::rd_kafka_message_timestamp(self.raw(), &mut kind) };
        match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => -1,
            _ => at,
        }
    }

    /// The epoch of the partition's leader that took the record; `None`: the broker is too old to tell.
    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: reads a field of a live message.
        let epoch = unsafe { sys::rd_kafka_message_leader_epoch(self.raw()) };
        (epoch >= 0).then_some(epoch)
    }

    /// Whether it was fetched without headers; `false` also if that is not known. To ask librdkafka takes 150 ns: it
    /// makes a buffer to read their number from.
    fn has_no_headers(&self) -> bool {
        // SAFETY: every message that librdkafka gives, as this one is, is the first field of such a structure.
        let fetched = unsafe { &*ptr::from_ref(self.0).cast::<RawFetched>() };
        self.0.err == NO_ERROR && fetched.has_no_headers()
    }

    /// Gives each header's name and value, in order.
    pub(crate) fn each_header(&self, mut give: impl FnMut(&[u8], Option<&[u8]>)) {
        if self.has_no_headers() {
            return;
        }
        let mut headers = ptr::null_mut();
        // SAFETY: reads a live message; the headers that it gives belong to the message.
        let found = unsafe { sys::rd_kafka_message_headers(self.raw(), &mut headers) };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: an index past the last header gives an error and leaves the three untouched.
            let found = unsafe { sys::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size) };
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            // SAFETY: name ends with NUL; value and size are one allocation; both live as long as the message.
            unsafe { give(CStr::from_ptr(name).to_bytes(), bytes(value, size)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    use rdkafka::{ClientConfig, Offset, TopicPartitionList};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(120);

    /// A broker that lives as long as this client; and its address.
    fn broker() -> (BaseProducer, String) {
        let producer: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create().unwrap();
        let metadata = producer.client().fetch_metadata(None, PATIENCE).unwrap();
        let broker = &metadata.brokers()[0];
        let address = format!("{}:{}", broker.host(), broker.port());
        (producer, address)
    }

    #[test]
    fn a_message_without_headers_is_known_and_those_with_some_give_all_of_them() {
        let (producer, address) = broker();
        let counts = [0, 1, 2, 0, 70, 0];
        for count in counts {
            let headers = (0..count).fold(OwnedHeaders::new(), |headers, at| {
                let (key, value) = (format!("name {at}"), (at % 3 > 0).then(|| format!("value {at}")));
                headers.insert(Header {
                    key: &key,
                    value: value.as_ref(),
                })
            });
            let record = BaseRecord::<str, str>::to("t").partition(0).payload("value");
            let record = record.headers(headers);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &address)
            .set("group.id", "g")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset("t", 0, Offset::Beginning).unwrap();
        consumer.assign(&partitions).unwrap();
        for count in counts {
            let mut polls = (0..PATIENCE.as_secs()).filter_map(|_| consumer.poll(Duration::from_secs(1)));
            let message = polls.next().unwrap().unwrap();
            let message = Message::of(&message);
            assert_eq!(message.has_no_headers(), count == 0, "{count}");
            let mut given = Vec::new();
            message.each_header(|name, value| {
                given.push((
                    String::from_utf8(name.to_vec()).unwrap(),
                    value.map(|value| String::from_utf8(value.to_vec()).unwrap()),
                ));
            });
            let expected = (0..count).map(|at| (format!("name {at}"), (at % 3 > 0).then(|| format!("value {at}"))));
            assert_eq!(given, expected.collect::<Vec<_>>());
        }
    }
}
