//! Who reads what: the names of a pipeline file, resolved to routes. Pure.

use super::route::{CallInput, OperatorCall, Ports, RecordsFrom, Route, Stage};
use super::state::{check_kinds, check_state, distinct_stores, stateful_operators};
use super::subtopologies::meeting;
use crate::config::{Input, OnRefused, OperatorConfig, Pipeline, Sink, Source};
use crate::error::{Error, Kind, Result};

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
    let route = |(index, source): (usize, &Source)| {
        let route = route(pipeline, ports, index)?;
        check_state(pipeline, ports, source, &route)?;
        Ok(route)
    };
    let routes: Vec<_> = pipeline.sources.iter().enumerate().map(route).collect::<Result<_>>()?;
    check_kinds(pipeline, &stateful_operators(&routes, ports))?;
    Ok(routes)
}

fn route(pipeline: &Pipeline, ports: &[Ports], index: usize) -> Result<Route> {
    let source = pipeline.sources[index].name();
    let meeting = meeting(pipeline, index);
    let mut route = Route::default();
    // Operators stand behind what they read, so one pass finds every call.
    for (index, operator) in pipeline.operators.iter().enumerate() {
        let mut inputs = Vec::new();
        for (slot, input) in operator.inputs.iter().enumerate() {
            let read = reached(pipeline, ports, &route, source, input)?;
            inputs.extend(read.map(|from| CallInput {
                input: slot as u8,
                from,
            }));
        }
        // Time is that of the task: a record of the source fires timers of operators that it does not come to.
        if !inputs.is_empty() || ports[index].has_timers && meeting.contains(&index) {
            route.calls.push(OperatorCall {
                operator: index,
                inputs,
            });
        }
    }
    for (index, sink) in pipeline.sinks.iter().enumerate() {
        for input in &sink.from {
            let read = reached(pipeline, ports, &route, source, input)?;
            route.stages.extend(read.map(|from| Stage { sink: index, from }));
        }
    }
    Ok(route)
}

/// To go on without an output that Kafka refused, the records since the last commit are done again: without checkpoints
/// state would count them twice.
fn check_refusals(pipeline: &Pipeline, ports: &[Ports]) -> Result<()> {
    let goes_on = |sink: &&Sink| sink.on_refused != OnRefused::Fail;
    let keeps_state = |(_, ports): &(&OperatorConfig, &Ports)| !ports.stores.is_empty();
    let sink = pipeline.sinks.iter().find(goes_on);
    let operator = pipeline.operators.iter().zip(ports).find(keeps_state);
    match (&pipeline.checkpoint, sink, operator) {
        (None, Some(sink), Some((operator, _))) => Err(Error::new(
            Kind::Invalid,
            format!(
                "`sink.{}.on-refused` needs `[checkpoint]`, for operator `{}` keeps state",
                sink.name, operator.name
            ),
            "to go on without an output, the records since the last commit are done again, and without checkpoints \
             the state would count them twice",
        )
        .hint("add [checkpoint], or remove `on-refused`")),
        _ => Ok(()),
    }
}

/// Where in the route so far the records of `input` arise: at the source, at the call of the operator that it names, or
/// nowhere.
fn reached(
    pipeline: &Pipeline,
    ports: &[Ports],
    route: &Route,
    source: &str,
    input: &Input,
) -> Result<Option<RecordsFrom>> {
    if input.from == source && input.output.is_none() {
        return Ok(Some(RecordsFrom::Source));
    }
    let Some(operator) = pipeline
        .operators
        .iter()
        .position(|operator| operator.name == input.from)
    else {
        return Ok(None);
    };
    let output = output_index(&ports[operator].outputs, input)?;
    let call = route.calls.iter().position(|call| call.operator == operator);
    Ok(call.map(|call| RecordsFrom::Call { call, output }))
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
