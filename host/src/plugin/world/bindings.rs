//! What `wit/` says, as Rust types: generated, one module a version of the interface.

/// Version 0.1, world `processor`.
pub(super) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../wit/v0.1",
        world: "processor",
        imports: { default: trappable },
    });
}
