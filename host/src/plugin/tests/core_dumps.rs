//! What a guest held when it trapped: read back as any reader of Wasm core dumps would.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use wasmparser::{DataKind, KnownCustom, Parser, Payload};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, OptLevel, Store, WasmCoreDump};

use super::*;
use crate::plugin::fault::{CoreDumps, write_core_dump};

in_both_worlds! {
    a_trap_leaves_a_core_dump_of_the_memory_and_the_stack_of_its_record,
}

/// A dump, read.
#[derive(Debug, Default)]
struct ReadDump {
    process: String,
    memory: Vec<u8>,
    memories: usize,
    modules: Vec<String>,
    /// Of each instance its module and its memories.
    instances: Vec<(u32, Vec<u32>)>,
    /// Of each frame its instance and its function.
    stack: Vec<(u32, u32)>,
}

fn read(bytes: &[u8]) -> ReadDump {
    let mut dump = ReadDump::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::MemorySection(memories) => dump.memories = memories.count() as usize,
            Payload::DataSection(data) => {
                for piece in data {
                    let piece = piece.unwrap();
                    assert!(matches!(piece.kind, DataKind::Active { .. }));
                    dump.memory.extend_from_slice(piece.data);
                }
            }
            Payload::CustomSection(custom) => match custom.as_known() {
                KnownCustom::CoreDump(process) => dump.process = process.name.to_owned(),
                KnownCustom::CoreDumpModules(modules) => {
                    dump.modules = modules.modules.iter().map(|name| (*name).to_owned()).collect();
                }
                KnownCustom::CoreDumpInstances(of) => {
                    dump.instances = (of.instances.into_iter().map(|one| (one.module_index, one.memories))).collect();
                }
                KnownCustom::CoreDumpStack(stack) => {
                    dump.stack = stack
                        .frames
                        .iter()
                        .map(|frame| (frame.instanceidx, frame.funcidx))
                        .collect();
                }
                _ => panic!("a dump has no section {}", custom.name()),
            },
            _ => {}
        }
    }
    assert!(
        dump.stack
            .iter()
            .all(|(instance, _)| (*instance as usize) < dump.instances.len())
    );
    assert!(
        dump.instances
            .iter()
            .all(|(module, _)| (*module as usize) < dump.modules.len())
    );
    dump
}

fn has(dump: &ReadDump, text: &str) -> bool {
    dump.memory.windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

/// An engine that writes core dumps into a folder.
fn dumping(folder: &Path) -> Engine {
    Engine::watching_traps(folder.to_owned(), None).unwrap()
}

fn dumps_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn a_trap_leaves_a_core_dump_of_the_memory_and_the_stack_of_its_record(world: World) {
    let (folder, built_in) = match world {
        World::Processor => (tempfile::tempdir().unwrap(), "guests"),
        World::RecordProcessor => (tempfile::tempdir().unwrap(), "record-plugins"),
    };
    let into = folder.path().join("dumps");
    let plugin = dumping(&into).load(&built(built_in, "traps")).unwrap();
    let mut operator = plugin.operator("op/1", "", limits()).unwrap();
    let outcome = process(&mut operator, &["before", "trap is what the record says", "behind"]).unwrap();
    let refused = &outcome.refused[..];
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0].backtrace.ends_with("\n  core dump: op-1-3-1001.coredump"),
        "{}",
        refused[0].backtrace
    );
    assert_eq!(
        dumps_in(&into),
        ["op-1-3-1001.coredump"],
        "one record is at fault, and is dumped once"
    );
    let file = into.join("op-1-3-1001.coredump");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let dump = read(&fs::read(&file).unwrap());
    assert_eq!((dump.process.as_str(), dump.memories), ("op/1-3-1001", 1));
    assert!(
        has(&dump, "trap is what the record says") && !has(&dump, "behind"),
        "its record, and no other"
    );
    assert!(dump.stack.len() > 3, "{:?}", dump.stack);
    let (instance, _) = dump.stack[0];
    let (module, memories) = &dump.instances[instance as usize];
    assert!(dump.modules[*module as usize].contains("traps"), "{:?}", dump.modules);
    assert_eq!(memories, &[0]);

    // The same record again takes nobody's place, and the file of another run is left alone.
    process(&mut operator, &["a", "trap", "b"]).unwrap();
    assert_eq!(dumps_in(&into), ["op-1-3-1001.2.coredump", "op-1-3-1001.coredump"]);
}

#[test]
fn no_more_dumps_are_written_than_a_person_reads() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = dumping(folder.path()).load(&built("guests", "traps")).unwrap();
    let mut operator = plugin.operator("op", "", limits()).unwrap();
    for _ in 0..3 {
        let outcome = process(&mut operator, &["trap"; 10]).unwrap();
        assert_eq!(outcome.refused.len(), 10);
    }
    assert_eq!(dumps_in(folder.path()).len(), 20);
    // Nor by the next process, which whatever ended this one has started.
    let plugin = dumping(folder.path()).load(&built("guests", "traps")).unwrap();
    process(&mut plugin.operator("op", "", limits()).unwrap(), &["trap"]).unwrap();
    assert_eq!(dumps_in(folder.path()).len(), 20);
}

#[test]
fn without_a_folder_for_them_no_core_dump_is_taken() {
    let mut operator = guest("traps").operator("op", "", limits()).unwrap();
    let outcome = process(&mut operator, &["trap"]).unwrap();
    assert!(!outcome.refused[0].backtrace.contains("core dump"));
    assert!(guest("traps").engine().watch.core_dumps().is_none());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_and_one_that_is_gone_costs_the_dump() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = CoreDumps::into(file.join("dumps")).unwrap_err();
    assert_eq!(error.kind, Kind::Unwritable);
    let gone = folder.path().join("gone");
    let dumps = CoreDumps::into(gone.clone()).unwrap();
    fs::remove_dir(&gone).unwrap();
    assert_eq!(dumps.write("a", |into| into.write_all(b"dump")), None);
}

#[test]
fn a_dump_that_cannot_be_written_leaves_nothing_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let dumps = CoreDumps::into(folder.path().to_owned()).unwrap();
    for _ in 0..20 {
        let full = |into: &mut dyn Write| into.write_all(b"begun").and(Err(io::Error::other("no space left")));
        assert_eq!(dumps.write("a", full), None);
    }
    assert_eq!(dumps.write("a", |_| panic!("it is not tried for ever")), None);
    assert!(dumps_in(folder.path()).is_empty());
}

/// Readers take 100,000 pieces; a memory of 420 MB has more of 4 KiB.
#[test]
fn a_large_memory_is_dumped_in_pieces_that_a_reader_takes() {
    let engine = coredumping();
    let text = r#"(module (memory (export "m") 6500)
      (func (export "f") i32.const 0 i32.const 7 i32.const 425984000 memory.fill unreachable))"#;
    let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
    let call = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let seen: WasmCoreDump = call.call(&mut store, ()).unwrap_err().downcast().unwrap();
    let mut dump = Vec::new();
    write_core_dump(&seen, &mut store, "large", &mut dump).unwrap();
    let mut bytes = 0;
    for payload in Parser::new(0).parse_all(&dump) {
        if let Payload::DataSection(data) = payload.unwrap() {
            assert!(data.count() <= 50_000, "{} pieces", data.count());
            bytes = data.into_iter().map(|piece| piece.unwrap().data.len()).sum();
        }
    }
    assert_eq!(bytes, 425_984_000);
}

/// Here wasmtime's own writer of core dumps panics.
#[test]
fn a_component_of_several_with_memories_of_their_own_is_dumped_whole() {
    let engine = coredumping();
    let text = include_str!("composed.wat").replace("(result i32) i32.const 0)", "(result i32) unreachable)");
    let component = Component::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
    let call = instance.get_typed_func::<(), ()>(&mut store, "process").unwrap();
    let trap = call.call(&mut store, ()).unwrap_err();
    let seen: WasmCoreDump = trap.downcast().unwrap();
    let mut dump = Vec::new();
    write_core_dump(&seen, &mut store, "composed", &mut dump).unwrap();
    let dump = read(&dump);
    assert_eq!((dump.memories, dump.stack.len()), (2, 3));
    assert_eq!(
        dump.instances.iter().filter(|(_, memories)| memories == &[1]).count(),
        1
    );
}

fn coredumping() -> wasmtime::Engine {
    let mut config = Config::new();
    config.coredump_on_trap(true).cranelift_opt_level(OptLevel::None);
    wasmtime::Engine::new(&config).unwrap()
}
