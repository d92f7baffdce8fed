//! Wasm core dumps: the memory of a guest at fault and the functions on its stack, in the format of WebAssembly's tool
//! conventions: <https://github.com/WebAssembly/tool-conventions/blob/main/Coredump.md>.
//!
//! wasmtime has a writer of this format too. That one panics at a component that is composed of several with memories
//! of their own, and a guest could have itself dumped just for that.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasm_encoder::{
    ConstExpr, CoreDumpInstancesSection, CoreDumpModulesSection, CoreDumpSection, CoreDumpStackSection, DataSection,
    MemorySection, MemoryType, Module,
};
use wasmtime::{AsContext, AsContextMut, Export, Extern, Instance, WasmCoreDump};

use super::backtrace::on_one_line;
use crate::error::{Error, Kind, Result};

/// Dumps that a process writes: whoever has read so many knows what is wrong, and a disk has an end.
const MOST: usize = 20;
/// Memory is written in pieces of so many bytes, each without the zeroes at its ends.
const PIECE: usize = 4096;
/// The index of what the dump does not have.
const NOT_THERE: u32 = u32::MAX;

/// Where core dumps go. Clones count the same dumps.
#[derive(Debug, Clone)]
pub(in crate::plugin) struct CoreDumps {
    folder: Arc<Path>,
    written: Arc<AtomicUsize>,
}

impl CoreDumps {
    /// Into a folder, which is made if it is not there. Fails if it cannot be.
    pub(in crate::plugin) fn into(folder: PathBuf) -> Result<Self> {
        create_dir_all(&folder).map_err(|error| {
            let what = format!("failed to make the folder of core dumps `{}`", folder.display());
            Error::new(Kind::Unwritable, what, error)
        })?;
        Ok(Self {
            folder: folder.into(),
            written: Arc::default(),
        })
    }

    /// Whether one more is wanted.
    pub(in crate::plugin) fn is_wanted(&self) -> bool {
        self.written.load(Ordering::Relaxed) < MOST
    }

    /// Writes a dump, and says how its file is called: `NAME.coredump`, or with a number behind the name, for it takes
    /// no other's place. That it cannot be written is a warning: the record's outcome does not depend on it.
    pub(in crate::plugin) fn write(&self, name: &str, dump: &[u8]) -> Option<String> {
        let written = self.create(name).and_then(|(file_name, mut file)| {
            file.write_all(dump)?;
            Ok(file_name)
        });
        match written {
            Ok(file_name) => {
                let sum = self.written.fetch_add(1, Ordering::Relaxed) + 1;
                let path = self.folder.join(&file_name);
                tracing::info!(path = %path.display(), bytes = dump.len(), "wrote a core dump");
                if sum == MOST {
                    tracing::warn!("no more core dumps are written: {MOST} are there");
                }
                Some(file_name)
            }
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "failed to write a core dump");
                None
            }
        }
    }

    fn create(&self, name: &str) -> std::io::Result<(String, File)> {
        let name: String = name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let mut number = 1;
        loop {
            let file_name = match number {
                1 => format!("{name}.coredump"),
                number => format!("{name}.{number}.coredump"),
            };
            // What a guest holds is for its owner alone.
            let mut options = OpenOptions::new();
            match options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(self.folder.join(&file_name))
            {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                opened => return opened.map(|file| (file_name, file)),
            }
        }
    }
}

/// The bytes of a dump: all memories, all modules and instances, and the stack. wasmtime does not know the values of
/// locals, nor which instance has which global: neither is there.
pub(in crate::plugin) fn core_dump(seen: &WasmCoreDump, mut store: impl AsContextMut, name: &str) -> Vec<u8> {
    let mut store = store.as_context_mut();
    let mut dump = Module::new();
    dump.section(&CoreDumpSection::new(on_one_line(name)));
    let (memories, data) = memories(seen, &store);
    dump.section(&memories).section(&data);
    let mut modules = CoreDumpModulesSection::new();
    for module in seen.modules() {
        modules.module(on_one_line(module.name().unwrap_or("<unknown>")));
    }
    dump.section(&modules);
    dump.section(&instances(seen, &mut store));
    dump.section(&stack(seen, &store));
    dump.finish()
}

/// The memories, and what they hold: in pieces, without the zeroes at the ends of each.
fn memories(seen: &WasmCoreDump, store: impl AsContext) -> (MemorySection, DataSection) {
    let (mut memories, mut data) = (MemorySection::new(), DataSection::new());
    for (index, memory) in (0..).zip(seen.memories()) {
        let of = memory.ty(&store);
        memories.memory(MemoryType {
            minimum: memory.size(&store),
            maximum: of.maximum(),
            memory64: of.is_64(),
            shared: of.is_shared(),
            page_size_log2: None,
        });
        for (at, piece) in (0..).zip(memory.data(&store).chunks(PIECE)) {
            let Some(begin) = piece.iter().position(|byte| *byte != 0) else {
                continue;
            };
            let end = piece.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            // Memories of 64 bits are refused when a plugin is loaded, so that an address has 32.
            let address = ConstExpr::i32_const((at * PIECE + begin) as u32 as i32);
            data.active(index, &address, piece[begin..end].iter().copied());
        }
    }
    (memories, data)
}

/// The instances, each with its module and the memories that it exports.
fn instances(seen: &WasmCoreDump, mut store: impl AsContextMut) -> CoreDumpInstancesSection {
    let begins: Vec<_> = seen.memories().iter().map(|memory| memory.data_ptr(&store)).collect();
    let mut instances = CoreDumpInstancesSection::new();
    for instance in seen.instances() {
        let of = instance.module(store.as_context());
        let module = seen
            .modules()
            .iter()
            .position(|module| wasmtime::Module::same(module, of));
        let exports: Vec<_> = instance.exports(&mut store).map(Export::into_extern).collect();
        let memory_of = |export: Extern| {
            let begin = export.into_memory()?.data_ptr(&store);
            begins.iter().position(|known| *known == begin)
        };
        let memories: Vec<u32> = exports.into_iter().filter_map(memory_of).map(index).collect();
        instances.instance(module.map_or(NOT_THERE, index), memories, []);
    }
    instances
}

/// The stack, the innermost function first.
fn stack(seen: &WasmCoreDump, store: impl AsContext) -> CoreDumpStackSection {
    let mut stack = CoreDumpStackSection::new("main");
    for frame in seen.frames() {
        // Of several instances of a module it is the last: a frame does not say of which it is.
        let is_of = |instance: &Instance| wasmtime::Module::same(instance.module(store.as_context()), frame.module());
        let instance = seen.instances().iter().rposition(is_of);
        let offset = frame.func_offset().and_then(|offset| u32::try_from(offset).ok());
        let instance = instance.map_or(NOT_THERE, index);
        stack.frame(instance, frame.func_index(), offset.unwrap_or(0), [], []);
    }
    stack
}

/// wasmtime has no more than some thousands of anything in a store.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NOT_THERE)
}
