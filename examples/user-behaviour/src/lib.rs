//! Tells how far each user came on the way to a purchase, by the times of the clicks, in whichever order they arrive.

use sandbar_sdk::prelude::*;
use sandbar_sdk::window::Span;

/// The output for clicks that are too late.
const LATE: u8 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Funnel {
    steps: Vec<String>,
    within: Span,
    /// Of each user the steps that no way took yet: when each was done, and which it was.
    #[serde(skip)]
    done: Value<Vec<(i64, usize)>>,
    /// Set to `within` behind each step: then whatever belongs to a way that begins with it has arrived.
    #[serde(skip)]
    over: Timer,
}

#[derive(Deserialize)]
struct Click {
    action: String,
}

/// How far a user came: from a first step to the last one that followed in time.
#[derive(Serialize)]
struct Way<'a> {
    start: i64,
    reached: &'a str,
    took: i64,
}

impl Plugin for Funnel {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["out", "late"])
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("done", |funnel| &mut funnel.done);
    }

    fn timers(timers: &mut Timers<Self>) {
        timers.event_time("over", |funnel| &mut funnel.over);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let click: Click = event.json()?;
        let Some(step) = self.steps.iter().position(|step| *step == click.action) else {
            return Ok(());
        };
        if event.timestamp() <= event.watermark() {
            out.pass(event).to(LATE);
            return Ok(());
        }
        let mut done = self.done.get(event)?.unwrap_or_default();
        done.push((event.timestamp(), step));
        self.done.set(event, &done)?;
        self.over.set(event, event.timestamp() + self.within.ms())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        let start = fired.at() - self.within.ms();
        let mut done = self.done.get(fired)?.unwrap_or_default();
        done.sort_unstable();
        // A step that no way took is of no use once it is so old.
        let mut end = start;
        if done.contains(&(start, 0)) {
            let (mut reached, mut took) = (0, 0);
            for (at, step) in done.iter().filter(|(at, _)| (start..=fired.at()).contains(at)) {
                if *step == reached + 1 {
                    (reached, took) = (*step, at - start);
                }
            }
            let is_complete = reached + 1 == self.steps.len();
            end = if is_complete { start + took } else { fired.at() };
            let reached = &self.steps[reached];
            out.emit_json(fired.key(), &Way { start, reached, took })?;
        }
        done.retain(|(at, _)| *at > end);
        if done.is_empty() {
            self.done.delete(fired)
        } else {
            self.done.set(fired, &done)
        }
    }
}

sandbar_sdk::plugin!(Funnel);
