//! Plugins written as text, which do what no SDK lets its author do.

/// `tests/guests/hostile/text/plugin.wat`, and what fills its places.
#[derive(Clone, Copy)]
pub(super) struct Text {
    /// Of the component: what it imports, and whatever else it is to have.
    pub(super) imports: &'static str,
    /// Functions of the host that `realloc` may call: the same as below, of those that need no memory.
    pub(super) early: &'static [(&'static str, &'static str)],
    /// What the module of `realloc` imports.
    pub(super) libc: &'static str,
    /// Functions of the host that its module gets: their names there, and what is lowered.
    pub(super) lowered: &'static [(&'static str, &'static str)],
    /// Of the core module: its imports, functions, tables.
    pub(super) core: &'static str,
    /// What `describe`, `open` and `process` do before they answer.
    pub(super) describe: &'static str,
    pub(super) open: &'static str,
    pub(super) process: &'static str,
    /// Where the host is to put what it hands over.
    pub(super) realloc: &'static str,
    /// Data over that of the description.
    pub(super) data: &'static str,
    /// In which encoding `describe` answers.
    pub(super) encoding: &'static str,
    /// More exports of the component.
    pub(super) exports: &'static str,
}

/// One that harms nobody.
pub(super) const PLAIN: Text = Text {
    imports: "",
    early: &[],
    libc: "",
    lowered: &[],
    core: "",
    describe: "",
    open: "",
    process: "",
    realloc: "i32.const 4096",
    data: "",
    encoding: "",
    exports: "",
};

const TEMPLATE: &str = include_str!("../../../guests/hostile/text/plugin.wat");

impl Text {
    /// The component.
    pub(super) fn assembled(&self) -> Vec<u8> {
        let lowered = |those: &[(&str, &str)]| -> String {
            let each = those
                .iter()
                .map(|(name, what)| format!("(core func ${name} (canon {what}))"));
            each.collect()
        };
        let given = |those: &[(&str, &str)]| -> String {
            let each = those
                .iter()
                .map(|(name, _)| format!("(export \"{name}\" (func ${name}))"));
            each.collect()
        };
        let mut text = TEMPLATE.to_owned();
        for (place, with) in [
            ("imports", self.imports),
            ("early", &lowered(self.early)),
            ("libc", self.libc),
            ("libc-given", &given(self.early)),
            ("lowered", &lowered(self.lowered)),
            ("given", &given(self.lowered)),
            ("core", self.core),
            ("describe", self.describe),
            ("open", self.open),
            ("process", self.process),
            ("realloc", self.realloc),
            ("data", self.data),
            ("encoding", self.encoding),
            ("exports", self.exports),
        ] {
            text = text.replace(&format!("{{{place}}}"), with);
        }
        wat::parse_str(&text).unwrap_or_else(|why| panic!("{why}"))
    }
}

const LOG: &str = r#"(import "sandbar:plugin/log@0.1.0" (instance $log
    (type $l (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $l)))
    (export "write" (func (param "level" $level) (param "message" string)))))"#;
const WRITE: (&str, &str) = (
    "write",
    r#"lower (func $log "write") (memory $memory) (realloc $realloc)"#,
);

const STDOUT: &str = r#"(import "wasi:cli/stdout@0.2.0" (instance $out
    (export "made" (type $made (sub resource))) (export "get-stdout" (func (result (own $made))))))
  (alias export $out "made" (type $made))"#;
const STDOUT_CALLS: &[(&str, &str)] = &[
    ("get", r#"lower (func $out "get-stdout")"#),
    ("drop", "resource.drop $made"),
];
const STDOUT_CORE: &str =
    r#"(import "host" "get" (func $get (result i32))) (import "host" "drop" (func $drop (param i32)))"#;

const STATE: &str = r#"(import "sandbar:plugin/state@0.1.0" (instance $state
    (export "get" (func (param "store" u8) (result (option (list u8)))))))"#;

/// An attack's name, and its plugin.
pub(super) type Named = (&'static str, Text);

/// What is wrong in what a plugin does while it is loaded.
pub(super) const AT_LOAD: &[Named] = &[
    (
        "loop-in-describe",
        Text {
            describe: "(loop br 0)",
            ..PLAIN
        },
    ),
    (
        "realloc-loops",
        Text {
            realloc: "(loop br 0) unreachable",
            ..PLAIN
        },
    ),
    (
        "realloc-recurses",
        Text {
            realloc: "local.get 0 local.get 1 local.get 2 local.get 3 call 0",
            ..PLAIN
        },
    ),
    (
        "realloc-beyond-memory",
        Text {
            realloc: "i32.const -64",
            ..PLAIN
        },
    ),
    (
        "start-traps",
        Text {
            core: "(func $s unreachable) (start $s)",
            ..PLAIN
        },
    ),
    (
        "start-loops",
        Text {
            core: "(func $s (loop br 0)) (start $s)",
            ..PLAIN
        },
    ),
    (
        "invalid-utf8",
        Text {
            data: r#"(data (i32.const 200) "\ff")"#,
            ..PLAIN
        },
    ),
    (
        "lone-surrogate",
        Text {
            data: r#"(data (i32.const 200) "\00\d8")"#,
            encoding: "string-encoding=utf16",
            ..PLAIN
        },
    ),
    (
        "text-out-of-bounds",
        Text {
            data: r#"(data (i32.const 16) "\00\00\ff\7f\10\00\00\00")"#,
            ..PLAIN
        },
    ),
    (
        "text-over-the-end",
        Text {
            data: r#"(data (i32.const 16) "\ff\ff\1f\00\ff\ff\00\00")"#,
            ..PLAIN
        },
    ),
    (
        "answer-out-of-bounds",
        Text {
            describe: "i32.const -16 return",
            ..PLAIN
        },
    ),
    (
        "answer-misaligned",
        Text {
            describe: "i32.const 17 return",
            ..PLAIN
        },
    ),
    (
        "longest-list",
        Text {
            data: r#"(data (i32.const 40) "\a0\00\00\00\ff\ff\ff\ff")"#,
            ..PLAIN
        },
    ),
    (
        "list-of-a-gibibyte",
        Text {
            data: r#"(data (i32.const 40) "\a0\00\00\00\00\00\00\08")"#,
            ..PLAIN
        },
    ),
    (
        // Eight thousand times the same 896 KiB.
        "the-same-bytes-again",
        Text {
            data: r#"(data (i32.const 40) "\00\00\10\00\40\1f\00\00")"#,
            describe: "(local $at i32) i32.const 0x100000 local.set $at
              (loop
                local.get $at i32.const 0x10000 i32.store
                local.get $at i32.const 0xe0000 i32.store offset=4
                local.get $at i32.const 8 i32.add local.tee $at i32.const 0x10fa00 i32.lt_u br_if 0)",
            ..PLAIN
        },
    ),
    (
        "output-of-another",
        Text {
            data: r#"(data (i32.const 160) "\d0\00\00\00\1a\00\00\00")
        (data (i32.const 208) "neighbour--topic/../secret")"#,
            ..PLAIN
        },
    ),
    (
        "output-of-300",
        Text {
            data: r#"(data (i32.const 160) "\d0\00\00\00\2c\01\00\00")"#,
            ..PLAIN
        },
    ),
    (
        "largest-table",
        Text {
            core: "(table 4294967295 funcref)",
            ..PLAIN
        },
    ),
    (
        "host-call-out-of-realloc",
        Text {
            imports: r#"(import "sandbar:plugin/chance@0.1.0" (instance $chance (export "seed" (func (result u64)))))"#,
            early: &[("seed", r#"lower (func $chance "seed")"#)],
            libc: r#"(import "host" "seed" (func $seed (result i64)))"#,
            realloc: "call $seed drop i32.const 4096",
            ..PLAIN
        },
    ),
    (
        "largest-memory",
        Text {
            core: "(memory 65536)",
            ..PLAIN
        },
    ),
    (
        "many-memories",
        Text {
            core: "(memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1)
        (memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1) (memory 1 1)
        (memory 1 1) (memory 1 1) (memory 1 1)",
            ..PLAIN
        },
    ),
    (
        "reads-state-outside-of-a-call",
        Text {
            imports: STATE,
            lowered: &[(
                "state",
                r#"lower (func $state "get") (memory $memory) (realloc $realloc)"#,
            )],
            core: r#"(import "host" "state" (func $state (param i32 i32)))"#,
            describe: "i32.const 0 i32.const 2048 call $state",
            ..PLAIN
        },
    ),
    (
        "unknown-interface",
        Text {
            imports: r#"(import "evil:net/sockets" (instance (export "connect" (func))))"#,
            ..PLAIN
        },
    ),
    (
        "state-of-another-version",
        Text {
            imports: r#"(import "sandbar:plugin/state@9.0.0" (instance))"#,
            ..PLAIN
        },
    ),
    (
        "wasi-http",
        Text {
            imports: r#"(import "wasi:http/outgoing-handler@0.2.0" (instance))"#,
            ..PLAIN
        },
    ),
    (
        "wasi-sockets-3",
        Text {
            imports: r#"(import "wasi:sockets/types@0.3.0" (instance))"#,
            ..PLAIN
        },
    ),
    (
        "garbage-collection",
        Text {
            imports: "(core module (type (struct (field i32))))",
            ..PLAIN
        },
    ),
    (
        "threads",
        Text {
            imports: "(core module (memory 1 2 shared))",
            ..PLAIN
        },
    ),
    (
        "async",
        Text {
            imports: "(type (func async))",
            ..PLAIN
        },
    ),
    (
        "memory64",
        Text {
            imports: "(core module (memory i64 1))",
            ..PLAIN
        },
    ),
];

/// What is loaded, and attacks at the first record.
pub(super) const AT_A_RECORD: &[Named] = &[
    (
        "recursion-of-frames",
        Text {
            process: "(call $deeper)",
            core: "(func $deeper call $deeper)",
            ..PLAIN
        },
    ),
    (
        "table-bomb",
        Text {
            process: "(loop (table.grow $table (ref.null func) (i32.const 4096)) i32.const -1 i32.ne br_if 0)
                unreachable",
            ..PLAIN
        },
    ),
    (
        "small-grows",
        Text {
            process: "(loop (memory.grow (i32.const 1)) i32.const -1 i32.ne br_if 0) unreachable",
            ..PLAIN
        },
    ),
    (
        "loop-in-describe-state",
        Text {
            core: r#"(func (export "describe-state") (result i32) (loop br 0) i32.const 0)"#,
            exports: r#"(func (export "describe-state") (result (list string))
                (canon lift (core func $i "describe-state") (memory $memory)))"#,
            ..PLAIN
        },
    ),
    (
        "realloc-misaligned",
        Text {
            realloc: "i32.const 4097",
            ..PLAIN
        },
    ),
    (
        "realloc-null",
        Text {
            realloc: "i32.const 0",
            ..PLAIN
        },
    ),
    (
        "realloc-over-the-answer",
        Text {
            realloc: "i32.const 512",
            ..PLAIN
        },
    ),
    (
        "impossible-verdict",
        Text {
            process: "i32.const 512 i32.const 77 i32.store8",
            ..PLAIN
        },
    ),
    (
        "host-calls-without-end",
        Text {
            imports: LOG,
            lowered: &[WRITE],
            core: r#"(import "host" "write" (func $write (param i32 i32 i32)))"#,
            process: "(loop i32.const 0 i32.const 200 i32.const 0 call $write br 0)",
            ..PLAIN
        },
    ),
    (
        "message-out-of-bounds",
        Text {
            imports: LOG,
            lowered: &[WRITE],
            core: r#"(import "host" "write" (func $write (param i32 i32 i32)))"#,
            process: "i32.const 1 i32.const 0x1fffff i32.const 0x7fffffff call $write",
            ..PLAIN
        },
    ),
    (
        "level-that-is-none",
        Text {
            imports: LOG,
            lowered: &[WRITE],
            core: r#"(import "host" "write" (func $write (param i32 i32 i32)))"#,
            process: "i32.const 99 i32.const 200 i32.const 1 call $write",
            ..PLAIN
        },
    ),
    (
        "handle-dropped-twice",
        Text {
            imports: STDOUT,
            lowered: STDOUT_CALLS,
            core: STDOUT_CORE,
            process: "(local $h i32) call $get local.tee $h call $drop local.get $h call $drop",
            ..PLAIN
        },
    ),
    (
        "handle-forged",
        Text {
            imports: STDOUT,
            lowered: STDOUT_CALLS,
            core: STDOUT_CORE,
            process: "i32.const 12345 call $drop",
            ..PLAIN
        },
    ),
    (
        "handles-without-end",
        Text {
            imports: STDOUT,
            lowered: STDOUT_CALLS,
            core: STDOUT_CORE,
            process: "(loop call $get drop br 0)",
            ..PLAIN
        },
    ),
    (
        "store-that-is-none",
        Text {
            imports: STATE,
            lowered: &[(
                "state",
                r#"lower (func $state "get") (memory $memory) (realloc $realloc)"#,
            )],
            core: r#"(import "host" "state" (func $state (param i32 i32)))"#,
            process: "i32.const 7 i32.const 2048 call $state",
            ..PLAIN
        },
    ),
];
