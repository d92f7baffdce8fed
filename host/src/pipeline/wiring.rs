//! Whether operators fit the plugins that stand behind them: what only the plugins can say, and no file.

use std::collections::BTreeMap;

use crate::config::{Input, Pipeline};
use crate::error::{Error, Kind, Result};

/// What a plugin declares of its inputs and outputs.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    /// Names of its inputs, in order.
    pub inputs: &'a [String],
    /// Names of its outputs, in order.
    pub outputs: &'a [String],
}

/// Checks the pipeline's operators and sinks against the plugins of its operators, which are given by the operator's name.
pub fn check(pipeline: &Pipeline, plugins: &BTreeMap<&str, Declared<'_>>) -> Result<()> {
    for operator in &pipeline.operators {
        let Some(declared) = plugins.get(operator.name.as_str()) else {
            continue;
        };
        // One input is called what it likes: a plugin that names none takes one.
        if declared.inputs.len().max(1) != operator.inputs.len() {
            let why = format!(
                "its plugin takes {} ({}), the file gives it {} ({})",
                declared.inputs.len().max(1),
                declared.inputs.join(", "),
                operator.inputs.len(),
                operator.inputs.iter().map(text).collect::<Vec<_>>().join(", ")
            );
            return Err(Error::new(
                Kind::Invalid,
                format!("operator `{}` has the wrong number of inputs", operator.name),
                why,
            ));
        }
        for input in &operator.inputs {
            check_output(input, plugins, &format!("operator `{}`", operator.name))?;
        }
    }
    for sink in &pipeline.sinks {
        for input in &sink.from {
            check_output(input, plugins, &format!("sink `{}`", sink.name))?;
        }
    }
    Ok(())
}

fn check_output(input: &Input, plugins: &BTreeMap<&str, Declared<'_>>, reader: &str) -> Result<()> {
    // A source has one output without a name; that it is given none is the file's own matter.
    let Some(declared) = plugins.get(input.from.as_str()) else {
        return Ok(());
    };
    let exists = match &input.output {
        Some(output) => declared.outputs.contains(output),
        None => !declared.outputs.is_empty(),
    };
    if exists {
        return Ok(());
    }
    let why = match declared.outputs {
        [] => format!("the plugin of `{}` has no outputs", input.from),
        outputs => format!("the plugin of `{}` has {}", input.from, outputs.join(", ")),
    };
    Err(Error::new(
        Kind::Invalid,
        format!("{reader} reads `{}`, which does not exist", text(input)),
        why,
    ))
}

fn text(input: &Input) -> String {
    match &input.output {
        Some(output) => format!("{}.{output}", input.from),
        None => input.from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Checkpoint, Delivery, Limits, OnError, Operator, Sink, Target};

    fn input(text: &str) -> Input {
        let (from, output) = text
            .split_once('.')
            .map_or((text, None), |(from, output)| (from, Some(output.to_owned())));
        Input {
            from: from.into(),
            output,
        }
    }

    fn pipeline(inputs: &[&str], sink_from: &str) -> Pipeline {
        Pipeline {
            name: "p".into(),
            delivery: Delivery::AtLeastOnce,
            workers: 1,
            instance: None,
            queue_bytes: 1 << 20,
            sources: Vec::new(),
            operators: vec![Operator {
                name: "parse".into(),
                plugin: "parse.wasm".into(),
                inputs: inputs.iter().map(|text| input(text)).collect(),
                config: String::new(),
                on_error: OnError::Fail,
                limits: Limits::default(),
            }],
            sinks: vec![Sink {
                name: "out".into(),
                from: vec![input(sink_from)],
                target: Target::File(None),
            }],
            dead_letters: None,
            checkpoint: Some(Checkpoint {
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(60),
            }),
            state_dir: ".sandbar/p".into(),
        }
    }

    fn checked(inputs: &[&str], sink_from: &str, outputs: &[&str]) -> Result<()> {
        let takes = ["in".to_owned()];
        let outputs: Vec<String> = outputs.iter().map(|&name| name.to_owned()).collect();
        let declared = Declared {
            inputs: &takes,
            outputs: &outputs,
        };
        check(&pipeline(inputs, sink_from), &BTreeMap::from([("parse", declared)]))
    }

    #[test]
    fn an_operator_has_as_many_inputs_as_its_plugin_takes() {
        assert_eq!(checked(&["views"], "parse", &["out"]), Ok(()));
        let error = checked(&["views", "clicks"], "parse", &["out"]).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(
            error.why.contains("takes 1 (in), the file gives it 2 (views, clicks)"),
            "{error}"
        );
    }

    #[test]
    fn an_output_that_the_plugin_does_not_declare_is_refused_by_name() {
        assert_eq!(checked(&["views"], "parse.rejected", &["out", "rejected"]), Ok(()));
        let error = checked(&["views"], "parse.rejcted", &["out", "rejected"]).unwrap_err();
        assert!(
            error.what.contains("sink `out` reads `parse.rejcted`") && error.why.contains("out, rejected"),
            "{error}"
        );
        assert!(checked(&["views"], "parse", &[]).is_err());
    }
}
