//! What is noted of guests while they run, beside what comes of their calls: nothing in a run, and for `sandbar bench`
//! how many instructions they carry out, or in which functions they are a thousand times a second. For `--core-dump`
//! what they hold if they trap.
//!
//! Samples are taken here, and not by wasmtime's profiler of guests: the feature that it needs has the whole compiler
//! built anew, and C code beside it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::{AsContext, FrameInfo, WasmBacktrace};

use crate::clock;
use crate::plugin::fault::{CoreDumps, demangled};
use crate::plugin::limits::tame;

/// How often a guest is looked at for a profile.
pub(in crate::plugin) const LOOK: Duration = Duration::from_millis(1);
/// Functions of a stack that are noted, from the innermost on; a guest may go deeper.
pub(super) const FRAMES: usize = 200;
/// Bytes of a function's name that are told.
const FUNCTION_BYTES: usize = 512;

/// What the guests of an engine are watched for.
#[derive(Clone, Default)]
pub(in crate::plugin) enum GuestWatch {
    /// They are not.
    #[default]
    Nothing,
    /// The instructions that they carry out, by wasmtime's fuel.
    Instructions,
    /// The functions that they are in.
    Samples(Samples),
    /// What they hold if they trap.
    Traps(CoreDumps),
}

impl GuestWatch {
    /// Where core dumps go, if they are wanted.
    pub(in crate::plugin) fn core_dumps(&self) -> Option<&CoreDumps> {
        match self {
            Self::Traps(dumps) => Some(dumps),
            Self::Nothing | Self::Instructions | Self::Samples(_) => None,
        }
    }
}

/// The samples of one plugin, while some are taken. Clones take them into the same profile.
#[derive(Clone, Default)]
pub(in crate::plugin) struct Samples(Arc<Mutex<Option<Sampling>>>);

/// A profile on its way.
struct Sampling {
    began: Instant,
    functions: HashMap<String, usize>,
    stacks: HashMap<GuestStack, usize>,
    profile: GuestProfile,
}

/// Where the time of a plugin's guests went. Numbers are places in the profile's own lists.
#[derive(Debug, Clone, Default)]
pub struct GuestProfile {
    /// The names of functions: the guest's texts, fit for a terminal.
    pub functions: Vec<String>,
    /// Stacks of functions; a caller's stands before those that it called.
    pub stacks: Vec<GuestStack>,
    /// In the order in which they were taken.
    pub samples: Vec<GuestSample>,
}

/// A function, and the stack that it was called from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestStack {
    /// `None`: the host called it.
    pub caller: Option<usize>,
    /// The function.
    pub function: usize,
}

/// Where a guest was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestSample {
    /// Since the profile began.
    pub at: Duration,
    /// Its stack.
    pub stack: usize,
}

impl Samples {
    /// From now on the guest is looked at.
    pub(super) fn begin(&self) {
        *self.sampling() = Some(Sampling {
            began: clock::now(),
            functions: HashMap::new(),
            stacks: HashMap::new(),
            profile: GuestProfile::default(),
        });
    }

    /// Notes in which functions the guest is that this is called from.
    pub(in crate::plugin) fn take_one(&self, guest: impl AsContext) {
        if let Some(sampling) = &mut *self.sampling() {
            sampling.take(&WasmBacktrace::force_capture(guest));
        }
    }

    /// Ends the profile, if one was begun.
    pub(super) fn end(&self) -> Option<GuestProfile> {
        self.sampling().take().map(|sampling| sampling.profile)
    }

    fn sampling(&self) -> MutexGuard<'_, Option<Sampling>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sampling {
    fn take(&mut self, trace: &WasmBacktrace) {
        let mut caller = None;
        for frame in trace.frames().iter().rev() {
            let function = self.function(frame);
            caller = Some(self.stack(GuestStack { caller, function }));
        }
        if let Some(stack) = caller {
            let at = self.began.elapsed();
            self.profile.samples.push(GuestSample { at, stack });
        }
    }

    fn function(&mut self, frame: &FrameInfo) -> usize {
        let unnamed = || format!("function {}", frame.func_index());
        let name = frame.func_name().map_or_else(unnamed, str::to_owned);
        let functions = &mut self.profile.functions;
        *self.functions.entry(name).or_insert_with_key(|name| {
            functions.push(tame(&demangled(name, FUNCTION_BYTES), FUNCTION_BYTES).replace('\n', " "));
            functions.len() - 1
        })
    }

    fn stack(&mut self, stack: GuestStack) -> usize {
        let stacks = &mut self.profile.stacks;
        *self.stacks.entry(stack).or_insert_with(|| {
            stacks.push(stack);
            stacks.len() - 1
        })
    }
}
