//! Who reads what: the names of a pipeline file, resolved to indexes. Pure.
//!
//! A batch of a source visits the operators behind it in the order of `Route::calls`, each call reading the source's records or what an
//! earlier call put out, and then the sinks of `Route::stages`. So all of a batch is computed before any of it is staged.

use crate::config::{Input, Pipeline};
use crate::error::{Error, Kind, Result};

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

/// The inputs and outputs that a plugin declares.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// Names of its inputs; empty: one without a name.
    pub inputs: Vec<String>,
    /// Names of its outputs; empty: one without a name.
    pub outputs: Vec<String>,
}

/// The routes of a pipeline, one a source, in their order. `ports` has what each operator's plugin declares.
///
/// Errors: an operator with another number of inputs than its plugin declares, an output that the plugin does not have (`Invalid`).
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
    pipeline
        .sources
        .iter()
        .map(|source| route(pipeline, ports, source.name()))
        .collect()
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

/// Where in the route so far the records of `input` arise: nowhere, at the source, or at each call of the operator that it names.
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
pub fn sets(pipeline: &Pipeline, routes: &[Route]) -> Vec<Vec<usize>> {
    let mut sets: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (source, route) in routes.iter().enumerate() {
        if matches!(pipeline.sources[source], crate::config::Source::File(_)) {
            continue;
        }
        let mut operators: Vec<usize> = route.calls.iter().map(|call| call.operator).collect();
        let (meeting, apart): (Vec<_>, Vec<_>) = sets
            .into_iter()
            .partition(|(_, others)| others.iter().any(|operator| operators.contains(operator)));
        let mut sources = Vec::new();
        for (members, theirs) in meeting {
            sources.extend(members);
            operators.extend(theirs);
        }
        sources.push(source);
        sets = apart;
        sets.push((sources, operators));
    }
    let mut sets: Vec<Vec<usize>> = sets.into_iter().map(|(sources, _)| sources).collect();
    sets.sort();
    sets
}

#[cfg(test)]
mod tests {
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
            },
            subscription: Subscription::Topics(vec![name.into()]),
            group: "g".into(),
            start: Start::GroupOffsets,
            otherwise: Otherwise::Earliest,
            stop: None,
            on_out_of_range: OutOfRange::Fail,
            truth: crate::config::Truth::Group,
            commit_offsets: CommitOffsets::Periodic,
            auto_commit_interval: std::time::Duration::from_secs(5),
            session_timeout: std::time::Duration::from_secs(10),
            max_batch: 1000,
            discovery_interval: std::time::Duration::from_secs(300),
            event_time: EventTime::Record,
        })
    }

    fn pipeline(sources: &[&str], operators: &[(&str, &[&str])], sinks: &[(&str, &[&str])]) -> Pipeline {
        Pipeline {
            name: "p".into(),
            delivery: Delivery::None,
            workers: 1,
            instance: None,
            queue_bytes: 64 << 20,
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
        let routes = routes(&pipeline, &[ports(1, &[]), ports(2, &[]), ports(1, &[])]).unwrap();
        assert_eq!(sets(&pipeline, &routes), [vec![0, 2], vec![1]]);
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
}
