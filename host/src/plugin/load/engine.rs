//! The one wasmtime configuration, each setting with its reason, and what the plugins share that are loaded with it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, Strategy};

use super::cache::Cache;
use super::deadlines::{TICK, Ticker};
use super::watch::{FRAMES, GuestWatch, LOOK, Samples};
use crate::config::{CompileCache, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::plugin::fault::CoreDumps;
use crate::plugin::host_calls::Guest;
use crate::plugin::world;

/// Compiles plugins and holds what their instances share. One a process; clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

/// What the plugins of an engine, and their instances, share.
pub(in crate::plugin) struct Shared {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
    pub(super) cache: Option<Cache>,
    pub(in crate::plugin) watch: GuestWatch,
    /// An instance holds it as well: deadlines pass for as long as one lives.
    pub(in crate::plugin) ticker: Arc<Ticker>,
}

impl Engine {
    /// An engine that keeps compiled plugins in a cache, if one is given. One that cannot be written is a warning and
    /// costs time, nothing else. Fails if the machine cannot run WebAssembly or start a thread.
    pub fn new(cache: Option<CompileCache>) -> Result<Self> {
        Self::watching(GuestWatch::Nothing, &settings(), cache)
    }

    /// The engine for a pipeline: with its cache, and with core dumps if it asks for them. A run, the cases and all
    /// else that loads its plugins take them from one cache.
    ///
    /// # Errors
    /// As [`new`](Self::new). `Unwritable`: the folder of core dumps cannot be made.
    pub fn of(pipeline: &Pipeline) -> Result<Self> {
        let cache = Some(pipeline.compile_cache.clone());
        let Some(folder) = &pipeline.core_dumps else {
            return Self::new(cache);
        };
        Self::watching_traps(folder.clone(), cache)
    }

    /// An engine that writes core dumps of guests at fault into a folder.
    pub(in crate::plugin) fn watching_traps(core_dumps: PathBuf, cache: Option<CompileCache>) -> Result<Self> {
        let mut config = settings();
        config.coredump_on_trap(true);
        let watch = GuestWatch::Traps(CoreDumps::into(core_dumps)?);
        Self::watching(watch, &config, cache)
    }

    /// An engine whose guests a debugger can stop at lines of their sources, if this process runs under one: it
    /// compiles what they carry as DWARF to what gdb and lldb read, and gives them all the time that a person needs.
    /// Nothing checks DWARF: it is for plugins that one has built oneself.
    pub fn debugged() -> Result<Self> {
        let mut config = settings();
        config
            .debug_info(true)
            .cranelift_opt_level(OptLevel::None)
            .epoch_interruption(false);
        Self::watching(GuestWatch::Nothing, &config, None)
    }

    /// An engine that counts the instructions of its guests: see [`Stats`](crate::plugin::Stats). They are slower.
    pub fn counting() -> Result<Self> {
        let mut config = settings();
        // How many instructions a guest carries out does not depend on how well they are compiled.
        config.consume_fuel(true).cranelift_opt_level(OptLevel::None);
        Self::watching(GuestWatch::Instructions, &config, None)
    }

    /// An engine that takes a profile of one plugin's guests, from [`Plugin::begin_profile`] to
    /// [`Plugin::end_profile`]. A call may take longer in it than its call-time, and never less.
    ///
    /// [`Plugin::begin_profile`]: super::Plugin::begin_profile
    /// [`Plugin::end_profile`]: super::Plugin::end_profile
    pub fn sampling() -> Result<Self> {
        let mut config = settings();
        config.wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES));
        Self::watching(GuestWatch::Samples(Samples::default()), &config, None)
    }

    fn watching(watch: GuestWatch, settings: &Config, cache: Option<CompileCache>) -> Result<Self> {
        let wasmtime = wasmtime::Engine::new(settings).map_err(unusable)?;
        let mut linker = Linker::new(&wasmtime);
        world::grant(&mut linker).map_err(unusable)?;
        let every = match watch {
            GuestWatch::Samples(_) => LOOK,
            GuestWatch::Nothing | GuestWatch::Instructions | GuestWatch::Traps(_) => TICK,
        };
        let ticker = Arc::new(Ticker::start(&wasmtime, every)?);
        let cache = cache.map(|cache| Cache::new(cache, &wasmtime));
        Ok(Self {
            shared: Arc::new(Shared {
                wasmtime,
                linker,
                cache,
                watch,
                ticker,
            }),
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn settings() -> Config {
    let mut config = Config::new();
    engine_and_memory(&mut config);
    interruption_and_traps(&mut config);
    proposals(&mut config);
    config
}

fn engine_and_memory(config: &mut Config) {
    config
        // Cranelift alone is meant for code that nobody trusts; Winch had more escapes than years.
        .strategy(Strategy::Cranelift)
        // A plugin is compiled once and called for weeks.
        .cranelift_opt_level(OptLevel::Speed)
        // The bits of a NaN are the one thing in which two machines may differ; a replay must not.
        .cranelift_nan_canonicalization(true)
        // Instances live for hours, so pooling would save nothing, and it is where memory leaked from one guest to
        // another.
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        // The whole 32-bit range is reserved (address space, not memory) with a guard behind it: an access needs no
        // bounds check, and memory that grows never moves.
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_may_move(false)
        // The new instance after a trap maps the data segments instead of copying them.
        .memory_init_cow(true)
        // Plugins are synchronous: without tasks and their bookkeeping a host call is 130 ns cheaper.
        .concurrency_support(false);
}

fn interruption_and_traps(config: &mut Config) {
    config
        // Deadlines by epoch: a load and a compare at each loop and function, half the price of fuel or less.
        .epoch_interruption(true)
        // Deep recursion traps here, well before the worker's own stack ends.
        .max_wasm_stack(512 << 10)
        // A fault names the guest's functions; sixteen of them tell where it was.
        .wasm_backtrace_max_frames(NonZeroUsize::new(16));
}

/// On is what compilers emit today by default: the first version and its small additions, and SIMD. Several memories
/// are what wasmtime itself needs between the parts of a component that is composed of others. What is off was not
/// asked for by anybody and is where the advisories of the last years were.
fn proposals(config: &mut Config) {
    config
        .wasm_simd(true)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        // Two processors may round a relaxed operation differently, and a replay must not.
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_multi_memory(true)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false)
        .wasm_shared_everything_threads(false)
        .wasm_gc(false)
        .gc_support(false);
}

fn unusable(why: wasmtime::Error) -> Error {
    Error::new(
        Kind::Failed,
        "failed to set up the WebAssembly engine",
        format!("{why:#}"),
    )
}
