//! Components of newer tool chains: each is refused by the name of what it uses, before it is compiled.

use super::*;

/// A component with the names of a plugin, and something in it.
fn with(what: &str) -> Error {
    let text = format!(
        r#"(component
             {what}
             (core module $m (func (export "f")))
             (core instance $i (instantiate $m))
             (func $f (canon lift (core func $i "f")))
             (export "describe" (func $f))
             (export "open" (func $f))
             (export "process" (func $f)))"#
    );
    load_text(&text).unwrap_err()
}

/// What there is of newer features, and words of the sentences that name it and say what to do.
const NEWER: &[(&str, &str, &str)] = &[
    ("(type (func async))", "async functions, streams or futures", "WASI 0.2"),
    ("(type (stream u8))", "async functions, streams or futures", "WASI 0.2"),
    ("(type (future u8))", "async functions, streams or futures", "WASI 0.2"),
    (
        "(core func (canon backpressure.inc))",
        "async functions, streams or futures",
        "WASI 0.2",
    ),
    ("(type (list error-context))", "`error-context`", "results with a text"),
    (
        "(core func (canon thread.index))",
        "threads of the component model",
        "without threads",
    ),
    ("(type (map string u32))", "`map` types", "list<tuple<key, value>>"),
    ("(type (list u8 4))", "lists of a fixed length", "`list<t>`"),
    (
        "(core module (type (struct (field i32))))",
        "garbage collection",
        "own memory management",
    ),
    (
        "(core module (func (param externref)))",
        "garbage collection",
        "own memory management",
    ),
    ("(core module (tag))", "exceptions", "-fno-exceptions"),
    (
        "(core module (func try catch_all end))",
        "exceptions",
        "-fno-exceptions",
    ),
    (
        "(core module (memory 1 1 shared))",
        "threads, atomics or shared memory",
        "-pthread",
    ),
    (
        "(core module (memory 1) (func i32.const 0 i32.atomic.load drop))",
        "threads, atomics or shared memory",
        "-pthread",
    ),
    (
        "(core module (memory i64 1))",
        "64-bit memories (memory64)",
        "wasm32 instead of wasm64",
    ),
    ("(core module (func return_call 0))", "tail calls", "-mno-tail-call"),
    (
        "(core module (func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.relaxed_swizzle))",
        "relaxed SIMD",
        "-mno-relaxed-simd",
    ),
    (
        "(core module (type $f (func)) (type (cont $f)))",
        "stack switching",
        "without it",
    ),
    (
        "(core module (func (param i64 i64 i64 i64) (result i64 i64)
           local.get 0 local.get 1 local.get 2 local.get 3 i64.add128))",
        "wide arithmetic",
        "-mno-wide-arithmetic",
    ),
    (
        "(core module (memory 1 (pagesize 1)))",
        "pages of another size",
        "without it",
    ),
];

#[test]
fn what_a_newer_tool_chain_emits_is_named_and_told_what_to_do_about() {
    for (what, name, instead) in NEWER {
        let error = with(what);
        assert_eq!(error.kind, Kind::Plugin, "{what}");
        let begin = format!("it uses what this host does not run: {name}");
        assert!(error.why.starts_with(&begin), "{what}: {error}");
        assert!(
            error.hint.as_deref().is_some_and(|hint| hint.contains(instead)),
            "{what}: {error}"
        );
        assert!(!error.why.contains("offset"), "{what}: {error}");
        // Stack switching needs the types of garbage collection.
        let others = usize::from(*name == "stack switching");
        assert_eq!(error.why.matches("; ").count(), others, "{what}: {error}");
    }
}

#[test]
fn a_component_with_several_of_them_is_told_all() {
    let error = with("(type (map string u32)) (core module (memory i64 1) (func return_call 0))");
    for words in ["`map` types", "memory64", "tail calls"] {
        assert!(error.why.contains(words), "{error}");
    }
    assert!(error.hint.unwrap().contains("wasm32 instead of wasm64; "));
}

/// What the engine takes is what the look before it takes: every guest of the other tests went through both.
#[test]
fn what_compilers_emit_today_is_no_newer_feature() {
    for what in [
        "",
        "(core module (memory 1) (memory 1))",
        "(core module (func (result i32 i32) i32.const 0 i32.const 0))",
        "(core module (func (param v128) (result v128) local.get 0 v128.not))",
        "(core module (memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.copy))",
        "(core module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
        "(core module (table 1 funcref) (func (param funcref)))",
    ] {
        let error = with(what);
        assert!(
            error.why.starts_with("it does not fit the plugin interface"),
            "{what}: {error}"
        );
    }
}

#[test]
fn wasi_0_3_is_named_whether_or_not_it_is_released() {
    for version in ["0.3.0", "0.3.1", "0.3.0-rc-2025-09-16"] {
        let error = with(&format!("(import \"wasi:cli/stdin@{version}\" (instance))"));
        assert!(error.why.starts_with("it was built for WASI 0.3"), "{error}");
        assert!(error.why.contains(&format!("`wasi:cli/stdin@{version}`")), "{error}");
        assert!(error.hint.unwrap().contains("WASI 0.2"));
    }
}

/// The parser takes its sections, and no validator takes what they say.
#[test]
fn what_is_valid_for_nobody_is_damaged() {
    let error = with("(core module (func i32.const 0))");
    assert!(error.why.starts_with("the component is damaged: "), "{error}");
}
