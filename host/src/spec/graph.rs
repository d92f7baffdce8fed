//! Who reads whom: names, inputs, the order of operators, and sources that meet.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{self, Input, KafkaSource, Subscription};
use crate::error::Result;

use super::file::File;
use super::text::document::Span;
use super::text::near::near;
use super::text::scope::Scope;
use super::text::values::{At, is_name};

/// A part of the pipeline: which of its kind, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Source(usize),
    Operator(usize),
    Sink,
}

/// The inputs of all parts, resolved.
#[derive(Debug)]
pub(super) struct Graph {
    sources: Vec<At<String>>,
    operators: Vec<String>,
    parts: BTreeMap<String, Part>,
    operator_inputs: Vec<Vec<Input>>,
    sink_inputs: Vec<Vec<Input>>,
    order: Vec<usize>,
}

impl Graph {
    pub(super) fn of(file: &File, scope: &Scope<'_>) -> Result<Self> {
        let mut graph = Self {
            sources: file.source.0.iter().map(|(name, _)| name.clone()).collect(),
            operators: file.operator.0.iter().map(|(name, _)| name.value.clone()).collect(),
            parts: parts(file, scope)?,
            operator_inputs: Vec::new(),
            sink_inputs: Vec::new(),
            order: Vec::new(),
        };
        for (name, raw) in &file.operator.0 {
            let inputs = graph.inputs(&format!("operator.{}.inputs", name.value), &raw.inputs, scope)?;
            graph.operator_inputs.push(inputs);
        }
        for (name, raw) in &file.sink.0 {
            let inputs = graph.inputs(&format!("sink.{}.from", name.value), &raw.from, scope)?;
            graph.sink_inputs.push(inputs);
        }
        graph.order = graph.sorted(file, scope)?;
        graph.check_read(scope)?;
        Ok(graph)
    }

    /// The operators, each behind those that it reads.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(super) fn operator_inputs(&self, index: usize) -> Vec<Input> {
        self.operator_inputs[index].clone()
    }

    pub(super) fn sink_inputs(&self, index: usize) -> Vec<Input> {
        self.sink_inputs[index].clone()
    }

    fn inputs(&self, key: &str, raw: &At<Vec<At<String>>>, scope: &Scope<'_>) -> Result<Vec<Input>> {
        if raw.value.is_empty() {
            let error = scope.refuse(
                raw.span.as_ref(),
                format!("`{key}` is empty"),
                "nothing would ever come",
            );
            return Err(error.hint("name a source or an operator"));
        }
        let inputs = (raw.value.iter())
            .map(|input| self.input(key, input, scope))
            .collect::<Result<Vec<_>>>()?;
        let mut seen = BTreeSet::new();
        match inputs.iter().zip(&raw.value).find(|(input, _)| !seen.insert(*input)) {
            None => Ok(inputs),
            Some((_, twice)) => {
                let what = format!("`{key}` names `{}` twice", twice.value);
                Err(scope.refuse(twice.span.as_ref(), what, "each of its records would come twice"))
            }
        }
    }

    fn input(&self, key: &str, raw: &At<String>, scope: &Scope<'_>) -> Result<Input> {
        let (from, output) = match raw.value.split_once('.') {
            Some((from, output)) => (from, Some(output.to_owned())),
            None => (raw.value.as_str(), None),
        };
        let refuse = |what: String, why: &str| scope.refuse(raw.span.as_ref(), what, why);
        match (self.parts.get(from), &output) {
            (Some(Part::Operator(_)), Some(output)) if output.is_empty() => Err(refuse(
                format!("`{key}` names `{}`", raw.value),
                "the name of the output is empty",
            )),
            (Some(Part::Source(_)), None) | (Some(Part::Operator(_)), _) => Ok(Input {
                from: from.to_owned(),
                output,
            }),
            (Some(Part::Source(_)), Some(_)) => {
                let why = format!("`{from}` is a source, and only operators have named outputs");
                Err(refuse(format!("`{key}` names `{}`", raw.value), &why))
            }
            (Some(Part::Sink), _) => {
                let why = format!("`{from}` is a sink, and nothing comes out of a sink");
                Err(refuse(format!("`{key}` names `{}`", raw.value), &why))
            }
            (None, _) => {
                let error = refuse(format!("`{key}` names `{from}`, which there is not"), "");
                let readable = self.readable();
                let readable: Vec<&str> = readable.iter().map(String::as_str).collect();
                Err(match near(from, &readable) {
                    Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                    None => error.hint(format!("what there is: {}", readable.join(", "))),
                })
            }
        }
    }

    /// The names of all that has outputs.
    fn readable(&self) -> Vec<String> {
        let sources = self.sources.iter().map(|name| name.value.clone());
        sources.chain(self.operators.iter().cloned()).collect()
    }

    /// The operators that an operator reads.
    fn before(&self, operator: usize) -> impl Iterator<Item = usize> + '_ {
        (self.operator_inputs[operator].iter()).filter_map(|input| match self.parts.get(&input.from) {
            Some(Part::Operator(index)) => Some(*index),
            _ => None,
        })
    }

    /// Each operator behind those that it reads, otherwise in the order of the file.
    fn sorted(&self, file: &File, scope: &Scope<'_>) -> Result<Vec<usize>> {
        let mut order = Vec::new();
        while order.len() < self.operators.len() {
            let ready =
                |index: &usize| !order.contains(index) && self.before(*index).all(|other| order.contains(&other));
            match (0..self.operators.len()).find(ready) {
                Some(next) => order.push(next),
                None => {
                    let circle = self.circle(&order);
                    let span = circle.first().and_then(|index| file.operator.0[*index].0.span.as_ref());
                    let names: Vec<_> = circle.iter().map(|index| self.operators[*index].as_str()).collect();
                    let why = format!("{} → {}", names.join(" → "), names[0]);
                    return Err(scope.refuse(span, "operators read each other in a circle", why));
                }
            }
        }
        Ok(order)
    }

    /// A circle among the operators that are not in `order`: each of them reads another one of them.
    fn circle(&self, order: &[usize]) -> Vec<usize> {
        let mut path: Vec<usize> = Vec::new();
        let mut next = (0..self.operators.len()).find(|index| !order.contains(index));
        while let Some(index) = next {
            if let Some(begin) = path.iter().position(|other| *other == index) {
                path.drain(..begin);
                break;
            }
            path.push(index);
            next = self.before(index).find(|other| !order.contains(other));
        }
        path.reverse();
        path
    }

    /// A source that nobody reads would commit positions of records that nobody saw.
    fn check_read(&self, scope: &Scope<'_>) -> Result<()> {
        if self.sources.is_empty() {
            let error = scope.refuse(None, "it has no source", "a pipeline reads at least one");
            return Err(error.hint("add [source.NAME] with topics = [\"…\"]"));
        }
        let inputs = self.operator_inputs.iter().chain(&self.sink_inputs).flatten();
        let read: BTreeSet<&str> = inputs.map(|input| input.from.as_str()).collect();
        match self.sources.iter().find(|name| !read.contains(name.value.as_str())) {
            None => Ok(()),
            Some(name) => {
                let what = format!("nobody reads source `{}`", name.value);
                Err(scope.refuse(
                    name.span.as_ref(),
                    what,
                    "no operator names it in `inputs`, no sink in `from`",
                ))
            }
        }
    }

    /// Sources that meet are read by one consumer; sources of one group do not take each other's records.
    pub(super) fn check_sources(&self, sources: &[config::Source], scope: &Scope<'_>) -> Result<()> {
        let kafka = |index: &usize| match &sources[*index] {
            config::Source::Kafka(source) => Some(source),
            config::Source::File(_) => None,
        };
        for (operator, met) in self.meetings() {
            let met: Vec<_> = met.iter().filter_map(kafka).collect();
            for pair in met.windows(2) {
                if let Some(difference) = difference(pair[0], pair[1]) {
                    let (left, right) = (&pair[0].name, &pair[1].name);
                    let what = format!(
                        "sources `{left}` and `{right}` meet in operator `{}` and differ in {difference}",
                        self.operators[operator]
                    );
                    return Err(scope.refuse(self.span_of(right), what, "sources that meet are read by one consumer"));
                }
            }
        }
        let all: Vec<_> = (0..sources.len()).filter_map(|index| kafka(&index)).collect();
        for (index, left) in all.iter().enumerate() {
            for right in &all[index + 1..] {
                if let Some(why) = conflict(left, right) {
                    let what = format!(
                        "sources `{}` and `{}` share group `{}`",
                        left.name, right.name, left.group
                    );
                    let error = scope.refuse(self.span_of(&right.name), what, why);
                    return Err(error.hint("give one of them another `group`"));
                }
            }
        }
        Ok(())
    }

    fn span_of(&self, source: &str) -> Option<&Span> {
        (self.sources.iter()).find(|name| name.value == source)?.span.as_ref()
    }

    /// The sources that reach each operator, directly or through others.
    fn meetings(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut reach: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for &operator in &self.order {
            let mut sources = BTreeSet::new();
            for input in &self.operator_inputs[operator] {
                match self.parts.get(&input.from) {
                    Some(Part::Source(index)) => _ = sources.insert(*index),
                    Some(Part::Operator(index)) => sources.extend(reach.get(index).into_iter().flatten()),
                    Some(Part::Sink) | None => {}
                }
            }
            reach.insert(operator, sources);
        }
        reach
    }
}

/// All parts by name: sources, operators and sinks share one space of names.
fn parts(file: &File, scope: &Scope<'_>) -> Result<BTreeMap<String, Part>> {
    let sources = (file.source.0.iter().enumerate()).map(|(index, (name, _))| (name, Part::Source(index)));
    let operators = (file.operator.0.iter().enumerate()).map(|(index, (name, _))| (name, Part::Operator(index)));
    let sinks = file.sink.0.iter().map(|(name, _)| (name, Part::Sink));
    let mut parts = BTreeMap::new();
    for (name, part) in sources.chain(operators).chain(sinks) {
        let refuse =
            |why: &str| Err(scope.refuse(name.span.as_ref(), format!("`{}` cannot be a name", name.value), why));
        if !is_name(&name.value) {
            return refuse("a name is of a-z, 0-9 and -, at most 64 letters, not beginning with -");
        }
        if name.value == "dead-letters" {
            return refuse("it is the name of the dead letters");
        }
        if parts.insert(name.value.clone(), part).is_some() {
            return refuse("it is taken: sources, operators and sinks have names of their own");
        }
    }
    Ok(parts)
}

/// The first setting of the consumer in which two sources differ.
fn difference(left: &KafkaSource, right: &KafkaSource) -> Option<&'static str> {
    let by_hand = |source: &KafkaSource| matches!(source.subscription, Subscription::Partitions(_));
    let same = [
        ("`brokers`", left.cluster.brokers == right.cluster.brokers),
        (
            "`kafka.properties`",
            left.cluster.properties == right.cluster.properties && left.cluster.login == right.cluster.login,
        ),
        ("`group`", left.group == right.group),
        ("`partitions` (given by hand or not)", by_hand(left) == by_hand(right)),
        ("`commit-offsets`", left.commit_offsets == right.commit_offsets),
        (
            "`auto-commit-interval`",
            left.auto_commit_interval == right.auto_commit_interval,
        ),
        ("`session-timeout`", left.session_timeout == right.session_timeout),
        (
            "`discovery-interval`",
            left.discovery_interval == right.discovery_interval,
        ),
    ];
    same.iter().find(|(_, same)| !same).map(|(key, _)| *key)
}

/// Why two sources cannot be in one group: they would take records or positions from each other.
fn conflict(left: &KafkaSource, right: &KafkaSource) -> Option<String> {
    use Subscription::{Partitions, Pattern, Topics};
    if left.group != right.group || left.cluster.brokers != right.cluster.brokers {
        return None;
    }
    let both = |topic: &str| {
        Some(format!(
            "both read topic `{topic}`: each would get a part of its records"
        ))
    };
    match (&left.subscription, &right.subscription) {
        (Topics(left), Topics(right)) => left
            .iter()
            .find(|topic| right.contains(topic))
            .and_then(|topic| both(topic)),
        (Topics(topics), Pattern(pattern)) | (Pattern(pattern), Topics(topics)) => topics
            .iter()
            .find(|topic| pattern.is_match(topic))
            .and_then(|topic| both(topic)),
        (Pattern(left), Pattern(right)) if left.as_str() == right.as_str() => {
            Some("both have the same `topic-pattern`: each would get a part of the records".to_owned())
        }
        (Pattern(_), Pattern(_)) => None,
        (Partitions(left), Partitions(right)) => left.iter().find_map(|(topic, numbers)| {
            let shared = right.get(topic)?.iter().find(|number| numbers.contains(number))?;
            Some(format!(
                "both read {topic}/{shared}: each would overwrite the other's position"
            ))
        }),
        (Partitions(_), _) | (_, Partitions(_)) => {
            Some("one has `partitions` given by hand: a group with members refuses commits from outside".to_owned())
        }
    }
}
