//! The aggregates, and what each of them keeps.

use std::mem::{Discriminant, discriminant};

use serde::{Deserialize, Serialize};

use super::distinct::{Distinct, Forget};
use super::found::{Found, Number, What, float};
use super::quantile::Sketch;
use super::small_list::SmallList;
use crate::state::{Codec, Postcard, wire};
use crate::window::Aggregate;
use crate::{Refusal, dead_letter, fail};

/// The aggregates of a configuration, all at once. What they amount to is the members of a JSON object, in their order:
/// `"views":3,"slowest":12`.
#[derive(Debug, Default)]
pub struct Tallies {
    pub(super) all: Vec<Tally>,
}

/// What the pointers of the aggregates met in a record.
#[derive(Debug, Default)]
pub struct Taken {
    pub(super) found: Vec<Option<Found>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Tally {
    /// As JSON writes it.
    name: String,
    makes: Makes,
    /// What is kept for it.
    keeps: Discriminant<Kept>,
    /// Its pointer's place in what was taken, and the pointer as it is written; nothing if it counts all records.
    of: Option<(usize, String)>,
}

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Makes {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    First,
    Last,
    Collect,
    Distinct,
    Quantile(f64),
}

/// What is kept of the values. There is one for each window and aggregate, of 24 bytes in a sandbox: what is larger
/// lies behind a pointer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Kept {
    Count(u64),
    Sum(Option<Total>),
    Avg(Box<Average>),
    Best(Option<Best>),
    One(Option<(u64, Box<str>)>),
    All(Vec<(u64, String)>),
    Distinct(Distinct),
    Quantile(Box<Sketch>),
}

/// Whole numbers and floats apart, so that whole ones stay exact.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Total {
    whole: i64,
    float: Option<f64>,
}

/// The sum of the whole numbers, that of the floats, and how many they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Average {
    whole: i128,
    float: f64,
    count: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Best {
    Number(Number),
    Text(Box<str>),
}

/// Takes back what a value that was added did.
#[derive(Debug, Default)]
pub(super) enum Back {
    #[default]
    Nothing,
    One,
    Total(Option<Total>),
    /// The whole number that an average got.
    Whole(i64),
    /// The sum of an average's floats before it got one.
    Floats(f64),
    Best(Option<Best>),
    /// The first or last one before.
    Json(Option<(u64, Box<str>)>),
    Distinct(Forget),
    /// The number that a quantile got.
    Number(f64),
}

impl Makes {
    /// Whether it asks for more than numbers.
    pub(super) fn wants_text(self) -> bool {
        !matches!(self, Self::Count | Self::Sum | Self::Avg | Self::Quantile(_))
    }

    fn empty(self) -> Kept {
        match self {
            Self::Count => Kept::Count(0),
            Self::Sum => Kept::Sum(None),
            Self::Min | Self::Max => Kept::Best(None),
            Self::Avg => Kept::Avg(Box::default()),
            Self::First | Self::Last => Kept::One(None),
            Self::Collect => Kept::All(Vec::new()),
            Self::Distinct => Kept::Distinct(Distinct::Few(Vec::new())),
            Self::Quantile(_) => Kept::Quantile(Box::default()),
        }
    }
}

impl Kept {
    /// As postcard reads it: counts and sums, which most windows keep, by hand, and over a count or a sum.
    #[inline]
    fn read(&mut self, from: &mut &[u8]) -> Option<()> {
        let (tag, rest) = from.split_first()?;
        match (*tag, &mut *self) {
            (COUNT, Self::Count(count)) => {
                *from = rest;
                *count = wire::read_u64(from)?;
            }
            (SUM, Self::Sum(total)) => {
                *from = rest;
                *total = wire::read_option(from, Total::read)?;
            }
            _ => (*self, *from) = postcard::take_from_bytes(from).ok()?,
        }
        Some(())
    }

    /// As postcard writes it.
    #[inline]
    fn write(&self, into: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::Count(count) => {
                into.push(COUNT);
                wire::write_u64(*count, into);
            }
            Self::Sum(total) => {
                into.push(SUM);
                wire::write_option(*total, into, Total::write);
            }
            _ => return Postcard::write(self, into),
        }
        Ok(())
    }
}

/// What the bytes of a count, and those of a sum, begin with: their places in [`Kept`].
const COUNT: u8 = 0;
const SUM: u8 = 1;

/// Two or three aggregates take so many bytes.
const MEMBERS_USUAL: usize = 64;

fn other_aggregates() -> Refusal {
    fail("the windows in the state have other aggregates than the configuration: give the operator a new state")
}

impl Tally {
    /// `of` is as in the field of this name.
    pub(super) fn new(name: String, makes: Makes, of: Option<(usize, String)>) -> Self {
        Self {
            name,
            makes,
            keeps: discriminant(&makes.empty()),
            of,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn add(&self, kept: &mut Kept, taken: &Taken, arrival: u64) -> Result<Back, Refusal> {
        let Some((of, _)) = &self.of else {
            return match kept {
                Kept::Count(count) => {
                    *count += 1;
                    Ok(Back::One)
                }
                _ => Err(other_aggregates()),
            };
        };
        let Some(found) = taken.found.get(*of).and_then(Option::as_ref) else {
            return Ok(Back::Nothing);
        };
        match kept {
            Kept::Count(count) => {
                *count += 1;
                Ok(Back::One)
            }
            Kept::Sum(total) => {
                let sum = Total::plus(*total, self.number(found)?)?;
                Ok(Back::Total(total.replace(sum)))
            }
            Kept::Avg(average) => average.add(self.number(found)?),
            Kept::Best(best) => {
                let found = self.comparable(found)?;
                match self.beats(&found, best.as_ref())? {
                    true => Ok(Back::Best(best.replace(found))),
                    false => Ok(Back::Nothing),
                }
            }
            Kept::One(one) => {
                let beats = one.as_ref().is_none_or(|(other, _)| self.prefers(arrival, *other));
                match beats {
                    true => Ok(Back::Json(one.replace((arrival, found.json.as_str().into())))),
                    false => Ok(Back::Nothing),
                }
            }
            Kept::All(all) => {
                all.push((arrival, found.json.clone()));
                Ok(Back::One)
            }
            Kept::Distinct(distinct) => Ok(Back::Distinct(distinct.add(found))),
            Kept::Quantile(sketch) => {
                let number = self.number(found)?.float();
                sketch.add(number);
                Ok(Back::Number(number))
            }
        }
    }

    fn number(&self, found: &Found) -> Result<Number, Refusal> {
        let number = found.number();
        number.ok_or_else(|| dead_letter(format!("the value at {} is no number", self.pointer())))
    }

    fn comparable(&self, found: &Found) -> Result<Best, Refusal> {
        match &found.what {
            What::Number(number) => Ok(Best::Number(*number)),
            What::Text(text) => Ok(Best::Text(text.as_str().into())),
            What::Other => {
                let pointer = self.pointer();
                Err(dead_letter(format!(
                    "the value at {pointer} is neither a number nor a text"
                )))
            }
        }
    }

    /// Whether it is less, or more, than the best until now.
    fn beats(&self, found: &Best, best: Option<&Best>) -> Result<bool, Refusal> {
        let order = match (found, best) {
            (_, None) => return Ok(true),
            (Best::Number(found), Some(Best::Number(best))) => found.order(*best),
            (Best::Text(found), Some(Best::Text(best))) => found.cmp(best),
            _ => {
                let pointer = self.pointer();
                return Err(dead_letter(format!(
                    "the values at {pointer} are numbers and texts: these do not compare"
                )));
            }
        };
        Ok(if self.makes == Makes::Min {
            order.is_lt()
        } else {
            order.is_gt()
        })
    }

    fn prefers(&self, arrival: u64, other: u64) -> bool {
        if self.makes == Makes::First {
            arrival < other
        } else {
            arrival > other
        }
    }

    fn pointer(&self) -> &str {
        self.of.as_ref().map_or("", |(_, pointer)| pointer)
    }

    fn merge(&self, kept: &mut Kept, other: Kept) -> Result<(), Refusal> {
        match (kept, other) {
            (Kept::Count(count), Kept::Count(other)) => *count += other,
            (Kept::Sum(total), Kept::Sum(other)) => {
                if let Some(other) = other {
                    let whole = Total::plus(*total, Number::Whole(other.whole))?;
                    *total = Some(match other.float {
                        Some(float) => Total::plus(Some(whole), Number::Float(float))?,
                        None => whole,
                    });
                }
            }
            (Kept::Avg(average), Kept::Avg(other)) => average.merge(&other)?,
            (Kept::Best(best), Kept::Best(Some(other))) => {
                if self.beats(&other, best.as_ref())? {
                    *best = Some(other);
                }
            }
            (Kept::One(one), Kept::One(Some(other))) => {
                if one.as_ref().is_none_or(|(arrival, _)| self.prefers(other.0, *arrival)) {
                    *one = Some(other);
                }
            }
            (Kept::Best(_), Kept::Best(None)) | (Kept::One(_), Kept::One(None)) => {}
            (Kept::All(all), Kept::All(others)) => {
                all.extend(others);
                all.sort_by_key(|(arrival, _)| *arrival);
            }
            (Kept::Distinct(distinct), Kept::Distinct(other)) => distinct.merge(other),
            (Kept::Quantile(sketch), Kept::Quantile(other)) => sketch.merge(*other),
            _ => return Err(other_aggregates()),
        }
        Ok(())
    }

    fn show(&self, kept: &Kept, into: &mut String) -> Result<(), Refusal> {
        match (self.makes, kept) {
            (Makes::Count, Kept::Count(count)) => into.push_str(&count.to_string()),
            (Makes::Distinct, Kept::Distinct(distinct)) => into.push_str(&distinct.count().to_string()),
            (Makes::Sum, Kept::Sum(Some(total))) => total.show(into)?,
            (Makes::Avg, Kept::Avg(average)) => average.show(into),
            (Makes::Min | Makes::Max, Kept::Best(Some(Best::Number(number)))) => number.write(into),
            (Makes::Min | Makes::Max, Kept::Best(Some(Best::Text(text)))) => {
                into.push_str(&serde_json::to_string(text)?);
            }
            (Makes::First | Makes::Last, Kept::One(Some((_, json)))) => into.push_str(json),
            (Makes::Collect, Kept::All(all)) => {
                let all: Vec<&str> = all.iter().map(|(_, json)| &json[..]).collect();
                into.push('[');
                into.push_str(&all.join(","));
                into.push(']');
            }
            (Makes::Quantile(at), Kept::Quantile(sketch)) => {
                into.push_str(&sketch.at(at).map_or_else(|| "null".to_owned(), float));
            }
            (Makes::Sum, Kept::Sum(None))
            | (Makes::Min | Makes::Max, Kept::Best(None))
            | (Makes::First | Makes::Last, Kept::One(None)) => into.push_str("null"),
            _ => return Err(other_aggregates()),
        }
        Ok(())
    }
}

fn finite(number: f64) -> Result<f64, Refusal> {
    match number.is_finite() {
        true => Ok(number),
        false => Err(dead_letter("the sum is beyond 64 bits")),
    }
}

impl Total {
    #[inline]
    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            whole: wire::read_i64(from)?,
            float: wire::read_option(from, |from| {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(f64::from_le_bytes(*bytes))
            })?,
        })
    }

    #[inline]
    fn write(self, into: &mut Vec<u8>) {
        wire::write_i64(self.whole, into);
        wire::write_option(self.float, into, |float, into| {
            into.extend_from_slice(&float.to_le_bytes())
        });
    }

    fn plus(total: Option<Self>, number: Number) -> Result<Self, Refusal> {
        let Self { whole, float } = total.unwrap_or(Self { whole: 0, float: None });
        Ok(match number {
            Number::Whole(number) => Self {
                whole: whole
                    .checked_add(number)
                    .ok_or_else(|| dead_letter("the sum is beyond 64 bits"))?,
                float,
            },
            Number::Float(number) => Self {
                whole,
                float: Some(finite(float.unwrap_or(0.0) + number)?),
            },
        })
    }

    fn show(self, into: &mut String) -> Result<(), Refusal> {
        match self.float {
            None => into.push_str(&self.whole.to_string()),
            Some(floats) => into.push_str(&float(finite(self.whole as f64 + floats)?)),
        }
        Ok(())
    }
}

impl Average {
    fn add(&mut self, number: Number) -> Result<Back, Refusal> {
        let back = match number {
            Number::Whole(number) => {
                self.whole += i128::from(number);
                Back::Whole(number)
            }
            Number::Float(number) => {
                let sum = finite(self.float + number)?;
                Back::Floats(std::mem::replace(&mut self.float, sum))
            }
        };
        self.count += 1;
        Ok(back)
    }

    fn merge(&mut self, other: &Self) -> Result<(), Refusal> {
        self.float = finite(self.float + other.float)?;
        self.whole += other.whole;
        self.count += other.count;
        Ok(())
    }

    fn show(&self, into: &mut String) {
        match self.count {
            0 => into.push_str("null"),
            count => into.push_str(&float((self.whole as f64 + self.float) / count as f64)),
        }
    }
}

impl Back {
    fn take(self, kept: &mut Kept) {
        match (self, kept) {
            (Self::One, Kept::Count(count)) => *count = count.saturating_sub(1),
            (Self::One, Kept::All(all)) => drop(all.pop()),
            (Self::Total(before), Kept::Sum(total)) => *total = before,
            (Self::Whole(number), Kept::Avg(average)) => {
                average.whole -= i128::from(number);
                average.count = average.count.saturating_sub(1);
            }
            (Self::Floats(before), Kept::Avg(average)) => {
                average.float = before;
                average.count = average.count.saturating_sub(1);
            }
            (Self::Best(before), Kept::Best(best)) => *best = before,
            (Self::Json(before), Kept::One(one)) => *one = before,
            (Self::Distinct(forget), Kept::Distinct(distinct)) => distinct.undo(forget),
            (Self::Number(number), Kept::Quantile(sketch)) => sketch.remove(number),
            _ => {}
        }
    }
}

impl Aggregate for Tallies {
    type Item = Taken;
    type State = Tallied;
    type Undo = Taking;
    type Output = Result<String, Refusal>;

    fn read_state(&self, from: &mut &[u8], into: &mut Tallied) -> Option<()> {
        let count = usize::try_from(wire::read_u64(from)?).ok()?;
        let Tallied(all) = into;
        if count != all.len() {
            return None;
        }
        all.iter_mut().try_for_each(|kept| kept.read(from))
    }

    fn write_state(&self, state: &Tallied, into: &mut Vec<u8>) -> Result<(), String> {
        wire::write_u64(state.0.len() as u64, into);
        state.0.iter().try_for_each(|kept| kept.write(into))
    }

    fn empty(&self) -> Tallied {
        Tallied(SmallList::of(self.all.len(), |at| self.all[at].makes.empty()))
    }

    fn add(&self, state: &mut Tallied, taken: &Taken, arrival: u64) -> Result<Taking, Refusal> {
        self.check(state)?;
        let mut undo = SmallList::of(self.all.len(), |_| Back::Nothing);
        for ((tally, kept), back) in self.all.iter().zip(state.0.iter_mut()).zip(undo.iter_mut()) {
            match tally.add(kept, taken, arrival) {
                Ok(done) => *back = done,
                Err(refusal) => {
                    self.undo(state, Taking(undo));
                    return Err(refusal);
                }
            }
        }
        Ok(Taking(undo))
    }

    fn undo(&self, state: &mut Tallied, mut undo: Taking) {
        let pairs = undo.0.iter_mut().zip(state.0.iter_mut());
        pairs.for_each(|(back, kept)| std::mem::take(back).take(kept));
    }

    fn merge(&self, state: &mut Tallied, mut other: Tallied) -> Result<(), Refusal> {
        self.check(state)?;
        self.check(&other)?;
        let others = other.0.iter_mut().map(|kept| std::mem::replace(kept, Kept::Count(0)));
        let pairs = self.all.iter().zip(state.0.iter_mut()).zip(others);
        let mut merged = pairs.map(|((tally, kept), other)| tally.merge(kept, other));
        merged.try_for_each(|merged| merged)
    }

    fn output(&self, state: &Tallied) -> Result<String, Refusal> {
        self.check(state)?;
        let mut members = String::with_capacity(MEMBERS_USUAL);
        for (tally, kept) in self.all.iter().zip(state.0.iter()) {
            if !members.is_empty() {
                members.push(',');
            }
            members.push_str(&tally.name);
            members.push(':');
            tally.show(kept, &mut members)?;
        }
        Ok(members)
    }
}

impl Tallies {
    /// A window may be older than the configuration.
    #[inline]
    fn check(&self, state: &Tallied) -> Result<(), Refusal> {
        let fits = |(tally, kept): (&Tally, &Kept)| tally.keeps == discriminant(kept);
        match state.0.len() == self.all.len() && self.all.iter().zip(state.0.iter()).all(fits) {
            true => Ok(()),
            false => Err(other_aggregates()),
        }
    }
}

/// What is kept of a window's records, an entry an aggregate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tallied(SmallList<Kept>);

/// Takes a record back, an entry an aggregate.
#[derive(Debug)]
pub struct Taking(SmallList<Back>);
