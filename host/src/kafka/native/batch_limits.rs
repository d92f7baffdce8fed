//! What topics take: how large a batch of theirs may be, as the cluster says.

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use super::layout::{NO_ERROR, milliseconds};
use super::producer::NativeProducer;
use super::reports::Reports;
use rdkafka_sys as sys;

impl<R: Reports> NativeProducer<R> {
    /// How many bytes a batch of each topic may have; `None`: the cluster does not say.
    pub(crate) fn largest_batches(&self, topics: &[&str], limit: Duration) -> Vec<Option<usize>> {
        let mut found = vec![None; topics.len()];
        let names: Vec<CString> = topics.iter().filter_map(|name| CString::new(*name).ok()).collect();
        if names.is_empty() || names.len() != topics.len() {
            return found;
        }
        // SAFETY: the client lives; queue, options and resources are made here and released here, after the answer;
        // what is read of the answer lives until it is destroyed, and is copied.
        unsafe {
            let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let queue = sys::rd_kafka_queue_new(self.native());
            let options = sys::rd_kafka_AdminOptions_new(
                self.native(),
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            );
            sys::rd_kafka_AdminOptions_set_request_timeout(options, milliseconds(limit), ptr::null_mut(), 0);
            let mut asked: Vec<_> = names
                .iter()
                .map(|name| sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()))
                .collect();
            sys::rd_kafka_DescribeConfigs(self.native(), asked.as_mut_ptr(), asked.len(), options, queue);
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(limit));
            if !event.is_null() {
                read(event, topics, &mut found);
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_ConfigResource_destroy_array(asked.as_mut_ptr(), asked.len());
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_queue_destroy(queue);
        }
        found
    }
}

unsafe extern "C" {
    /// librdkafka's own function. The generated one gives an enum, and a broker may send a number that is none of its
    /// values.
    #[link_name = "rd_kafka_ConfigResource_error"]
    fn resource_error(resource: *const sys::rd_kafka_ConfigResource_t) -> i32;
}

/// # Safety
/// `event` is one that librdkafka gave and nobody destroyed.
unsafe fn read(event: *mut sys::rd_kafka_event_t, topics: &[&str], found: &mut [Option<usize>]) {
    // SAFETY: the event lives, and so does all that is read of it; lists have as many entries as is said, names and
    // values end with a zero byte.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConfigs_result(event);
        if result.is_null() {
            return;
        }
        let mut count = 0;
        let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
        for at in 0..count {
            let resource = *resources.add(at);
            if resource_error(resource) != NO_ERROR {
                continue;
            }
            let name = CStr::from_ptr(sys::rd_kafka_ConfigResource_name(resource)).to_bytes();
            let Some(topic) = topics.iter().position(|topic| topic.as_bytes() == name) else {
                continue;
            };
            let mut entries = 0;
            let configs = sys::rd_kafka_ConfigResource_configs(resource, &mut entries);
            for at in 0..entries {
                let entry = *configs.add(at);
                let (name, value) = (
                    sys::rd_kafka_ConfigEntry_name(entry),
                    sys::rd_kafka_ConfigEntry_value(entry),
                );
                if !value.is_null() && CStr::from_ptr(name) == c"max.message.bytes" {
                    found[topic] = CStr::from_ptr(value).to_str().ok().and_then(|value| value.parse().ok());
                }
            }
        }
    }
}
