//! The one wasmtime configuration, each setting with its reason, and the thread that makes deadlines pass.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, Strategy};

use super::cache::Cache;
use super::loaded::Plugin;
use crate::error::{Error, Kind, Result};
use crate::plugin::host_calls::Guest;
use crate::plugin::world;

/// How often deadlines are looked at. A call overruns its time by at most this, and by one bulk operation over its
/// whole memory.
const TICK: Duration = Duration::from_millis(10);

/// Compiles plugins and holds what their instances share. One a process; clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
    pub(super) cache: Option<Cache>,
    _ticker: Ticker,
}

impl Engine {
    /// An engine that keeps compiled plugins in `cache_dir`, if one is given. A cache that cannot be used is a
    /// warning and costs time, nothing else. Fails if the machine cannot run WebAssembly or start a thread.
    pub fn new(cache_dir: Option<PathBuf>) -> Result<Self> {
        let wasmtime = wasmtime::Engine::new(&settings()).map_err(unusable)?;
        let mut linker = Linker::new(&wasmtime);
        world::grant(&mut linker).map_err(unusable)?;
        let ticker = Ticker::start(&wasmtime)?;
        let cache = cache_dir.map(|dir| Cache::new(dir, &wasmtime));
        Ok(Self {
            shared: Arc::new(Shared {
                wasmtime,
                linker,
                cache,
                _ticker: ticker,
            }),
        })
    }

    /// Reads, checks and compiles a plugin, and asks it what it is. Every way in which a file is no plugin has its own
    /// sentence (`Kind::Plugin`); what a component imports is looked at before it is compiled.
    pub fn load(&self, path: &Path) -> Result<Plugin> {
        Plugin::load(self.shared.clone(), path)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Epochs from now until a call of this length is over: never less than its time, at most a tick more.
pub(in crate::plugin) fn ticks(time: Duration) -> u64 {
    let whole = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(whole).unwrap_or(u64::MAX / 2).min(u64::MAX / 2) + 1
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

/// On is what compilers emit today by default: the first version and its small additions, and SIMD. What is off was not
/// asked for by anybody and is where the advisories of the last years were.
fn proposals(config: &mut Config) {
    config
        .wasm_simd(true)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        // Two processors may round a relaxed operation differently, and a replay must not.
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false)
        .wasm_shared_everything_threads(false)
        .wasm_gc(false)
        .gc_support(false);
}

/// Counts the epoch up for as long as it lives.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &wasmtime::Engine) -> Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.clone();
        let thread = std::thread::Builder::new()
            .name("epochs".to_owned())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                    engine.increment_epoch();
                }
            })
            .map_err(|why| Error::new(Kind::Failed, "failed to start the thread for plugins' deadlines", why))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only counts; it cannot have failed.
            let _ = thread.join();
        }
    }
}

fn unusable(why: wasmtime::Error) -> Error {
    Error::new(
        Kind::Failed,
        "failed to set up the WebAssembly engine",
        format!("{why:#}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked_for() {
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_secs(1)), 101);
        assert_eq!(ticks(Duration::MAX), u64::MAX / 2 + 1);
    }
}
