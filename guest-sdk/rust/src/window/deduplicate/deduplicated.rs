//! Deduplication as a plugin has it: a field, declared with its stores.

use serde::Deserialize;

use super::group::{LastRecord, RecordGroup};
use crate::state::EndKey;
use crate::window::Span;
use crate::{Event, Fired, Map, Refusal, Stores, Timer, dead_letter, fail};

/// Tells records that are the first of their group from those that came again. A field of the plugin, declared by
/// [`Stores::deduplicated`], and opened in [`Plugin::open`](crate::Plugin::open).
#[derive(Debug, Default)]
pub struct Deduplicated {
    within: Option<(i64, Keep)>,
    groups: Map<Vec<u8>, Vec<RecordGroup>>,
    ends: Map<EndKey, ()>,
    timer: Timer,
}

/// Which record of a group is to come out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The one that arrived first, at once.
    #[default]
    First,
    /// The one that arrived last, when the group is over.
    Last,
}

/// What a record is in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// It is the first.
    First,
    /// There was one before.
    Again,
    /// Whether there was one before is not known any more: event time has reached the record's time, so its group may
    /// be forgotten.
    Late,
}

impl<P: 'static> Stores<P> {
    /// Declares deduplication: a map store and a timer of event time of the name `groups`, and a map store of the name
    /// `ends` for the moments at which groups are over.
    pub fn deduplicated(&mut self, groups: &'static str, ends: &'static str, field: fn(&mut P) -> &mut Deduplicated) {
        self.add_part(groups, field, |seen| &mut seen.groups);
        self.add_part(ends, field, |seen| &mut seen.ends);
        self.add_timer(groups, field, |seen| &mut seen.timer);
    }
}

impl Deduplicated {
    /// Says how far in time a record of a group may lie from the first one that came, before it and behind it, both
    /// inclusive.
    ///
    /// # Errors
    /// The length of time is negative.
    pub fn open(&mut self, within: Span, keep: Keep) -> Result<(), Refusal> {
        if within.ms() < 0 {
            let within = within.ms();
            return Err(fail(format!(
                "`within` is {within} ms: a length of time is not negative"
            )));
        }
        self.within = Some((within.ms(), keep));
        Ok(())
    }

    /// A record comes. `id` is what it has in common with the others of its group, beside the key. If several groups
    /// take it, it belongs to the one of the oldest first record.
    ///
    /// # Errors
    /// A record without a key, or with an `id` of more than 4088 bytes, is a dead letter.
    pub fn add(&mut self, event: &Event, id: &[u8]) -> Result<Sighting, Refusal> {
        let (within, keep) = self.within.ok_or_else(|| fail("a deduplication was not opened"))?;
        if id.len() > EndKey::ID_BYTES_MAX {
            let bytes = id.len();
            return Err(dead_letter(format!(
                "what tells the record from others has {bytes} bytes, {} at most",
                EndKey::ID_BYTES_MAX
            )));
        }
        let time = event.timestamp();
        let mut groups = self.groups.get(event, id)?.unwrap_or_default();
        let last = (keep == Keep::Last).then(|| LastRecord::of(event));
        let takes = |group: &&mut RecordGroup| group.first.abs_diff(time) <= within.unsigned_abs();
        if let Some(group) = groups.iter_mut().find(takes) {
            if last.is_some() {
                group.last = last;
                self.groups.put(event, id, &groups)?;
            }
            return Ok(Sighting::Again);
        }
        if time <= event.watermark() {
            return Ok(Sighting::Late);
        }
        let (first, end) = (time, time.saturating_add(within));
        let at = groups.partition_point(|group| group.first < first);
        groups.insert(at, RecordGroup { first, end, last });
        self.groups.put(event, id, &groups)?;
        let id = id.to_vec();
        self.ends.put(event, &EndKey { at: end, id }, &())?;
        self.timer.set(event, end)?;
        Ok(Sighting::First)
    }

    /// The groups that are over at the time of a timer are forgotten, in the order of their ids; `put` takes the last
    /// record of each, if that is kept. Nothing happens if it is another one's timer.
    ///
    /// # Errors
    /// State that cannot be read stops the pipeline.
    pub fn fire(&mut self, fired: &Fired, mut put: impl FnMut(&LastRecord)) -> Result<(), Refusal> {
        if !fired.is(&self.timer) {
            return Ok(());
        }
        let ends = self.ends.scan(fired, &EndKey::moment(fired.at()))?;
        let ends: Vec<EndKey> = ends.map(|entry| Ok(entry?.0)).collect::<Result<_, Refusal>>()?;
        for end in ends {
            let mut groups = self.groups.get(fired, &end.id)?.unwrap_or_default();
            let over = groups.partition_point(|group| group.end <= end.at);
            let over: Vec<RecordGroup> = groups.drain(..over).collect();
            over.iter().filter_map(|group| group.last.as_ref()).for_each(&mut put);
            match groups.is_empty() {
                true => self.groups.delete(fired, &end.id)?,
                false => self.groups.put(fired, &end.id, &groups)?,
            }
            self.ends.delete(fired, &end)?;
        }
        Ok(())
    }
}
