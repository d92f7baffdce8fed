//! Properties for librdkafka: which are the host's own, and what a source or sink inherits.

use std::collections::BTreeMap;

use crate::config::Cluster;
use crate::error::{Error, Result};
use crate::login::{RefusedProperty, Secret, sign_in};

use super::file::Kafka;
use super::property::{Property, Reference};
use super::text::document::Span;
use super::text::scope::Scope;
use super::text::secrets::is_secret;
use super::text::values::{At, Named};

/// Properties that the host sets, and what to do instead.
#[rustfmt::skip]
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "the addresses are `brokers`"),
    ("metadata.broker.list", "the addresses are `brokers`"),
    ("group.id", "the group is the source's `group`"),
    ("group.instance.id", "static membership follows from the pipeline's `instance`"),
    ("group.protocol", "tasks move between workers as the classic protocol lets them, which the host relies on"),
    ("group.protocol.type", "tasks move between workers as the classic protocol lets them, which the host relies on"),
    ("group.remote.assignor", "tasks move between workers as the classic protocol lets them, which the host relies on"),
    ("partition.assignment.strategy", "partitions move cooperatively, which the host's commits rely on"),
    ("session.timeout.ms", "it is the source's `session-timeout`"),
    ("max.poll.interval.ms", "the host polls while a plugin runs and sets it to fit"),
    ("enable.auto.commit",
        "positions are committed after their outputs were acknowledged; see the source's `commit-offsets`"),
    ("auto.commit.enable",
        "positions are committed after their outputs were acknowledged; see the source's `commit-offsets`"),
    ("auto.commit.interval.ms", "it is the source's `auto-commit-interval`"),
    ("enable.auto.offset.store", "the host keeps positions itself; see the source's `commit-offsets`"),
    ("offset.store.method", "the host keeps positions itself; see the source's `offsets`"),
    ("offset.store.path", "the host keeps positions itself; see the source's `offsets`"),
    ("offset.store.sync.interval.ms", "the host keeps positions itself; see the source's `offsets`"),
    ("auto.offset.reset", "it is the source's `otherwise` at the start, and `on-out-of-range` later"),
    ("isolation.level", "only committed records are read"),
    ("enable.partition.eof", "the host ends bounded runs by position; see the source's `stop`"),
    ("allow.auto.create.topics", "a missing topic is an error; `sandbar topics create` makes one"),
    ("topic.metadata.refresh.interval.ms", "it is the source's `discovery-interval`"),
    ("topic.blacklist", "what is read follows from the source's `topics`, `topic-pattern` or `partitions`"),
    ("fetch.queue.backoff.ms", "the host sets it so that queues stay within `queue-memory`"),
    ("queued.min.messages", "queues follow from `queue-memory`"),
    ("queued.max.messages.kbytes", "queues follow from `queue-memory`"),
    ("queue.buffering.max.messages", "queues follow from `queue-memory`"),
    ("queue.buffering.max.kbytes", "queues follow from `queue-memory`"),
    ("enable.idempotence", "every producer is idempotent"),
    ("enable.gapless.guarantee", "an output that cannot be delivered always stops the pipeline"),
    ("acks", "an output counts when all in-sync replicas have it"),
    ("request.required.acks", "an output counts when all in-sync replicas have it"),
    ("max.in.flight", "idempotent producers keep the order and set it to fit"),
    ("max.in.flight.requests.per.connection", "idempotent producers keep the order and set it to fit"),
    ("retries", "an output is sent again until it is acknowledged"),
    ("message.send.max.retries", "an output is sent again until it is acknowledged"),
    ("retry.backoff.ms", "the host sets it to fit its own time limits"),
    ("retry.backoff.max.ms", "the host sets it to fit its own time limits"),
    ("message.timeout.ms", "an output waits for as long as the broker is away; it is never given up"),
    ("delivery.timeout.ms", "an output waits for as long as the broker is away; it is never given up"),
    ("transactional.id", "transactions are the host's; see `delivery`"),
    ("transaction.timeout.ms", "transactions are the host's; see `delivery`"),
    ("delivery.report.only.error", "the host counts every report"),
    ("dr_cb", "the host counts every report"),
    ("dr_msg_cb", "the host counts every report"),
    ("partitioner", "it is the sink's `partitioner`"),
    ("queuing.strategy", "the order of each partition is kept"),
    ("produce.offset.report", "the host counts every report"),
    ("statistics.interval.ms", "figures are those of `--http`, at /metrics"),
    ("plugin.library.paths", "native code is not loaded; logic runs as sandboxed plugins"),
];

/// The cluster of `part` (`source.views`): its own settings over the inherited ones.
pub(super) fn cluster(part: &str, inherited: &Kafka, own: Option<&At<Kafka>>, scope: &Scope<'_>) -> Result<Cluster> {
    let (brokers, granted) = match own.map(|own| reached(part, &own.value, scope)).transpose()?.flatten() {
        Some(own) => own,
        None => reached("kafka", inherited, scope)?.ok_or_else(|| {
            let why = "neither `kafka.brokers` nor its own `kafka.brokers` is set";
            (scope.refuse(None, format!("`{part}` has no brokers"), why))
                .hint("write brokers = \"127.0.0.1:9092\" under [kafka]")
        })?,
    };
    let mut given = granted;
    given.extend(sourced("kafka", &inherited.properties, scope)?);
    if let Some(own) = own {
        given.extend(sourced(&format!("{part}.kafka"), &own.value.properties, scope)?);
    }
    let values = given.iter().map(|(name, given)| (name.clone(), given.value.clone()));
    let (properties, login) = sign_in(values.collect()).map_err(|refusal| not_built(refusal, &given, scope))?;
    Ok(Cluster {
        brokers,
        properties,
        login,
    })
}

/// The brokers that a table names, and the properties of the cluster if it names one; `None`: it names neither.
fn reached(table: &str, kafka: &Kafka, scope: &Scope<'_>) -> Result<Option<(String, BTreeMap<String, Given>)>> {
    let (brokers, name) = match (&kafka.brokers, &kafka.cluster) {
        (None, None) => return Ok(None),
        (Some(brokers), None) => return Ok(Some((brokers.value.0.clone(), BTreeMap::new()))),
        (brokers, Some(name)) => (brokers, name),
    };
    let what = |what: &str| format!("`cluster = \"{}\"` in `{table}` {what}", name.value.0);
    let refuse = |problem: &str, why: &str| Err(scope.refuse(name.span.as_ref(), what(problem), why));
    if brokers.is_some() {
        return refuse("does not go with `brokers`", "the cluster has its own");
    }
    let Some(grant) = scope.grant() else {
        return refuse(
            "cannot be used",
            "clusters are kept by `sandbar serve`, and this process was not started by it: write `brokers`",
        );
    };
    let clusters = grant.clusters.as_ref();
    let Some(cluster) = clusters.and_then(|clusters| clusters.get(&name.value.0)) else {
        let known: Vec<_> = clusters.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let why = match known.as_slice() {
            [] => "the tenant has no clusters".to_owned(),
            known => format!("the tenant has {}", known.join(", ")),
        };
        return refuse("is not known", &why);
    };
    if let Some(secret) = &cluster.missing_secret {
        let why = format!("it refers to the secret `{secret}`, which the tenant does not have");
        return refuse("cannot be used", &why);
    }
    let given = |(property, value): (&String, &String)| {
        let given = Given {
            table: table.to_owned(),
            span: name.span.clone(),
            value: Secret::Text(value.clone()),
        };
        (property.clone(), given)
    };
    Ok(Some((
        cluster.brokers.clone(),
        cluster.properties.iter().map(given).collect(),
    )))
}

/// A property's value, and where it stands.
struct Given {
    table: String,
    span: Option<Span>,
    value: Secret,
}

fn not_built(refusal: RefusedProperty, given: &BTreeMap<String, Given>, scope: &Scope<'_>) -> Error {
    let at = given.get(&refusal.name);
    let table = at.map_or("kafka", |given| &given.table);
    let what = format!("`{}` in `{table}.properties` cannot be used", refusal.name);
    let error = scope.refuse(at.and_then(|given| given.span.as_ref()), what, refusal.why);
    refusal.hint.into_iter().fold(error, Error::hint)
}

/// Where the values of properties come from; refuses those of the host, secrets that stand in the file, and references
/// that lead nowhere.
fn sourced(table: &str, properties: &Named<Property>, scope: &Scope<'_>) -> Result<BTreeMap<String, Given>> {
    let value = |(name, property): &(At<String>, Property)| {
        refuse_owned(table, name, scope)?;
        let value = match property {
            // Not now: it is a program of somebody's.
            Property::Reference(Reference::Command(command)) => Secret::Command(command.clone()),
            Property::Reference(Reference::File(path)) => {
                resolve(table, name, property, scope)?;
                Secret::File(scope.base().join(path))
            }
            _ => Secret::Text(resolve(table, name, property, scope)?),
        };
        let given = Given {
            table: table.to_owned(),
            span: name.span.clone(),
            value,
        };
        Ok((name.value.clone(), given))
    };
    properties.0.iter().map(value).collect()
}

fn refuse_owned(table: &str, name: &At<String>, scope: &Scope<'_>) -> Result<()> {
    match OWNED.iter().find(|(owned, _)| *owned == name.value) {
        None => Ok(()),
        Some((_, instead)) => {
            let what = format!("`{}` in `{table}.properties` is set by the host", name.value);
            Err(scope.refuse(name.span.as_ref(), what, instead))
        }
    }
}

/// A property's value; refuses a secret that stands in the file, and a reference that leads nowhere.
pub(super) fn resolve(table: &str, name: &At<String>, property: &Property, scope: &Scope<'_>) -> Result<String> {
    match property {
        Property::Reference(reference) => reference.resolve(scope.base(), scope.grant()).map_err(|why| {
            let what = format!("`{}` in `{table}.properties` has no value", name.value);
            scope.refuse(name.span.as_ref(), what, why)
        }),
        _ if is_secret(&name.value) => {
            let what = format!("`{}` in `{table}.properties` is a secret", name.value);
            let error = scope.refuse(
                name.span.as_ref(),
                what,
                "secrets are references, never text in the file",
            );
            Err(error.hint(format!(
                "write \"{}\" = {{ env = \"NAME\" }} or {{ file = \"path\" }}",
                name.value
            )))
        }
        plain => Ok(plain.plain().unwrap_or_default()),
    }
}
