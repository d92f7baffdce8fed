//! World `record-processor` as generated from `wit/`.
#![expect(missing_docs, reason = "generated; the documentation stands in the WIT")]
#![allow(
    unsafe_code,
    clippy::too_many_arguments,
    reason = "generated: the canonical ABI passes pointers"
)]
#![allow(unused_qualifications, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({
    path: "wit",
    world: "sandbar:plugin/record-processor",
    with: {
        "sandbar:plugin/types@0.1.0": crate::bindings::sandbar::plugin::types,
        "sandbar:plugin/log@0.1.0": crate::bindings::sandbar::plugin::log,
    },
    pub_export_macro: true,
    export_macro_name: "export_record_processor",
    default_bindings_module: "sandbar_sdk::record_bindings",
});
