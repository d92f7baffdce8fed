//! The raw file becomes checked settings.

use std::path::{Path, PathBuf};

use crate::config;
use crate::error::Result;

use super::delivery;
use super::file::{File, LimitsTable, OnErrorKey, OperatorTable};
use super::graph::Graph;
use super::text::scope::Scope;
use super::text::values::At;
use super::{location, places, source};

/// The whole pipeline.
pub(super) fn pipeline(file: &File, scope: &Scope<'_>) -> Result<config::Pipeline> {
    let name = file.name.value.0.clone();
    let graph = Graph::of(file, scope)?;
    let delivery = delivery(file, scope)?;
    let sources = (file.source.0.iter())
        .map(|(name, raw)| source::source(name, raw, file, delivery, scope))
        .collect::<Result<Vec<_>>>()?;
    graph.check_sources(&sources, scope)?;
    delivery::one_truth(file, &sources, scope)?;
    let (sinks, dead_letters) = (places::sinks(file, &graph, scope)?, places::dead_letters(file, scope)?);
    if delivery == config::Delivery::ExactlyOnce {
        let all: Vec<_> = sinks.iter().chain(&dead_letters).collect();
        delivery::transactional(file, &sources, &all, scope)?;
    }
    let state_dir = match &file.state.dir {
        Some(dir) => scope.path(&dir.value),
        None => scope.path(&Path::new(".sandbar").join(&name)),
    };
    Ok(config::Pipeline {
        delivery,
        workers: workers(file),
        instance: file.instance.as_ref().map(|instance| instance.value.0.clone()),
        queue_bytes: file.queue_memory.value.0,
        batch_bytes: file.batch_memory.value.0,
        sources,
        operators: operators(file, &graph, scope)?,
        sinks,
        dead_letters,
        checkpoint: checkpoint(file, scope)?,
        compile_cache: compile_cache(&state_dir, scope),
        state_dir,
        state_memory: file.state.memory.value.0,
        allow_dropped_state: false,
        core_dumps: None,
        quotas: quotas(scope),
        keeps_outputs: keeps_outputs(scope),
        name,
    })
}

/// What the tenant's quotas leave its processes a second.
fn quotas(scope: &Scope<'_>) -> config::RateQuotas {
    let limits = scope.grant().map(|grant| &grant.limits);
    limits.map_or_else(config::RateQuotas::default, |limits| config::RateQuotas {
        bytes_in: limits.bytes_in,
        bytes_out: limits.bytes_out,
        cpu_thousandths: limits.cpu_thousandths,
    })
}

/// Bytes of outputs that are kept back, if this is a run of a canary.
fn keeps_outputs(scope: &Scope<'_>) -> Option<u64> {
    let canary = scope.grant()?.canary.as_ref()?;
    Some(canary.output_bytes)
}

/// Compiled plugins are in the working copy, or where the daemon has them.
fn compile_cache(state_dir: &Path, scope: &Scope<'_>) -> config::CompileCache {
    match scope.grant().map(|grant| &grant.code) {
        None => config::CompileCache::own(state_dir.join("compiled")),
        Some(code) => config::CompileCache {
            folder: code.folder.clone(),
            key: Some(code.key),
            is_filled: code.is_made_here,
        },
    }
}

fn workers(file: &File) -> usize {
    match &file.workers {
        Some(workers) => workers.value.0 as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from).min(512),
    }
}

fn delivery(file: &File, scope: &Scope<'_>) -> Result<config::Delivery> {
    let wanted = file.delivery.as_ref();
    let span = wanted.map_or(file.checkpoint.as_ref().and_then(|at| at.span.as_ref()), |at| {
        at.span.as_ref()
    });
    delivery::delivery(file.checkpoint.is_some(), wanted.map(|at| at.value)).map_err(|refusal| refusal.at(span, scope))
}

fn checkpoint(file: &File, scope: &Scope<'_>) -> Result<Option<config::Checkpoint>> {
    let Some(At { value: raw, .. }) = &file.checkpoint else {
        return Ok(None);
    };
    Ok(Some(config::Checkpoint {
        interval: raw.interval.value.duration(),
        timeout: raw.timeout.value.duration(),
        keep: raw.keep.value.0 as usize,
        tolerable_failures: raw.tolerable_failures.value.0 as u32,
        location: location::location(raw, scope)?,
    }))
}

/// A path of the file, or the name of a plugin that comes with Sandbar, which `run` finds.
fn plugin(raw: &Path, scope: &Scope<'_>) -> PathBuf {
    match raw.to_str().is_some_and(config::is_ready_made) {
        true => raw.to_owned(),
        false => scope.path(raw),
    }
}

/// The operators, each behind those that it reads.
fn operators(file: &File, graph: &Graph, scope: &Scope<'_>) -> Result<Vec<config::OperatorConfig>> {
    let place = |&index: &usize| {
        let (name, raw) = &file.operator.0[index];
        Ok(config::OperatorConfig {
            name: name.value.clone(),
            plugin: plugin(&raw.plugin.value, scope),
            inputs: graph.operator_inputs(index),
            config: raw
                .config
                .as_ref()
                .map(|config| config.value.0.clone())
                .unwrap_or_default(),
            config_place: (raw.config.as_ref())
                .and_then(|config| Some(scope.place(config.span.as_ref()?)))
                .unwrap_or_default(),
            on_error: on_error(&name.value, raw, file, scope)?,
            limits: limits(&raw.limits, file),
        })
    };
    graph.order().iter().map(place).collect()
}

fn limits(raw: &LimitsTable, file: &File) -> config::Limits {
    let memory_bytes = raw.memory.value.0;
    let recycle_memory = raw.recycle_memory.as_ref().map(|memory| memory.value.0);
    config::Limits {
        memory_bytes,
        batch_bytes: file.batch_memory.value.0,
        call_time: raw.call_time.value.duration(),
        recycling: config::Recycling {
            memory_bytes: recycle_memory.unwrap_or_else(|| config::Recycling::usual_memory(memory_bytes)),
            records: raw
                .recycle_records
                .as_ref()
                .map(|records| records.value.0.cast_unsigned()),
            age: raw.recycle_age.as_ref().map(|age| age.value.duration()),
        },
    }
}

fn on_error(name: &str, raw: &OperatorTable, file: &File, scope: &Scope<'_>) -> Result<config::OnError> {
    match raw.on_error.value {
        OnErrorKey::Fail => Ok(config::OnError::Fail),
        OnErrorKey::Skip => Ok(config::OnError::Skip),
        OnErrorKey::DeadLetter if file.dead_letters.is_some() => Ok(config::OnError::DeadLetter),
        OnErrorKey::DeadLetter => {
            let what = format!("`operator.{name}.on-error` is \"dead-letter\" and there are no `[dead-letters]`");
            let error = scope.refuse(
                raw.on_error.span.as_ref(),
                what,
                "a refused record would have no place to go",
            );
            Err(error.hint(format!(
                "add [dead-letters] with topic = \"{}.dead\"",
                file.name.value.0
            )))
        }
    }
}
