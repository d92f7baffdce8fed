//! Sets and clears timers by key as the words of a record's value tell it to, and says what fires.
//!
//! `a:10` sets timer `a` at 10, `-a:10` clears it, `p:10` sets one of the host's clock; `a:10>b:5` sets `a`, which sets
//! `b` at 5 when it fires first; `a:10!` traps when it fires; `refuse` refuses the record behind the words before it.
//! Each record puts out its value with the watermark that it saw, each firing `a@10` with the number of the key's
//! firings.

use sandbar_sdk::prelude::*;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Timed {
    #[serde(skip)]
    a: Timer,
    #[serde(skip)]
    b: Timer,
    #[serde(skip)]
    p: Timer,
    /// By timer and time, what is done when it fires.
    #[serde(skip)]
    then: Value<BTreeMap<String, String>>,
    #[serde(skip)]
    fired: Value<u64>,
}

impl Plugin for Timed {
    fn describe(description: Description) -> Description {
        description.keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("then", |timed| &mut timed.then);
        stores.add("fired", |timed| &mut timed.fired);
    }

    fn timers(timers: &mut Timers<Self>) {
        // Neither the order of the names nor that of their numbers is left to chance.
        timers.event_time("b", |timed| &mut timed.b);
        timers.event_time("a", |timed| &mut timed.a);
        timers.processing_time("p", |timed| &mut timed.p);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let text = event.text()?;
        for word in text.split_whitespace() {
            match word {
                "refuse" => return Err(dead_letter("told to refuse")),
                word => self.obey(event, word)?,
            }
        }
        let watermark = match event.watermark() {
            i64::MIN => "none".to_owned(),
            stands => stands.to_string(),
        };
        out.emit(event.key(), format!("{text} at {watermark}"));
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        let what = format!("{}@{}", fired.name(), fired.at());
        let count = self.fired.get(fired)?.unwrap_or(0) + 1;
        self.fired.set(fired, &count)?;
        let mut all = self.then.get(fired)?.unwrap_or_default();
        let then = all.remove(&what);
        if then.is_some() {
            self.then.set(fired, &all)?;
        }
        match then.as_deref() {
            Some("!") => panic!("told to trap"),
            Some(word) => self.obey(fired, word)?,
            None => {}
        }
        out.emit(fired.key(), format!("{what} #{count}"));
        Ok(())
    }
}

impl Timed {
    fn obey(&mut self, of: &impl Keyed, word: &str) -> Result<(), Refusal> {
        let (first, then) = match (word.split_once('>'), word.strip_suffix('!')) {
            (Some((first, then)), _) => (first, Some(then)),
            (None, Some(first)) => (first, Some("!")),
            (None, None) => (word, None),
        };
        let Some((name, at)) = first.split_once(':') else {
            return Ok(());
        };
        let at: i64 = at.parse().map_err(|_| dead_letter("no time"))?;
        match name {
            "a" => self.a.set(of, at)?,
            "b" => self.b.set(of, at)?,
            "p" => self.p.set(of, at)?,
            "-a" => self.a.clear(of, at)?,
            "-b" => self.b.clear(of, at)?,
            _ => return Err(dead_letter("no timer")),
        }
        if let Some(then) = then {
            let mut all = self.then.get(of)?.unwrap_or_default();
            all.insert(format!("{name}@{at}"), then.to_owned());
            self.then.set(of, &all)?;
        }
        Ok(())
    }
}

sandbar_sdk::plugin!(Timed);
