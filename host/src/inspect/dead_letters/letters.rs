//! The letters that lie in a pipeline's topic of dead letters, or in its file.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::config::{Cluster, Pipeline, Target};
use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::kafka::topic_reader::{ReadFrom, TopicPoll, TopicReader};
use crate::record::{Records, TopicPartition};
use crate::sink::dead_letter::{LetterText, REPLAYED_KIND, own_headers, read};

/// How long a poll waits for the next record.
const WAIT: Duration = Duration::from_millis(200);
/// Offsets before the end at which a search for the newest letters begins, for each letter; marks of replays and of
/// transactions take offsets too.
const LOOK_BACK: usize = 4;

/// Where a letter lies: a partition of the topic, and an offset. In a file the partition is 0, and the offset the
/// number of lines before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterPlace {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for LetterPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.partition, self.offset)
    }
}

impl FromStr for LetterPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(partition, offset)| {
            let place = Self {
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
            };
            (place.partition >= 0 && place.offset >= 0).then_some(place)
        });
        numbers.ok_or_else(|| "give it as PARTITION/OFFSET, such as 0/17".to_owned())
    }
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct FoundLetter {
    /// Where it lies.
    pub place: LetterPlace,
    /// When the record died, in milliseconds since 1970.
    pub died: i64,
    /// What it says.
    pub text: LetterText,
    /// The letter itself, a record.
    pub record: Records,
    /// It was replayed: the mark says so.
    pub is_replayed: bool,
}

impl FoundLetter {
    /// The record that died, as far as the letter has it: with its event time, and without our headers.
    pub fn content(&self) -> Records {
        let (mut content, letter) = (Records::default(), &self.record);
        content
            .keys
            .push(letter.keys.get(0).filter(|_| !self.text.has_null_key));
        content.values.push(letter.values.get(0));
        content.timestamps.push(self.text.timestamp);
        for (name, value) in own_headers(letter, 0) {
            content.headers.push(0, name, value);
        }
        content.offsets.push(self.text.offset);
        content
    }

    /// Where the source record lies.
    pub fn source(&self) -> TopicPartition {
        TopicPartition::new(self.text.topic.as_str(), self.text.partition)
    }
}

/// Letters, the newest last.
#[derive(Debug, Default)]
pub struct LetterList {
    /// Those of the pipeline.
    pub letters: Vec<FoundLetter>,
    /// Records that were seen beside them and are letters of other pipelines, or none.
    pub others: usize,
}

/// Where a pipeline's dead letters lie.
#[derive(Debug)]
pub struct LetterBox {
    pipeline: String,
    kept_in: LettersIn,
}

#[derive(Debug)]
enum LettersIn {
    Topic { cluster: Cluster, topic: String },
    File(PathBuf),
}

impl LetterBox {
    /// Those of a pipeline.
    ///
    /// # Errors
    /// `Invalid`: it has none, or they go to standard output.
    pub fn of(pipeline: &Pipeline) -> Result<Self> {
        let nowhere = |why: &str| {
            let what = format!("failed to find the dead letters of pipeline `{}`", pipeline.name);
            Error::new(Kind::Invalid, what, why).hint(format!(
                "add [dead-letters] with topic = \"{}.dead\" to the pipeline file",
                pipeline.name
            ))
        };
        let kept_in = match pipeline.dead_letters.as_ref().map(|sink| &sink.target) {
            None => return Err(nowhere("the pipeline file has no [dead-letters]")),
            Some(Target::File(None)) => return Err(nowhere("they go to standard output, where nobody keeps them")),
            Some(Target::File(Some(path))) => LettersIn::File(path.clone()),
            Some(Target::Kafka { cluster, topic, .. }) => LettersIn::Topic {
                cluster: cluster.clone(),
                topic: topic.clone(),
            },
        };
        Ok(Self {
            pipeline: pipeline.name.clone(),
            kept_in,
        })
    }

    /// The topic's name, or the file's.
    pub fn name(&self) -> String {
        match &self.kept_in {
            LettersIn::Topic { topic, .. } => topic.clone(),
            LettersIn::File(path) => path.display().to_string(),
        }
    }

    /// The cluster and the topic; `None`: they lie in a file.
    pub fn topic(&self) -> Option<(&Cluster, &str)> {
        match &self.kept_in {
            LettersIn::Topic { cluster, topic } => Some((cluster, topic)),
            LettersIn::File(_) => None,
        }
    }

    /// The newest letters, `most` of them.
    ///
    /// # Errors
    /// `Kafka`: the topic cannot be read. `Failed`: the file cannot be read.
    pub fn newest(&self, most: usize) -> Result<LetterList> {
        let mut back = i64::try_from(most.saturating_mul(LOOK_BACK)).unwrap_or(i64::MAX);
        loop {
            let mut found = self.gathering();
            let is_whole = self.each(&[], ReadFrom::Last(back), |place, record| found.take(place, record))?;
            if is_whole || found.list.letters.len() >= most {
                let mut list = found.end();
                let older = list.letters.len().saturating_sub(most);
                list.letters.drain(..older);
                return Ok(list);
            }
            back = back.saturating_mul(8);
        }
    }

    /// The letters from a place on: the first `most` of each partition, of which the oldest are taken.
    ///
    /// # Errors
    /// As [`LetterBox::newest`].
    pub fn from(&self, from: ReadFrom, most: usize) -> Result<LetterList> {
        let mut found = self.gathering();
        self.each(&[], from, |place, record| found.take(place, record))?;
        let mut list = found.end();
        list.letters.truncate(most);
        Ok(list)
    }

    /// The letters at these places, in their order.
    ///
    /// # Errors
    /// `Usage`: at one there is none, or it is another pipeline's. Else as [`LetterBox::newest`].
    pub fn at(&self, places: &[LetterPlace]) -> Result<Vec<FoundLetter>> {
        let mut found = self.gathering();
        let partitions: BTreeSet<i32> = places.iter().map(|place| place.partition).collect();
        for partition in partitions {
            let within = places.iter().filter(|place| place.partition == partition);
            let first = within.map(|place| place.offset).min().unwrap_or(0);
            self.each(&[partition], ReadFrom::Offset(first), |place, record| {
                // Between and behind them only marks matter.
                if places.contains(&place) || is_mark(record) {
                    found.take(place, record);
                }
            })?;
        }
        let letters = found.end().letters;
        let at = |wanted: &LetterPlace| {
            let found = letters.iter().find(|letter| letter.place == *wanted).cloned();
            found.ok_or_else(|| self.none_at(*wanted))
        };
        places.iter().map(at).collect()
    }

    fn none_at(&self, place: LetterPlace) -> Error {
        let what = format!("found no dead letter {place} in {}", self.name());
        let why = format!(
            "what lies there, if anything does, is none of pipeline `{}`",
            self.pipeline
        );
        Error::new(Kind::Usage, what, why).hint("`sandbar dead-letters list` shows which there are")
    }

    fn gathering(&self) -> SeenLetters<'_> {
        SeenLetters {
            of: self,
            list: LetterList::default(),
            replayed: HashSet::new(),
        }
    }

    /// Goes through the records from a place to the end of now. Whether these are all that there are.
    fn each(&self, partitions: &[i32], from: ReadFrom, mut each: impl FnMut(LetterPlace, &Records)) -> Result<bool> {
        match &self.kept_in {
            LettersIn::File(path) => read_file(path, |offset, record| {
                let is_wanted = match from {
                    ReadFrom::Offset(begin) => offset >= begin && (partitions.is_empty() || partitions == [0]),
                    ReadFrom::Timestamp(begin) => record.timestamps[0] >= begin,
                    ReadFrom::Latest => false,
                    ReadFrom::Earliest | ReadFrom::Last(_) => true,
                };
                if is_wanted {
                    each(LetterPlace { partition: 0, offset }, record);
                }
            })
            .map(|()| true),
            LettersIn::Topic { cluster, topic } => {
                let mut reader = TopicReader::open(cluster, topic, partitions, from, false)?;
                let mut record = Records::default();
                loop {
                    match reader.poll(WAIT, &mut record)? {
                        TopicPoll::Finished => return Ok(reader.began_at_the_beginning()),
                        TopicPoll::Idle => {}
                        TopicPoll::Record(partition) => {
                            let offset = record.offsets[0];
                            each(LetterPlace { partition, offset }, &record);
                        }
                    }
                }
            }
        }
    }
}

/// The letters that were seen so far, and the marks of replays.
struct SeenLetters<'a> {
    of: &'a LetterBox,
    list: LetterList,
    replayed: HashSet<String>,
}

impl SeenLetters<'_> {
    fn take(&mut self, place: LetterPlace, record: &Records) {
        match read(record, 0) {
            Some(text) if text.pipeline != self.of.pipeline => self.list.others += 1,
            Some(text) if text.kind == REPLAYED_KIND => self.replayed.extend(text.replayed),
            Some(text) => self.list.letters.push(FoundLetter {
                place,
                died: record.timestamps[0],
                text,
                record: record.clone(),
                is_replayed: false,
            }),
            None => self.list.others += 1,
        }
    }

    fn end(self) -> LetterList {
        let Self { of, mut list, replayed } = self;
        let topic = of.name();
        for letter in &mut list.letters {
            letter.is_replayed = replayed.contains(&format!("{topic}/{}", letter.place));
        }
        list.letters.sort_by_key(|letter| (letter.died, letter.place));
        list
    }
}

fn is_mark(record: &Records) -> bool {
    read(record, 0).is_some_and(|text| text.kind == REPLAYED_KIND)
}

/// Goes through the lines of a file that are whole. One that is being written ends without an end of line.
fn read_file(path: &Path, mut each: impl FnMut(i64, &Records)) -> Result<()> {
    let what = || format!("failed to read the dead letters in {}", path.display());
    let bytes = fs::read(path).map_err(|why| Error::new(Kind::Failed, what(), why))?;
    let mut record = Records::default();
    let whole = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    for (offset, line) in (0..).zip(whole) {
        record.clear();
        json_lines::read(line, 0, &mut record)
            .map_err(|why| Error::new(Kind::Failed, what(), format!("line {}: {why}", offset + 1)))?;
        if let Some(own) = record.offsets.last_mut() {
            *own = offset;
        }
        each(offset, &record);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_partition_and_an_offset() {
        let place = LetterPlace {
            partition: 3,
            offset: 17,
        };
        assert_eq!("3/17".parse(), Ok(place));
        assert_eq!(place.to_string(), "3/17");
        for wrong in ["", "3", "3/", "/17", "-1/0", "0/-1", "a/b", "1/2/3", "99999999999/0"] {
            assert!(wrong.parse::<LetterPlace>().is_err(), "{wrong}");
        }
    }
}
