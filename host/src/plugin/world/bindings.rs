//! What `wit/` says, as Rust types: generated, one module a version of the interface.

/// Version 0.1, world `processor`.
pub(super) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../wit/v0.1",
        world: "processor",
        imports: { default: trappable },
    });
}

/// Version 0.1, world `record-processor`. What both worlds have is the first one's.
pub(super) mod v0_1_records {
    wasmtime::component::bindgen!({
        path: "../wit/v0.1",
        world: "record-processor",
        imports: { default: trappable },
        with: {
            "sandbar:plugin/types": crate::plugin::world::bindings::v0_1::sandbar::plugin::types,
            "sandbar:plugin/log": crate::plugin::world::bindings::v0_1::sandbar::plugin::log,
        },
    });
}
