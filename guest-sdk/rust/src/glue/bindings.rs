//! The interface as generated from `wit/`: raw columns, for those who test hosts. Plugins use the types beside it.
#![expect(missing_docs, reason = "generated; the documentation stands in the WIT")]
#![allow(unsafe_code, reason = "generated: the canonical ABI passes pointers")]
#![allow(unused_qualifications, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({
    path: "wit",
    world: "sandbar:plugin/processor",
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "sandbar_sdk::bindings",
});
