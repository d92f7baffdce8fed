//! The optional part of the interface as generated from `wit/`: how the host is to show what a plugin keeps.
#![allow(unsafe_code, reason = "generated: the canonical ABI passes pointers")]
#![allow(unused_qualifications, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({
    path: "wit",
    world: "sandbar:plugin/described-state",
    pub_export_macro: true,
    export_macro_name: "export_described_state",
    default_bindings_module: "sandbar_sdk::described_state",
});
