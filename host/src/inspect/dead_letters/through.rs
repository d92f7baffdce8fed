//! The operator that a dead letter's record goes through, if it goes through the pipeline again.

use super::letters::FoundLetter;
use crate::config::{Pipeline, Source, Subscription};
use crate::sink::dead_letter::DiedIn;

/// An operator of a pipeline, and the source that it takes a record from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// Its name.
    pub operator: String,
    /// The source that the record comes from, if that is known.
    pub from: Option<String>,
}

impl FoundLetter {
    /// The operator that the record died in: for one that died in its source the first that reads that source. The
    /// error says why no operator can be run with it.
    pub fn through(&self, pipeline: &Pipeline) -> Result<Through, String> {
        let text = &self.text;
        if text.timer.is_some() {
            return Err("it is of a timer, and there is no record".to_owned());
        }
        if text.is_cut {
            return Err("it has only a part of the record".to_owned());
        }
        match &text.died_in {
            DiedIn::Operator(operator) => Ok(Through {
                operator: operator.clone(),
                from: self.source_in(pipeline),
            }),
            DiedIn::Sink(_) => Err("it is an output that a topic refused: no plugin was at fault".to_owned()),
            DiedIn::Source(source) => {
                let mut operators = pipeline.operators.iter();
                let first = operators.find(|operator| operator.inputs.iter().any(|input| input.from == *source));
                let operator = first.ok_or_else(|| format!("no operator reads source `{source}` any more"))?;
                Ok(Through {
                    operator: operator.name.clone(),
                    from: Some(source.clone()),
                })
            }
        }
    }

    /// The source of a pipeline that reads what the record came from.
    fn source_in(&self, pipeline: &Pipeline) -> Option<String> {
        let topic = &self.text.topic;
        let reads = |source: &&Source| match source {
            Source::Kafka(source) => match &source.subscription {
                Subscription::Topics(topics) => topics.contains(topic),
                Subscription::Partitions(partitions) => partitions.contains_key(topic),
                Subscription::Pattern(pattern) => pattern.is_match(topic),
            },
            Source::File(source) => source.name == *topic,
        };
        let source = pipeline.sources.iter().find(reads)?;
        Some(source.name().to_owned())
    }
}
