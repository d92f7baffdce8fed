//! What `wit/` says, as Rust types: generated, one module a version of the interface.
//!
//! A later version that breaks this one gets a module of its own, converted at the edge, so that the rest of the
//! station knows one shape.

wasmtime::component::bindgen!({
    path: "../wit/v0.1",
    world: "processor",
    imports: { default: trappable },
});
