//! Who reads what: the names of a pipeline file, resolved to indexes. Pure.
//!
//! A batch of a source visits the operators behind it in the order of `Route::calls`, each call reading the source's
//! records or what an earlier call put out, and then the sinks of `Route::stages`. So all of a batch is computed before
//! any of it is staged.

use crate::config::{Input, KafkaSource, OnRefused, Operator, Pipeline, Sink, Source, Subscription};
use crate::error::{Error, Kind, Result};
use crate::state::store_id;
use std::collections::HashMap;

/// Where records come from inside a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The source's batch.
    Source,
    /// An output of an earlier call of the route.
    Call {
        /// Index in `Route::calls`.
        call: usize,
        /// Index of the operator's output.
        output: usize,
    },
}

/// One operator reads one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Index in `Pipeline::operators`.
    pub operator: usize,
    /// Index of the operator's input.
    pub input: u8,
    /// What it reads.
    pub from: From,
}

/// One sink takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Index in `Pipeline::sinks`.
    pub sink: usize,
    /// What it takes.
    pub from: From,
}

/// The way of one source's batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Operators, each behind what it reads.
    pub calls: Vec<Call>,
    /// Sinks.
    pub stages: Vec<Stage>,
}

/// What a plugin declares that matters to its place in a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// Names of its inputs; empty: one without a name.
    pub inputs: Vec<String>,
    /// Names of its outputs; empty: one without a name.
    pub outputs: Vec<String>,
    /// Names of its stores; empty: it keeps no state.
    pub stores: Vec<String>,
    /// Its outputs have the key of what caused them.
    pub keeps_key: bool,
}

/// The routes of a pipeline, one a source, in their order. `ports` has what each operator's plugin declares.
///
/// Errors: an operator with another number of inputs than its plugin declares, an output that the plugin does not have,
/// state although records of one key do not stay together (`Invalid`).
pub fn routes(pipeline: &Pipeline, ports: &[Ports]) -> Result<Vec<Route>> {
    for (operator, ports) in pipeline.operators.iter().zip(ports) {
        let (given, declared) = (operator.inputs.len(), ports.inputs.len().max(1));
        if given != declared {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "failed to wire operator `{}`: it has {given} inputs and its plugin declares {declared}",
                    operator.name
                ),
                format!("the plugin's inputs: {}", names(&ports.inputs)),
            ));
        }
    }
    distinct_stores(pipeline, ports)?;
    check_refusals(pipeline, ports)?;
    let route = |source: &Source| {
        let route = route(pipeline, ports, source.name())?;
        check_state(pipeline, ports, source, &route)?;
        Ok(route)
    };
    pipeline.sources.iter().map(route).collect()
}

fn route(pipeline: &Pipeline, ports: &[Ports], source: &str) -> Result<Route> {
    let mut route = Route::default();
    // Operators stand behind what they read, so one pass finds every call.
    for (index, operator) in pipeline.operators.iter().enumerate() {
        for (slot, input) in operator.inputs.iter().enumerate() {
            for from in reached(pipeline, ports, &route, source, input)? {
                route.calls.push(Call {
                    operator: index,
                    input: slot as u8,
                    from,
                });
            }
        }
    }
    for (index, sink) in pipeline.sinks.iter().enumerate() {
        for input in &sink.from {
            for from in reached(pipeline, ports, &route, source, input)? {
                route.stages.push(Stage { sink: index, from });
            }
        }
    }
    Ok(route)
}

/// To go on without an output that Kafka refused, the records since the last commit are done again: without checkpoints
/// state would count them twice.
fn check_refusals(pipeline: &Pipeline, ports: &[Ports]) -> Result<()> {
    let goes_on = |sink: &&Sink| sink.on_refused != OnRefused::Fail;
    let keeps_state = |(_, ports): &(&Operator, &Ports)| !ports.stores.is_empty();
    let sink = pipeline.sinks.iter().find(goes_on);
    let operator = pipeline.operators.iter().zip(ports).find(keeps_state);
    match (&pipeline.checkpoint, sink, operator) {
        (None, Some(sink), Some((operator, _))) => Err(Error::new(
            Kind::Invalid,
            format!("`sink.{}.on-refused` needs `[checkpoint]`, for operator `{}` keeps state", sink.name, operator.name),
            "to go on without an output, the records since the last commit are done again, and without checkpoints the state would count them twice",
        )
        .hint("add [checkpoint], or remove `on-refused`")),
        _ => Ok(()),
    }
}

/// Stores are found by a short hash of their names, so two of a pipeline may come to the same place.
fn distinct_stores(pipeline: &Pipeline, ports: &[Ports]) -> Result<()> {
    let mut seen = HashMap::new();
    for (operator, ports) in pipeline.operators.iter().zip(ports) {
        for store in &ports.stores {
            let Some((other, its)) = seen.insert(store_id(&operator.name, store), (&operator.name, store)) else {
                continue;
            };
            return Err(Error::new(
                Kind::Invalid,
                format!("failed to place store `{store}` of operator `{}`", operator.name),
                format!("it has the same id as store `{its}` of operator `{other}`, by chance"),
            )
            .hint("give one of the two operators another name"));
        }
    }
    Ok(())
}

/// State lies with the task that has all records of its keys: a partition number of the source's topics.
fn check_state(pipeline: &Pipeline, ports: &[Ports], source: &Source, route: &Route) -> Result<()> {
    for call in &route.calls {
        if ports[call.operator].stores.is_empty() {
            continue;
        }
        let refused = |why: String| {
            let name = &pipeline.operators[call.operator].name;
            Error::new(
                Kind::Invalid,
                format!("failed to place operator `{name}`, whose plugin keeps state"),
                why,
            )
        };
        if let Source::Kafka(kafka) = source
            && let Subscription::Pattern(_) = kafka.subscription
        {
            return Err(refused(format!(
                "source `{}` matches its topics by pattern: which of their partitions belong together is not known",
                kafka.name
            ))
            .hint("name the source's topics"));
        }
        if let Some(other) = upstream(route, call.from).find(|operator| !ports[*operator].keeps_key) {
            return Err(refused(format!(
                "it stands behind operator `{}`, whose plugin does not declare that its outputs keep the key of what caused them",
                pipeline.operators[other].name
            ))
            .hint("write to a topic in between, so that records of one key meet in one partition; or let the plugin declare `keeps-key`"));
        }
    }
    Ok(())
}

/// The operators that records have passed which come from there, the last one first.
fn upstream(route: &Route, from: From) -> impl Iterator<Item = usize> {
    let caller = |from: From| match from {
        From::Source => None,
        From::Call { call, .. } => Some(route.calls[call]),
    };
    std::iter::successors(caller(from), move |call| caller(call.from)).map(|call| call.operator)
}

/// For each operator whether one behind it keeps state: its outputs' keys have to be what it declares.
pub fn before_state(routes: &[Route], ports: &[Ports]) -> Vec<bool> {
    let mut before = vec![false; ports.len()];
    for route in routes {
        let keep_state = route
            .calls
            .iter()
            .filter(|call| !ports[call.operator].stores.is_empty());
        for operator in keep_state.flat_map(|call| upstream(route, call.from)) {
            before[operator] = true;
        }
    }
    before
}

/// The operators that keep state, each with the sources whose records come to it: indexes in the pipeline.
pub fn keepers(routes: &[Route], ports: &[Ports]) -> Vec<(usize, Vec<usize>)> {
    let keep_state = (0..ports.len()).filter(|operator| !ports[*operator].stores.is_empty());
    let with_sources = keep_state.map(|operator| {
        let comes_to = |route: &Route| route.calls.iter().any(|call| call.operator == operator);
        let sources = (routes.iter().enumerate()).filter(|(_, route)| comes_to(route));
        (operator, sources.map(|(source, _)| source).collect())
    });
    with_sources.collect()
}

/// Where in the route so far the records of `input` arise: nowhere, at the source, or at each call of the operator that
/// it names.
fn reached(pipeline: &Pipeline, ports: &[Ports], route: &Route, source: &str, input: &Input) -> Result<Vec<From>> {
    if input.from == source && input.output.is_none() {
        return Ok(vec![From::Source]);
    }
    let Some(operator) = pipeline
        .operators
        .iter()
        .position(|operator| operator.name == input.from)
    else {
        return Ok(Vec::new());
    };
    let output = output_index(&ports[operator].outputs, input)?;
    let calls = route
        .calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.operator == operator);
    Ok(calls.map(|(call, _)| From::Call { call, output }).collect())
}

fn output_index(outputs: &[String], input: &Input) -> Result<usize> {
    let Some(name) = &input.output else { return Ok(0) };
    outputs.iter().position(|output| output == name).ok_or_else(|| {
        Error::new(
            Kind::Invalid,
            format!(
                "failed to wire `{}.{name}`: the plugin of operator `{}` has no output `{name}`",
                input.from, input.from
            ),
            format!("the plugin's outputs: {}", names(outputs)),
        )
    })
}

fn names(list: &[String]) -> String {
    if list.is_empty() {
        "one without a name".to_owned()
    } else {
        list.join(", ")
    }
}

/// The Kafka sources by the operators in which they meet: indexes in `Pipeline::sources`, each set in the file's order.
/// Sources that never meet are sets of their own.
pub fn sets(pipeline: &Pipeline) -> Vec<Vec<usize>> {
    let mut sets: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (index, source) in pipeline.sources.iter().enumerate() {
        if matches!(source, Source::File(_)) {
            continue;
        }
        let mut operators = behind(pipeline, source.name());
        let (meeting, apart): (Vec<_>, Vec<_>) = sets
            .into_iter()
            .partition(|(_, others)| others.iter().any(|operator| operators.contains(operator)));
        let mut sources = Vec::new();
        for (members, theirs) in meeting {
            sources.extend(members);
            operators.extend(theirs);
        }
        sources.push(index);
        sets = apart;
        sets.push((sources, operators));
    }
    let mut sets: Vec<Vec<usize>> = sets.into_iter().map(|(sources, _)| sources).collect();
    sets.iter_mut().for_each(|sources| sources.sort_unstable());
    sets.sort();
    sets
}

/// The Kafka sources of each set.
pub fn kafka_sets(pipeline: &Pipeline) -> Vec<Vec<KafkaSource>> {
    let kafka = |index: &usize| match &pipeline.sources[*index] {
        Source::Kafka(source) => Some(source.clone()),
        Source::File(_) => None,
    };
    let sets = sets(pipeline).into_iter();
    sets.map(|set| set.iter().filter_map(kafka).collect()).collect()
}

/// The operators that records of a source reach. Operators stand behind what they read, so one pass finds them all.
fn behind(pipeline: &Pipeline, source: &str) -> Vec<usize> {
    let mut reached: Vec<usize> = Vec::new();
    for (index, operator) in pipeline.operators.iter().enumerate() {
        let reads = |input: &Input| match &input.output {
            None if input.from == source => true,
            _ => reached
                .iter()
                .any(|before| pipeline.operators[*before].name == input.from),
        };
        if operator.inputs.iter().any(reads) {
            reached.push(index);
        }
    }
    reached
}

#[cfg(test)]
pub(in crate::pipeline) mod tests {
    use super::*;
    use crate::config::*;
    use std::path::PathBuf;

    fn input(text: &str) -> Input {
        match text.split_once('.') {
            Some((from, output)) => Input {
                from: from.into(),
                output: Some(output.into()),
            },
            None => Input {
                from: text.into(),
                output: None,
            },
        }
    }

    fn kafka_source(name: &str) -> Source {
        Source::Kafka(KafkaSource {
            name: name.into(),
            cluster: Cluster {
                brokers: "127.0.0.1:9092".into(),
                properties: Default::default(),
                login: Default::default(),
            },
            subscription: Subscription::Topics(vec![name.into()]),
            group: "g".into(),
            start: Start::GroupOffsets,
            otherwise: Otherwise::Earliest,
            stop: None,
            on_out_of_range: OutOfRange::Fail,
            truth: Truth::Group,
            commit_offsets: CommitOffsets::Periodic,
            auto_commit_interval: std::time::Duration::from_secs(5),
            session_timeout: std::time::Duration::from_secs(10),
            max_batch: 1000,
            discovery_interval: std::time::Duration::from_secs(300),
            event_time: EventTime::Record,
        })
    }

    pub(in crate::pipeline) fn pipeline(
        sources: &[&str],
        operators: &[(&str, &[&str])],
        sinks: &[(&str, &[&str])],
    ) -> Pipeline {
        Pipeline {
            name: "p".into(),
            delivery: Delivery::None,
            workers: 1,
            instance: None,
            queue_bytes: 64 << 20,
            batch_bytes: BATCH_BYTES,
            sources: sources.iter().map(|name| kafka_source(name)).collect(),
            operators: operators
                .iter()
                .map(|(name, inputs)| Operator {
                    name: (*name).into(),
                    plugin: PathBuf::new(),
                    inputs: inputs.iter().map(|text| input(text)).collect(),
                    config: String::new(),
                    on_error: OnError::Fail,
                    limits: Limits::default(),
                })
                .collect(),
            sinks: sinks
                .iter()
                .map(|(name, from)| Sink {
                    name: (*name).into(),
                    from: from.iter().map(|text| input(text)).collect(),
                    target: Target::File(None),
                    on_refused: OnRefused::Fail,
                })
                .collect(),
            dead_letters: None,
            checkpoint: None,
            state_memory: 0,
            allow_dropped_state: false,
            state_dir: PathBuf::new(),
        }
    }

    fn ports(inputs: usize, outputs: &[&str]) -> Ports {
        Ports {
            inputs: (0..inputs).map(|index| format!("in{index}")).collect(),
            outputs: outputs.iter().map(|name| (*name).to_owned()).collect(),
            ..Ports::default()
        }
    }

    /// A plugin with these stores.
    fn keeping(stores: &[&str]) -> Ports {
        Ports {
            stores: stores.iter().map(|name| (*name).to_owned()).collect(),
            ..ports(1, &[])
        }
    }

    #[test]
    fn a_chain_with_a_named_output_is_routed() {
        let pipeline = pipeline(
            &["a"],
            &[("parse", &["a"]), ("count", &["parse"])],
            &[("good", &["count"]), ("bad", &["parse.rejected", "a"])],
        );
        let routes = routes(&pipeline, &[ports(0, &["ok", "rejected"]), ports(1, &[])]).unwrap();
        assert_eq!(
            routes[0].calls,
            [
                Call {
                    operator: 0,
                    input: 0,
                    from: From::Source
                },
                Call {
                    operator: 1,
                    input: 0,
                    from: From::Call { call: 0, output: 0 }
                }
            ]
        );
        assert_eq!(
            routes[0].stages,
            [
                Stage {
                    sink: 0,
                    from: From::Call { call: 1, output: 0 }
                },
                Stage {
                    sink: 1,
                    from: From::Call { call: 0, output: 1 }
                },
                Stage {
                    sink: 1,
                    from: From::Source
                }
            ]
        );
    }

    #[test]
    fn sources_meet_in_an_operator_however_far_behind_them() {
        let pipeline = pipeline(
            &["a", "b", "c"],
            &[("x", &["a"]), ("y", &["x", "c"]), ("z", &["b"])],
            &[("s", &["y", "z"])],
        );
        assert_eq!(sets(&pipeline), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn wrong_wiring_is_told_by_name() {
        let pipeline = pipeline(&["a"], &[("parse", &["a"])], &[("s", &["parse.nope"])]);
        let error = routes(&pipeline, &[ports(1, &["ok"])]).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.what.contains("has no output `nope`"), "{error}");
        let error = routes(&pipeline, &[ports(2, &["ok"])]).unwrap_err();
        assert!(
            error.what.contains("it has 1 inputs and its plugin declares 2"),
            "{error}"
        );
    }

    #[test]
    fn state_stands_behind_operators_that_keep_the_key_only() {
        let pipeline = pipeline(
            &["a"],
            &[("parse", &["a"]), ("pass", &["parse"]), ("count", &["pass"])],
            &[("s", &["count"])],
        );
        let keeper = Ports {
            keeps_key: true,
            ..ports(1, &[])
        };
        let mut ports = [keeper.clone(), keeper, keeping(&["total"])];
        let found = routes(&pipeline, &ports).unwrap();
        assert_eq!(before_state(&found, &ports), [true, true, false]);
        ports[0].keeps_key = false;
        let error = routes(&pipeline, &ports).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.what.contains("operator `count`"), "{error}");
        assert!(error.why.contains("behind operator `parse`"), "{error}");
    }

    #[test]
    fn state_is_told_with_all_sources_that_come_to_it_however_far_before_it() {
        let pipeline = pipeline(
            &["a", "b", "c"],
            &[("parse", &["a"]), ("count", &["parse", "b"]), ("pass", &["c"])],
            &[("s", &["count", "pass"])],
        );
        let keeper = Ports {
            keeps_key: true,
            ..ports(1, &[])
        };
        let both = Ports {
            stores: vec!["total".to_owned()],
            ..ports(2, &[])
        };
        let ports = [keeper, both, ports(1, &[])];
        let found = routes(&pipeline, &ports).unwrap();
        assert_eq!(keepers(&found, &ports), [(1, vec![0, 1])]);
    }

    #[test]
    fn state_behind_a_pattern_is_refused() {
        let mut pipeline = pipeline(&["a"], &[("count", &["a"])], &[("s", &["count"])]);
        assert!(routes(&pipeline, &[keeping(&["total"])]).is_ok());
        let Source::Kafka(source) = &mut pipeline.sources[0] else {
            unreachable!()
        };
        source.subscription = Subscription::Pattern(regex::Regex::new("a.*").unwrap());
        assert!(routes(&pipeline, &[ports(1, &[])]).is_ok());
        let error = routes(&pipeline, &[keeping(&["total"])]).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(
            error.why.contains("source `a` matches its topics by pattern"),
            "{error}"
        );
    }

    #[test]
    fn two_stores_that_come_to_one_place_are_refused() {
        let mut seen = HashMap::new();
        let (one, other) = (0..)
            .map(|at: u32| at.to_string())
            .find_map(|name| {
                seen.insert(store_id("x", &name), name.clone())
                    .map(|other| (other, name))
            })
            .unwrap();
        let pipeline = pipeline(&["a"], &[("x", &["a"])], &[("s", &["x"])]);
        let error = routes(&pipeline, &[keeping(&[&one, &other])]).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(
            error
                .why
                .contains(&format!("the same id as store `{one}` of operator `x`")),
            "{error}"
        );
    }
}
