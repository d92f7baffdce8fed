//! IncrementalAlterConfigs and its elder, AlterConfigs: topics' settings change, all that one request says of a topic
//! or nothing of it.

use super::describe::{OF_BROKER, OF_TOPIC, missing, unexpected};
use super::topic::{TopicConfig, parts};
use crate::broker::disk::journal::JournalEvent;
use crate::broker::state::BrokerState;
use crate::broker::topics::refusal::RequestRefusal;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_request::AlterableConfig as Setting;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Replaced;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig as Change;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;

/// What is done to a setting; the protocol's numbers.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Answers IncrementalAlterConfigs: what is not named stays as it is.
pub(in crate::broker) fn alter(
    state: &mut BrokerState,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let twice = twice(request.resources.iter().map(|of| (of.resource_type, &of.resource_name)));
    let responses = request.resources.into_iter().map(|of| {
        let asked = AskedResource {
            resource: (of.resource_type, &of.resource_name),
            twice: &twice,
            validate_only: request.validate_only,
        };
        let names = of.configs.iter().map(|change| &change.name);
        let (code, why) = asked.answer(state, names, |config| altered(config, &of.configs));
        Altered::default()
            .with_resource_type(of.resource_type)
            .with_resource_name(of.resource_name)
            .with_error_code(code)
            .with_error_message(why)
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

/// Answers AlterConfigs: what is not named goes back to the value for all topics.
pub(in crate::broker) fn replace(state: &mut BrokerState, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let twice = twice(request.resources.iter().map(|of| (of.resource_type, &of.resource_name)));
    let responses = request.resources.into_iter().map(|of| {
        let asked = AskedResource {
            resource: (of.resource_type, &of.resource_name),
            twice: &twice,
            validate_only: request.validate_only,
        };
        let names = of.configs.iter().map(|setting| &setting.name);
        let (code, why) = asked.answer(state, names, |_| replaced(&of.configs));
        Replaced::default()
            .with_resource_type(of.resource_type)
            .with_resource_name(of.resource_name)
            .with_error_code(code)
            .with_error_message(why)
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// What a request asks of one resource: its kind and name.
struct AskedResource<'a> {
    resource: (i8, &'a StrBytes),
    /// What the request names more than once.
    twice: &'a BTreeSet<(i8, StrBytes)>,
    validate_only: bool,
}

impl AskedResource<'_> {
    /// The code and the words of the answer; the settings are edited if nothing speaks against it.
    fn answer<'a>(
        &self,
        state: &mut BrokerState,
        settings: impl Iterator<Item = &'a StrBytes>,
        edit: impl FnOnce(TopicConfig) -> Result<TopicConfig, RequestRefusal>,
    ) -> (i16, Option<StrBytes>) {
        match self.once(settings).and_then(|()| self.change(state, edit)) {
            Ok(()) => (0, None),
            Err((error, why)) => (error.code(), Some(why.into())),
        }
    }

    /// Refuses what is named more than once: nobody can say which of the two counts.
    fn once<'a>(&self, mut settings: impl Iterator<Item = &'a StrBytes>) -> Result<(), RequestRefusal> {
        let refused = |why: &str| Err((ResponseError::InvalidRequest, why.to_owned()));
        let (kind, name) = self.resource;
        if self.twice.contains(&(kind, name.clone())) {
            return refused("Each resource must appear at most once.");
        }
        let mut seen = BTreeSet::new();
        match settings.all(|setting| seen.insert(setting)) {
            true => Ok(()),
            false => refused("Error due to duplicate config keys"),
        }
    }

    /// Changes a topic's settings: in the journal first.
    fn change(
        &self,
        state: &mut BrokerState,
        edit: impl FnOnce(TopicConfig) -> Result<TopicConfig, RequestRefusal>,
    ) -> Result<(), RequestRefusal> {
        let (kind, name) = self.resource;
        if kind != OF_TOPIC {
            return Err(unexpected_change(kind));
        }
        let topic = state.topics.get(name.as_str()).ok_or_else(|| missing(name))?;
        let config = edit(topic.config.clone())?;
        if self.validate_only || config == topic.config {
            return Ok(());
        }
        let event = JournalEvent::Configured {
            topic: name.to_string(),
            config: config.clone(),
        };
        state
            .record(&[event])
            .map_err(|error| (error, "the settings could not be written".to_owned()))?;
        if let Some(topic) = state.topics.get_mut(name.as_str()) {
            topic.configure(config);
        }
        state.tidy();
        Ok(())
    }
}

fn replaced(settings: &[Setting]) -> Result<TopicConfig, RequestRefusal> {
    let mut config = TopicConfig::default();
    for setting in settings {
        put(&mut config, &setting.name, setting.value.as_ref())?;
    }
    Ok(config)
}

fn altered(mut config: TopicConfig, changes: &[Change]) -> Result<TopicConfig, RequestRefusal> {
    for change in changes {
        let name = change.name.as_str();
        match change.config_operation {
            SET => put(&mut config, name, change.value.as_ref())?,
            DELETE => config.clear(name),
            APPEND => edit_list(&mut config, change, |list, part| {
                if !list.contains(&part) {
                    list.push(part);
                }
            })?,
            SUBTRACT => edit_list(&mut config, change, |list, part| list.retain(|old| *old != part))?,
            other => {
                let why = format!("Unknown operation type {other}.");
                return Err((ResponseError::InvalidRequest, why));
            }
        }
    }
    Ok(config)
}

fn put(config: &mut TopicConfig, name: &str, value: Option<&StrBytes>) -> Result<(), RequestRefusal> {
    let value = value.ok_or_else(|| null(name))?;
    config
        .set(name, value)
        .map_err(|why| (ResponseError::InvalidConfig, why))
}

fn edit_list(
    config: &mut TopicConfig,
    change: &Change,
    edit: fn(&mut Vec<String>, String),
) -> Result<(), RequestRefusal> {
    let name = change.name.as_str();
    let value = change.value.as_ref().ok_or_else(|| null(name))?;
    let no_list = || {
        let why = format!("the embedded broker can't add to {name} or take from it: it is no list that it has");
        (ResponseError::InvalidConfig, why)
    };
    let mut list = config.list(name).ok_or_else(no_list)?;
    parts(value).for_each(|part| edit(&mut list, part.to_owned()));
    config
        .set(name, &list.join(","))
        .map_err(|why| (ResponseError::InvalidConfig, why))
}

/// What a request names more than once.
fn twice<'a>(resources: impl Iterator<Item = (i8, &'a StrBytes)>) -> BTreeSet<(i8, StrBytes)> {
    let mut seen = BTreeSet::new();
    resources
        .map(|(kind, name)| (kind, name.clone()))
        .filter(|of| !seen.insert(of.clone()))
        .collect()
}

fn null(name: &str) -> RequestRefusal {
    (
        ResponseError::InvalidRequest,
        format!("Null value not supported for : {name}"),
    )
}

/// The broker's own settings are what its code does.
fn unexpected_change(kind: i8) -> RequestRefusal {
    match kind {
        OF_BROKER => (
            ResponseError::InvalidRequest,
            "the embedded broker's own settings are fixed".to_owned(),
        ),
        other => unexpected(other),
    }
}
