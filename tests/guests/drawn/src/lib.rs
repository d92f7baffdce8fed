//! Does what a program says that is drawn by chance from the seed in its configuration: a few steps for each kind of
//! record and for each timer, which change what is kept of the key, set and clear timers, and put out what they find.
//!
//! A record's value is a number, and its rest by the number of kinds is its kind.

use sandbar_sdk::prelude::*;
use std::fmt::Write;

/// Kinds of records; the programs behind theirs are those of the two timers.
const KINDS: usize = 6;
const STEPS_MAX: u64 = 7;
/// A firing sets no timer from so many firings of its key on: else time would never end.
const CHAIN_MAX: u64 = 30;
const NAMES: [&str; 4] = ["", "a", "ab", "b"];

/// What is done; numbers and times are those drawn, times behind the record's or the firing's own.
enum DrawnStep {
    Add(i64),
    Forget,
    Push(i64),
    Clear,
    Put(&'static str, i64),
    Delete(&'static str),
    Set {
        is_early: bool,
        after: i64,
    },
    Unset {
        is_early: bool,
        after: i64,
    },
    Emit,
    /// The next step only if the value that is kept is even.
    IfEven,
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drawn {
    seed: u64,
    #[serde(skip)]
    programs: Vec<Vec<DrawnStep>>,
    #[serde(skip)]
    value: Value<i64>,
    #[serde(skip)]
    list: List<i64>,
    #[serde(skip)]
    map: Map<String, i64>,
    #[serde(skip)]
    fired: Value<u64>,
    #[serde(skip)]
    early: Timer,
    #[serde(skip)]
    late: Timer,
}

impl Plugin for Drawn {
    fn describe(description: Description) -> Description {
        description
            .config_schema(r#"{ "type": "object", "properties": { "seed": { "type": "integer" } } }"#)
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("value", |drawn| &mut drawn.value);
        stores.add("list", |drawn| &mut drawn.list);
        stores.add("map", |drawn| &mut drawn.map);
        stores.add("fired", |drawn| &mut drawn.fired);
    }

    fn timers(timers: &mut Timers<Self>) {
        timers.event_time("late", |drawn| &mut drawn.late);
        timers.event_time("early", |drawn| &mut drawn.early);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        let mut chance = Chance(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        self.programs = (0..KINDS + 2)
            .map(|kind| {
                let steps = 1 + chance.below(STEPS_MAX);
                let mut program: Vec<_> = (0..steps).map(|_| chance.step(kind < KINDS)).collect();
                // Whatever was drawn, it can be seen.
                program.push(DrawnStep::Emit);
                program
            })
            .collect();
        Ok(())
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let number: i64 = event.text()?.parse().map_err(|_| fail("a value is a number"))?;
        let kind = number.rem_euclid(KINDS as i64) as usize;
        let said = format!("{number} at {}", event.watermark());
        for text in self.run(event, kind, event.timestamp(), true, &said)? {
            out.emit(event.key(), text);
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        let count = self.fired.get(fired)?.unwrap_or(0) + 1;
        self.fired.set(fired, &count)?;
        let kind = KINDS + usize::from(fired.is(&self.late));
        let said = format!("{}@{}", fired.name(), fired.at());
        for text in self.run(fired, kind, fired.at(), count < CHAIN_MAX, &said)? {
            out.emit(fired.key(), text).timestamp(fired.at());
        }
        Ok(())
    }
}

impl Drawn {
    /// What a program puts out.
    fn run(
        &mut self,
        of: &impl Keyed,
        kind: usize,
        now: i64,
        may_set: bool,
        said: &str,
    ) -> Result<Vec<String>, Refusal> {
        let program = std::mem::take(&mut self.programs[kind]);
        let mut texts = Vec::new();
        let mut steps = program.iter();
        let mut answer = Ok(());
        while let (Ok(()), Some(step)) = (&answer, steps.next()) {
            answer = match step {
                DrawnStep::IfEven => self.value.get(of).map(|value| {
                    if value.unwrap_or(0) % 2 != 0 {
                        steps.next();
                    }
                }),
                DrawnStep::Emit => self.tell(of).map(|kept| texts.push(format!("{said}: {kept}"))),
                DrawnStep::Set { .. } if !may_set => Ok(()),
                step => self.take(of, step, now),
            };
        }
        self.programs[kind] = program;
        answer.map(|()| texts)
    }

    fn take(&mut self, of: &impl Keyed, step: &DrawnStep, now: i64) -> Result<(), Refusal> {
        match *step {
            DrawnStep::Add(number) => {
                let value = self.value.get(of)?.unwrap_or(0);
                self.value.set(of, &value.wrapping_add(number))
            }
            DrawnStep::Forget => self.value.delete(of),
            DrawnStep::Push(number) => self.list.push(of, &number),
            DrawnStep::Clear => self.list.clear(of),
            DrawnStep::Put(name, number) => self.map.put(of, name, &number),
            DrawnStep::Delete(name) => self.map.delete(of, name),
            DrawnStep::Set { is_early: true, after } => self.early.set(of, now.saturating_add(after)),
            DrawnStep::Set { after, .. } => self.late.set(of, now.saturating_add(after)),
            DrawnStep::Unset { is_early: true, after } => self.early.clear(of, now.saturating_add(after)),
            DrawnStep::Unset { after, .. } => self.late.clear(of, now.saturating_add(after)),
            DrawnStep::Refuse => Err(skip("the program refuses it")),
            DrawnStep::Emit | DrawnStep::IfEven => Ok(()),
        }
    }

    fn tell(&mut self, of: &impl Keyed) -> Result<String, Refusal> {
        let list = self.list.items(of)?;
        // A list that is told whole makes outputs that grow and grow.
        let (count, last) = (list.len(), &list[list.len().saturating_sub(3)..]);
        let mut text = format!("{:?} {count}{last:?}", self.value.get(of)?);
        for entry in self.map.scan(of, b"")? {
            let (name, number) = entry?;
            _ = write!(text, " {name}={number}");
        }
        _ = write!(text, " {:?}", self.map.get(of, "ab")?);
        Ok(text)
    }
}

/// Numbers by chance that a seed repeats (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn step(&mut self, is_record: bool) -> DrawnStep {
        let number = self.below(1000) as i64;
        let name = NAMES[self.below(NAMES.len() as u64) as usize];
        // Few times, so that one clears what another has set.
        let (is_early, after) = (self.below(2) == 0, 100 * (1 + self.below(5) as i64));
        match self.below(20) {
            0..4 => DrawnStep::Add(number),
            4 => DrawnStep::Forget,
            5..8 => DrawnStep::Push(number),
            8 => DrawnStep::Clear,
            9..12 => DrawnStep::Put(name, number),
            12 => DrawnStep::Delete(name),
            13..16 => DrawnStep::Set { is_early, after },
            16 => DrawnStep::Unset { is_early, after },
            17 => DrawnStep::Emit,
            18 if is_record => DrawnStep::Refuse,
            _ => DrawnStep::IfEven,
        }
    }
}

sandbar_sdk::plugin!(Drawn);
