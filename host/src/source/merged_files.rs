//! The files of sources that meet, read as one task: their records come merged by event time.
//!
//! A file that has nothing to read yet is waited for until it ends: only then it is known what goes first.

use super::file::FileReader;
use super::member::reader::polled::Batch;
use super::merge::{self, AtHand, MergedSource};
use crate::config::FileSource;
use crate::error::Result;
use crate::record::{Records, TopicPartition};

/// See the file's header.
#[derive(Debug)]
pub struct MergedFiles {
    files: Vec<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    /// Index in the pipeline's sources.
    source: usize,
    partition: TopicPartition,
    reader: FileReader,
    max_batch: usize,
    merged: MergedSource,
    /// Records that were read, of which so many were handed over.
    run: Records,
    handed_over: usize,
    has_ended: bool,
}

impl MergedFiles {
    /// Opens the files: each with the index of its source in the pipeline, and which one it is among those that meet.
    ///
    /// # Errors
    /// `Invalid`: a file cannot be read, or an event-time pointer is none.
    pub fn open<'a>(sources: impl Iterator<Item = (usize, &'a FileSource, usize)>) -> Result<Self> {
        let open = |(index, source, rank): (usize, &FileSource, usize)| {
            Ok(OpenFile {
                source: index,
                partition: TopicPartition::new(source.name.as_str(), 0),
                reader: FileReader::open(source)?,
                max_batch: source.max_batch.max(1),
                merged: MergedSource::new(rank, &source.event_time, source.time)?,
                run: Records::default(),
                handed_over: 0,
                has_ended: false,
            })
        };
        let files = sources.map(open).collect::<Result<_>>()?;
        Ok(Self { files })
    }

    /// Each file as a partition, with the index of its source and whether all of it was handed over.
    pub fn partitions(&self) -> impl Iterator<Item = (&TopicPartition, usize, bool)> {
        self.files
            .iter()
            .map(|file| (&file.partition, file.source, file.is_done()))
    }

    /// Whether all of every file was handed over.
    pub fn is_done(&self) -> bool {
        self.files.iter().all(OpenFile::is_done)
    }

    /// Fills `batch` with the records that go next, and its `source` with the index in the pipeline's sources. It stays
    /// empty while a file has nothing to read yet, and at the end of all.
    ///
    /// # Errors
    /// As [`FileReader::poll`].
    pub fn poll(&mut self, batch: &mut Batch) -> Result<()> {
        batch.records.clear();
        let is_merged = self.files.len() > 1;
        let mut is_ready = true;
        for file in &mut self.files {
            is_ready &= file.fill(is_merged)?;
        }
        if !is_ready {
            return Ok(());
        }
        let at_hand = self.files.iter().enumerate();
        let at_hand = at_hand.filter_map(|(index, file)| Some((index, file.at_hand()?)));
        if let Some((index, count)) = merge::next(at_hand) {
            self.files[index].hand_over(count, batch);
        }
        Ok(())
    }
}

impl OpenFile {
    /// Reads on if nothing is at hand. `false`: there is nothing to read yet.
    fn fill(&mut self, is_merged: bool) -> Result<bool> {
        if self.has_ended || self.handed_over < self.run.len() {
            return Ok(true);
        }
        self.handed_over = 0;
        self.has_ended = !self.reader.poll(&mut self.run)?;
        if is_merged {
            self.merged.tell_times(&mut self.run, 0);
        }
        Ok(self.has_ended || !self.run.is_empty())
    }

    fn is_done(&self) -> bool {
        self.has_ended && self.handed_over == self.run.len()
    }

    fn at_hand(&self) -> Option<AtHand<'_>> {
        (self.handed_over < self.run.len()).then_some(AtHand {
            source: &self.merged,
            topic: &self.partition.topic,
            run: &self.run,
            at: self.handed_over,
            most: self.max_batch,
        })
    }

    fn hand_over(&mut self, count: usize, batch: &mut Batch) {
        let (from, to) = (self.handed_over, self.handed_over + count);
        if from == 0 && to == self.run.len() {
            std::mem::swap(&mut batch.records, &mut self.run);
            self.run.clear();
        } else {
            (from..to).for_each(|row| batch.records.push_from(&self.run, row));
            self.handed_over = to;
        }
        (batch.source, batch.partition) = (self.source, self.partition.clone());
    }
}
