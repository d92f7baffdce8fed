//! Wasm core dumps: the memory of a guest at fault and the functions on its stack, in the format of WebAssembly's tool
//! conventions: <https://github.com/WebAssembly/tool-conventions/blob/main/Coredump.md>.
//!
//! wasmtime has a writer of this format too. That one panics at a component that is composed of several with memories
//! of their own, and a guest could have itself dumped just for that.

//!
//! Always: what a guest holds is written as it is read, without a copy of it; and only so much that a disk does not
//! fill up, whatever the guest does and however often it is started again.

use std::fs::{File, OpenOptions, create_dir_all, read_dir, remove_file};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasm_encoder::{
    CoreDumpInstancesSection, CoreDumpModulesSection, CoreDumpSection, CoreDumpStackSection, Encode, MemorySection,
    MemoryType, Module, Section, SectionId,
};
use wasmtime::{AsContext, AsContextMut, Export, Extern, Instance, WasmCoreDump};

use super::backtrace::on_one_line;
use crate::error::{Error, Kind, Result};

/// Dumps that a folder takes: whoever has read so many knows what is wrong.
const MOST: usize = 20;
/// Bytes of memory that are dumped; of a guest that has more there is no dump.
const MEMORY_BYTES: u64 = 1 << 30;
/// Memory is written in pieces of so many bytes, or of a multiple of it, each without the zeroes at its ends.
const PIECE: usize = 4096;
/// Pieces, at most: readers take 100,000.
const PIECES: usize = 50_000;
/// The index of what the dump does not have.
const NOT_THERE: u32 = u32::MAX;
/// Opcodes of the WebAssembly specification.
const I32_CONST: u8 = 0x41;
const END: u8 = 0x0b;

/// Where core dumps go. Clones count the same dumps.
#[derive(Debug, Clone)]
pub(in crate::plugin) struct CoreDumps {
    folder: Arc<Path>,
    /// Those that are there, and those that were tried.
    taken: Arc<AtomicUsize>,
}

impl CoreDumps {
    /// Into a folder, which is made if it is not there. Fails if it cannot be.
    pub(in crate::plugin) fn into(folder: PathBuf) -> Result<Self> {
        let made = create_dir_all(&folder).and_then(|()| {
            let names = read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path()));
            let is_dump = |path: &PathBuf| path.extension().is_some_and(|end| end == "coredump");
            Ok(names
                .collect::<io::Result<Vec<_>>>()?
                .iter()
                .filter(|path| is_dump(path))
                .count())
        });
        let there = made.map_err(|error| {
            let what = format!("failed to make the folder of core dumps `{}`", folder.display());
            Error::new(Kind::Unwritable, what, error)
        })?;
        Ok(Self {
            folder: folder.into(),
            taken: Arc::new(AtomicUsize::new(there)),
        })
    }

    /// Writes a dump, and says how its file is called: `NAME.coredump`, or with a number behind the name, for it takes
    /// no other's place. None if the folder has enough of them, or if it cannot be written: that is a warning, for the
    /// record's outcome does not depend on it.
    pub(in crate::plugin) fn write(
        &self,
        name: &str,
        dump: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Option<String> {
        let one_more = |taken: usize| (taken < MOST).then_some(taken + 1);
        let before = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        if before + 1 == MOST {
            let folder = self.folder.display();
            tracing::warn!(%folder, "no more core dumps are written there: {MOST} are the most");
        }
        let told = self.create(name).and_then(|(file_name, file)| {
            let mut file = BufWriter::new(file);
            let written = dump(&mut file).and_then(|()| file.flush());
            written.inspect_err(|_| {
                let _it_says_why_the_dump_failed = remove_file(self.folder.join(&file_name));
            })?;
            Ok(file_name)
        });
        match told {
            Ok(file_name) => {
                tracing::info!(path = %self.folder.join(&file_name).display(), "wrote a core dump");
                Some(file_name)
            }
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "failed to write a core dump");
                None
            }
        }
    }

    fn create(&self, name: &str) -> io::Result<(String, File)> {
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
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                opened => return opened.map(|file| (file_name, file)),
            }
        }
    }
}

/// Writes a dump: all memories, all modules and instances, and the stack. wasmtime does not know the values of locals,
/// nor which instance has which global: neither is there. An error: it cannot be written, or the memory is too large.
pub(in crate::plugin) fn write_core_dump(
    seen: &WasmCoreDump,
    mut store: impl AsContextMut,
    name: &str,
    into: &mut dyn Write,
) -> io::Result<()> {
    let mut store = store.as_context_mut();
    let mut dump = Module::new();
    dump.section(&CoreDumpSection::new(on_one_line(name)))
        .section(&memories(seen, &store));
    into.write_all(&dump.finish())?;
    write_data(seen, &store, into)?;
    let mut modules = CoreDumpModulesSection::new();
    for module in seen.modules() {
        modules.module(on_one_line(module.name().unwrap_or("<unknown>")));
    }
    let mut behind = Vec::new();
    modules.append_to(&mut behind);
    instances(seen, &mut store).append_to(&mut behind);
    stack(seen, &store).append_to(&mut behind);
    into.write_all(&behind)
}

fn memories(seen: &WasmCoreDump, store: impl AsContext) -> MemorySection {
    let mut memories = MemorySection::new();
    for memory in seen.memories() {
        let of = memory.ty(&store);
        memories.memory(MemoryType {
            minimum: memory.size(&store),
            maximum: of.maximum(),
            memory64: of.is_64(),
            shared: of.is_shared(),
            page_size_log2: None,
        });
    }
    memories
}

/// What the memories hold: a data section, whose length stands before it, so that it is gone through twice.
fn write_data(seen: &WasmCoreDump, store: impl AsContext, into: &mut dyn Write) -> io::Result<()> {
    let bytes: usize = seen.memories().iter().map(|memory| memory.data_size(&store)).sum();
    if bytes as u64 > MEMORY_BYTES {
        let why = format!("its memory has {bytes} bytes; of more than {MEMORY_BYTES} there is no dump");
        return Err(io::Error::other(why));
    }
    let size = bytes.div_ceil(PIECES).next_multiple_of(PIECE);
    let pieces: Vec<_> = (0..)
        .zip(seen.memories())
        .flat_map(|(index, memory)| pieces(index, memory.data(&store), size))
        .collect();
    let length: usize = pieces.iter().map(|(head, held)| head.len() + held.len()).sum();
    let (mut head, mut count) = (Vec::new(), Vec::new());
    pieces.len().encode(&mut count);
    head.push(SectionId::Data.into());
    (count.len() + length).encode(&mut head);
    into.write_all(&head)?;
    into.write_all(&count)?;
    for (head, held) in pieces {
        into.write_all(&head)?;
        into.write_all(held)?;
    }
    Ok(())
}

/// A memory's pieces that hold something: each with what stands before it, an active segment's head.
fn pieces(memory: u32, data: &[u8], size: usize) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
    let pieces = (0..).zip(data.chunks(size.max(PIECE)));
    pieces.filter_map(move |(at, piece)| {
        let begin = piece.iter().position(|byte| *byte != 0)?;
        let end = piece.iter().rposition(|byte| *byte != 0)? + 1;
        let held = &piece[begin..end];
        let mut head = Vec::new();
        match memory {
            0 => head.push(0),
            _ => {
                head.push(2);
                memory.encode(&mut head);
            }
        }
        // Memories of 64 bits are refused when a plugin is loaded, so that an address has 32.
        head.push(I32_CONST);
        ((at * size.max(PIECE) + begin) as u32 as i32).encode(&mut head);
        head.push(END);
        held.len().encode(&mut head);
        Some((head, held))
    })
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
