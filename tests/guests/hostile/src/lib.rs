//! Attacks on records whose value starts with `strike`, in the way that its configuration names, and passes the others.
//!
//! What cannot be said in Rust with the SDK (forged handles, pointers beyond memory, a `realloc` that lies) stands as
//! text in the folder `text`; what is wrong with a file as such the tests make.

mod endless;
mod floods;
mod kept;

use sandbar_sdk::prelude::*;

/// What it does, and where.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Attack {
    LoopInProcess,
    LoopInOpen,
    LoopInTimer,
    LoopOfHostCalls,
    MemoryBomb,
    SlowLeak,
    FillMemory,
    Recursion,
    ManyOutputs,
    LargeRecord,
    ManyHeaders,
    StrangeHeaders,
    UndeclaredOutput,
    ManyKeys,
    LargeKey,
    LargeValue,
    EmptyKey,
    LookAlikeKeys,
    FullScans,
    LogFlood,
    ForgedEvents,
    TrapAlways,
    TrapAtRecord,
    TrapAlternately,
    NanBits,
    NanMetric,
    WriteThenRefuse,
    WriteThenFail,
    RetryForEver,
    TimerStorm,
    TimerThatSetsItself,
    TimerInThePast,
    PanicFlood,
    BadTimes,
}

#[derive(Deserialize)]
struct Hostile {
    attack: Attack,
    /// What is never given back.
    #[serde(skip)]
    hoard: Vec<Vec<u8>>,
    #[serde(skip)]
    strikes: u64,
    #[serde(skip)]
    count: Value<u64>,
    #[serde(skip)]
    by: Map<Vec<u8>, Vec<u8>, Raw>,
    #[serde(skip)]
    soon: Timer,
    #[serde(skip)]
    later: Timer,
}

impl Plugin for Hostile {
    fn describe(description: Description) -> Description {
        description.gauge("figure", "what it measures")
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("count", |hostile| &mut hostile.count);
        stores.add("by", |hostile| &mut hostile.by);
    }

    fn timers(timers: &mut Timers<Self>) {
        timers.processing_time("soon", |hostile| &mut hostile.soon);
        timers.event_time("later", |hostile| &mut hostile.later);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        match self.attack {
            Attack::LoopInOpen => endless::spin(),
            _ => Ok(()),
        }
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let is_strike = event.bytes()?.starts_with(b"strike");
        if is_strike {
            self.strikes += 1;
            self.strike(event, out)?;
        }
        // Some attacks are seen in what a plugin keeps.
        let count = self.count.get(event)?.unwrap_or(0) + 1;
        self.count.set(event, &count)?;
        out.pass(event);
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        match self.attack {
            Attack::LoopInTimer => endless::spin(),
            Attack::TimerThatSetsItself => self.later.set(fired, fired.at())?,
            Attack::TimerInThePast => self.later.set(fired, i64::MIN)?,
            _ => {}
        }
        out.emit(fired.key(), "fired").timestamp(fired.at().max(0));
        Ok(())
    }
}

impl Hostile {
    fn strike(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        match self.attack {
            Attack::LoopInProcess => endless::spin(),
            Attack::LoopOfHostCalls => endless::call(&mut self.by, event),
            Attack::MemoryBomb => endless::hoard(),
            Attack::FillMemory => endless::fill(),
            Attack::Recursion => {
                endless::recurse(0);
                Ok(())
            }
            Attack::SlowLeak => {
                self.hoard.push(vec![1; 1 << 20]);
                Ok(())
            }
            Attack::TrapAlways | Attack::TrapAtRecord => trap("told to trap"),
            Attack::TrapAlternately if self.strikes % 2 == 1 => trap("told to trap each second time"),
            Attack::PanicFlood => trap(&"\u{1b}[2Jpanic\n".repeat(1 << 20)),
            Attack::LoopInTimer => self.soon.set(event, 0),
            Attack::TimerThatSetsItself | Attack::TimerInThePast => self.later.set(event, 0),
            Attack::TimerStorm => kept::storm(&mut self.later, event),
            Attack::ManyKeys => kept::many_keys(&mut self.by, event),
            Attack::LargeKey => self.by.put(event, &vec![b'k'; 1 << 20], &Vec::new()),
            Attack::LargeValue => self.by.put(event, b"k", &vec![b'v'; 2 << 20]),
            Attack::EmptyKey => kept::empty_key(&mut self.by, event, out),
            Attack::LookAlikeKeys => kept::look_alikes(&mut self.by, event, out),
            Attack::FullScans => kept::full_scans(&mut self.by, event),
            Attack::WriteThenRefuse => {
                self.count.set(event, &1_000_000)?;
                Err(skip("written, and refused"))
            }
            Attack::WriteThenFail => {
                self.count.set(event, &1_000_000)?;
                Err(fail("written, and failed"))
            }
            Attack::RetryForEver => Err(retry("never well")),
            _ => {
                floods::put_out(self.attack, event, out);
                Ok(())
            }
        }
    }
}

#[expect(clippy::panic, reason = "this is its sin")]
fn trap(why: &str) -> ! {
    panic!("{why}")
}

sandbar_sdk::plugin!(Hostile);
