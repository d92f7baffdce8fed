//! Plugins that import interfaces of WASI with types of their own making: each ends in a sentence, and the host lives.

use super::*;

/// A whole plugin of world `record-processor`, written by hand; `describe` does something with what it imports first.
struct MadeUp {
    /// Of the component: imports, and whatever else is wanted of its types.
    imports: &'static str,
    /// Functions of the host that are lowered: the name in the core module, and what is lowered.
    lowered: &'static [(&'static str, &'static str)],
    /// Imports of the core module.
    core: &'static str,
    /// What `describe` does.
    act: &'static str,
}

impl MadeUp {
    fn load(&self) -> Result<Plugin, Error> {
        let lowered = self
            .lowered
            .iter()
            .map(|(name, what)| format!("(core func ${name} (canon {what}))"));
        let given = self
            .lowered
            .iter()
            .map(|(name, _)| format!("(export \"{name}\" (func ${name}))"));
        load_text(&format!(
            r#"(component
  {imports}
  {TYPES}
  (core module $libc
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  {lowered}
  (core module $m
    (import "libc" "memory" (memory 1))
    {core}
    (func (export "describe") (result i32) {act} i32.const 16)
    (func (export "open") (param i32 i32) (result i32) i32.const 512)
    (func (export "process") (param i32 i32 i32 i32 i32 i32 i32 i64 i32 i64 i32 i32) (result i32) i32.const 512)
    (func (export "fire") (param i32 i32 i32 i64) (result i32) i32.const 512)
    (data (i32.const 16) "\c8\00\00\00\01\00\00\00\c8\00\00\00\01\00\00\00")
    (data (i32.const 200) "p"))
  (core instance $i (instantiate $m
    (with "libc" (instance $libc))
    (with "wasi" (instance {given}))))
  (func (export "describe") (result $description) (canon lift (core func $i "describe") (memory $memory)))
  (func (export "open") (param "config" string) (result (result (error string)))
    (canon lift (core func $i "open") (memory $memory) (realloc $realloc)))
  (func (export "process") (param "event" $event) (result (result $verdict (error $failure)))
    (canon lift (core func $i "process") (memory $memory) (realloc $realloc)))
  (func (export "fire") (param "timer" u8) (param "key" (list u8)) (param "at" s64) (result (result (error $failure)))
    (canon lift (core func $i "fire") (memory $memory) (realloc $realloc))))"#,
            imports = self.imports,
            core = self.core,
            act = self.act,
            lowered = lowered.collect::<String>(),
            given = given.collect::<String>(),
        ))
    }
}

const TYPES: &str = r#"
  (type $a (enum "value" "list-of" "map-of")) (export $kind "store-kind" (type $a))
  (type $b (record (field "name" string) (field "kind" $kind) (field "codec" string) (field "schema-version" u32)
    (field "readable-from" u32) (field "ttl" u64) (field "refresh-on-read" bool))) (export $store "store" (type $b))
  (type $c (enum "event-time" "processing-time")) (export $clock "timer-clock" (type $c))
  (type $d (record (field "name" string) (field "clock" $clock))) (export $timer "timer" (type $d))
  (type $e (enum "counter" "gauge")) (export $metric-kind "metric-kind" (type $e))
  (type $f (record (field "name" string) (field "kind" $metric-kind) (field "help" string)))
  (export $metric "metric" (type $f))
  (type $g (flags "coordinates" "headers" "keeps-key")) (export $needs "needs" (type $g))
  (type $h (record (field "name" string) (field "version" string) (field "inputs" (list string))
    (field "outputs" (list string)) (field "stores" (list $store)) (field "timers" (list $timer))
    (field "metrics" (list $metric)) (field "config-schema" string) (field "needs" $needs)))
  (export $description "description" (type $h))
  (type $i (enum "skip" "dead-letter" "fail")) (export $refusal "refusal" (type $i))
  (type $j (variant (case "retry" string) (case "fail" string))) (export $failure "failure" (type $j))
  (type $k (record (field "name" string) (field "value" (option (list u8))))) (export $header "header" (type $k))
  (type $l (record (field "input" u8) (field "key" (option (list u8))) (field "value" (option (list u8)))
    (field "timestamp" s64) (field "partition" u32) (field "offset" s64) (field "headers" (list $header))))
  (export $event "event" (type $l))
  (type $m (variant (case "done") (case "refuse" (tuple $refusal string)))) (export $verdict "verdict" (type $m))"#;

const PLAIN: MadeUp = MadeUp {
    imports: "",
    lowered: &[],
    core: "",
    act: "",
};

/// Each of them is loaded, or is not and says this.
fn ends_in_a_sentence(made_up: &MadeUp, words: &str) {
    let error = made_up.load().map(drop).unwrap_err();
    assert_eq!(error.kind, Kind::Plugin, "{error}");
    assert!(error.why.contains(words), "instead of {words}: {error}");
    // The host is as well as before.
    assert_eq!(PLAIN.load().unwrap().description().name, "p");
}

#[test]
fn the_plugin_that_they_are_made_of_is_one() {
    let mut operator = PLAIN.load().unwrap().operator("op", "", limits()).unwrap();
    let outcome = process(&mut operator, &["a", "b"]).unwrap();
    assert_eq!(refusals(&outcome), []);
}

/// What has another type than the host's function is refused when it is linked.
#[test]
fn a_function_of_wasi_with_other_types_is_refused_by_its_interface() {
    for (imports, words) in [
        (
            r#"(import "wasi:io/streams@0.2.0" (instance
                 (export "output-stream" (type $s (sub resource)))
                 (export "[method]output-stream.check-write" (func (param "self" (borrow $s)) (result u32)))))"#,
            "wasi:io/streams@0.2.0",
        ),
        (
            r#"(import "wasi:io/streams@0.2.0" (instance
                 (export "output-stream" (type $s (sub resource)))
                 (export "[method]output-stream.write" (func (param "self" (borrow $s)) (param "contents" string)))))"#,
            "wasi:io/streams@0.2.0",
        ),
        (
            r#"(import "wasi:clocks/wall-clock@0.2.0" (instance
                 (type $made (record (field "years" u8) (field "beard" string)))
                 (export "datetime" (type $d (eq $made)))
                 (export "now" (func (result $d)))))"#,
            "wasi:clocks/wall-clock@0.2.0",
        ),
        (
            r#"(import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func (result (list u8))))))"#,
            "wasi:random/random@0.2.0",
        ),
        (
            r#"(import "wasi:io/poll@0.2.0" (instance (export "poll" (type (sub resource)))))"#,
            "wasi:io/poll@0.2.0",
        ),
        (
            r#"(import "wasi:cli/exit@0.2.0" (instance (export "exit" (instance (export "exit" (func))))))"#,
            "exit",
        ),
        (r#"(import "wasi:cli/exit@0.2.0" (func))"#, "wasi:cli/exit@0.2.0"),
        (
            r#"(import "wasi:cli/exit@0.2.0" (component))"#,
            "component imports are not supported",
        ),
        (r#"(import "wasi:cli/exit@0.2.0" (core module))"#, "wasi:cli/exit@0.2.0"),
        (
            r#"(import "wasi:filesystem/types@0.2.0" (instance (export "m" (core module))))"#,
            "unable to define core module imports as traps",
        ),
    ] {
        ends_in_a_sentence(&MadeUp { imports, ..PLAIN }, words);
    }
}

/// What the host has no function for is linked, and traps when it is called.
#[test]
fn a_function_that_wasi_does_not_have_is_a_trap_of_the_plugin() {
    let made_up = MadeUp {
        imports: r#"(import "wasi:io/poll@0.2.0" (instance $w
                      (export "thing" (type $t (sub resource)))
                      (type $r (record (field "a" (list string)) (field "b" (option (own $t)))))
                      (export "all" (type $all (eq $r)))
                      (export "make" (func (param "from" u32) (result $all)))))"#,
        lowered: &[("make", r#"lower (func $w "make") (memory $memory) (realloc $realloc)"#)],
        core: r#"(import "wasi" "make" (func $make (param i32 i32)))"#,
        act: "i32.const 7 i32.const 2048 call $make",
    };
    ends_in_a_sentence(&made_up, "wasi:io/poll@0.2.0#make");
}

/// A function that gives a socket has no types of the host's: whatever a plugin declares there gets the same answer.
#[test]
fn a_socket_of_made_up_types_is_denied_or_a_trap_of_the_plugin() {
    let socket = |imports, core, act| MadeUp {
        imports,
        lowered: &[(
            "make",
            r#"lower (func $w "create-tcp-socket") (memory $memory) (realloc $realloc)"#,
        )],
        core,
        act,
    };
    let denied = socket(
        r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $w
             (type $e (enum "unknown" "access-denied")) (export "error-code" (type $code (eq $e)))
             (export "create-tcp-socket" (func (param "family" u8) (result (result u32 (error $code)))))))"#,
        r#"(import "wasi" "make" (func $make (param i32 i32)))"#,
        "i32.const 0 i32.const 2048 call $make
         i32.const 2052 i32.load8_u i32.const 1 i32.ne if unreachable end",
    );
    assert_eq!(denied.load().unwrap().description().name, "p");
    for (imports, core, act) in [
        (
            r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $w (export "create-tcp-socket" (func))))"#,
            r#"(import "wasi" "make" (func $make))"#,
            "call $make",
        ),
        (
            r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $w
                 (export "create-tcp-socket" (func (result u32)))))"#,
            r#"(import "wasi" "make" (func $make (result i32)))"#,
            "call $make drop",
        ),
        (
            r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $w
                 (type $e (enum "fine")) (export "error-code" (type $code (eq $e)))
                 (export "create-tcp-socket" (func (result (result (error $code)))))))"#,
            r#"(import "wasi" "make" (func $make (param i32)))"#,
            "i32.const 2048 call $make",
        ),
        (
            r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $w
                 (export "create-tcp-socket" (func (result (result u8))))))"#,
            r#"(import "wasi" "make" (func $make (param i32)))"#,
            "i32.const 2048 call $make",
        ),
        (
            r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $w
                 (export "r" (type $r (sub resource)))
                 (export "create-tcp-socket" (func (result (own $r))))))"#,
            r#"(import "wasi" "make" (func $make (result i32)))"#,
            "call $make drop",
        ),
    ] {
        ends_in_a_sentence(&socket(imports, core, act), "asked what it is, it trapped");
    }
}

/// The resource behind a stream is whatever a plugin calls so. It is lent, given and dropped without harm to the host.
#[test]
fn a_made_up_resource_is_lent_given_and_dropped() {
    let with_stream = |socket: &'static str, act| MadeUp {
        imports: socket,
        lowered: &[
            ("out", r#"lower (func $o "get-stdout")"#),
            (
                "make",
                r#"lower (func $w "create-tcp-socket") (memory $memory) (realloc $realloc)"#,
            ),
            ("drop", "resource.drop $made"),
        ],
        core: r#"(import "wasi" "out" (func $out (result i32)))
                 (import "wasi" "make" (func $make (param i32 i32)))
                 (import "wasi" "drop" (func $drop (param i32)))"#,
        act,
    };
    macro_rules! takes {
        ($param:literal) => {
            concat!(
                r#"(import "wasi:cli/stdout@0.2.0" (instance $o
                     (export "made" (type $made (sub resource)))
                     (export "get-stdout" (func (result (own $made))))))
                   (alias export $o "made" (type $made))
                   (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $w
                     (alias outer 1 $made (type $outer)) (export "made" (type $r (eq $outer)))
                     (type $e (enum "access-denied")) (export "error-code" (type $code (eq $e)))
                     (export "create-tcp-socket" (func (param "of" "#,
                $param,
                r#") (result (result (error $code)))))))"#
            )
        };
    }
    let lend = "(local $made i32) call $out local.tee $made i32.const 2048 call $make";
    let lend_and_drop =
        "(local $made i32) call $out local.tee $made i32.const 2048 call $make local.get $made call $drop";
    let drop_twice = "(local $made i32) call $out local.tee $made call $drop local.get $made call $drop";
    for (imports, act) in [(takes!("(borrow $r)"), lend_and_drop), (takes!("(own $r)"), lend)] {
        assert_eq!(with_stream(imports, act).load().unwrap().description().name, "p");
    }
    for (imports, act) in [
        (takes!("(own $r)"), lend_and_drop),
        (takes!("(borrow $r)"), drop_twice),
        (takes!("(tuple (borrow $r))"), lend),
        (takes!("(tuple (own $r))"), "i32.const 99 i32.const 2048 call $make"),
    ] {
        ends_in_a_sentence(&with_stream(imports, act), "asked what it is, it trapped");
    }
}
