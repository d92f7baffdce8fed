//! DescribeConfigs, and what CreateTopics tells of a new topic's settings.

use super::known::{SettingKind, TOPIC, TopicSetting};
use super::own::of_broker;
use super::topic::TopicConfig;
use crate::broker::node::NODE;
use crate::broker::state::BrokerState;
use crate::broker::topics::refusal::{RequestRefusal, check_name};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_response::CreatableTopicConfigs;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;

/// What has settings; the protocol's numbers.
pub(in crate::broker) const OF_TOPIC: i8 = 2;
pub(in crate::broker) const OF_BROKER: i8 = 4;

/// Where a value comes from; the protocol's numbers.
const FROM_TOPIC: i8 = 1;
const FROM_DEFAULT: i8 = 5;

/// Answers DescribeConfigs. Whoever asks twice for all of one thing hears it once, so that an answer is no larger than
/// what there is.
pub(in crate::broker) fn describe(state: &BrokerState, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut seen = BTreeSet::new();
    let is_first = |resource: &DescribeConfigsResource| {
        wanted(resource).is_some() || seen.insert((resource.resource_type, resource.resource_name.clone()))
    };
    let asked: Vec<_> = request.resources.into_iter().filter(is_first).collect();
    let results = asked.into_iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match entries(state, &resource, request.include_synonyms) {
            Ok(entries) => result.with_configs(entries),
            Err((error, why)) => result
                .with_error_code(error.code())
                .with_error_message(Some(why.into())),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// What CreateTopics tells of a topic.
pub(in crate::broker) fn of_new_topic(config: &TopicConfig) -> Vec<CreatableTopicConfigs> {
    let entry = |setting: &TopicSetting| {
        let given = config.given(setting);
        CreatableTopicConfigs::default()
            .with_name(setting.name.into())
            .with_value(Some(given.unwrap_or(setting.value).to_owned().into()))
            .with_config_source(source(given))
    };
    TOPIC.iter().map(entry).collect()
}

fn entries(
    state: &BrokerState,
    resource: &DescribeConfigsResource,
    with_synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, RequestRefusal> {
    let name = resource.resource_name.as_str();
    let all: Vec<DescribeConfigsResourceResult> = match resource.resource_type {
        OF_TOPIC => {
            check_name(name)?;
            let topic = state.topics.get(name).ok_or_else(|| missing(name))?;
            let entry = |setting: &TopicSetting| of_topic(setting, &topic.config, with_synonyms);
            TOPIC.iter().map(entry).collect()
        }
        // What is set for all brokers at once: nothing.
        OF_BROKER if name.is_empty() => Vec::new(),
        OF_BROKER if name == NODE.0.to_string() => broker_entries(),
        OF_BROKER => {
            let why = format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                NODE.0
            );
            return Err((ResponseError::InvalidRequest, why));
        }
        other => return Err(unexpected(other)),
    };
    Ok(match wanted(resource) {
        Some(names) => {
            let names: BTreeSet<_> = names.iter().collect();
            all.into_iter().filter(|entry| names.contains(&entry.name)).collect()
        }
        None => all,
    })
}

/// The settings that are asked for by their names; nothing means all.
fn wanted(resource: &DescribeConfigsResource) -> Option<&Vec<StrBytes>> {
    resource.configuration_keys.as_ref().filter(|names| !names.is_empty())
}

fn of_topic(setting: &TopicSetting, config: &TopicConfig, with_synonyms: bool) -> DescribeConfigsResourceResult {
    let given = config.given(setting);
    let synonym = |name: &'static str, value: &str, source| {
        DescribeConfigsSynonym::default()
            .with_name(name.into())
            .with_value(Some(value.to_owned().into()))
            .with_source(source)
    };
    let mut synonyms = Vec::new();
    if with_synonyms {
        synonyms.extend(given.map(|value| synonym(setting.name, value, FROM_TOPIC)));
        synonyms.push(synonym(setting.broker_name, setting.value, FROM_DEFAULT));
    }
    entry(setting.name, given.unwrap_or(setting.value).to_owned(), setting.kind)
        .with_config_source(source(given))
        .with_synonyms(synonyms)
}

fn broker_entries() -> Vec<DescribeConfigsResourceResult> {
    let for_topics = TOPIC
        .iter()
        .map(|setting| (setting.broker_name, setting.value.to_owned(), setting.kind));
    let mut all: Vec<_> = of_broker().into_iter().chain(for_topics).collect();
    all.sort_unstable_by_key(|(name, ..)| *name);
    let fixed = |(name, value, kind)| {
        entry(name, value, kind)
            .with_read_only(true)
            .with_config_source(FROM_DEFAULT)
    };
    all.into_iter().map(fixed).collect()
}

fn entry(name: &'static str, value: String, kind: SettingKind) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(name.into())
        .with_value(Some(value.into()))
        .with_config_type(kind as i8)
}

fn source(given: Option<&str>) -> i8 {
    given.map_or(FROM_DEFAULT, |_| FROM_TOPIC)
}

/// The refusal of a topic that is not there.
pub(in crate::broker) fn missing(topic: &str) -> RequestRefusal {
    let why = format!("The topic '{topic}' does not exist.");
    (ResponseError::UnknownTopicOrPartition, why)
}

/// The refusal of a kind of thing that has no settings here.
pub(in crate::broker) fn unexpected(kind: i8) -> RequestRefusal {
    let why = format!("the embedded broker has settings of topics and of itself, and none of resource type {kind}");
    (ResponseError::InvalidRequest, why)
}
