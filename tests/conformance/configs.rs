//! Settings of topics: what is told of them is so, and what is set is in force.

use crate::client::{Record, Report, admin, fresh, options, partition_count, produce, topic, until, wait};
use crate::survival::{Process, settings};
use crate::wire::{self, string};
use rdkafka::admin::{ConfigEntry, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::types::RDKafkaErrorCode as Code;
use sandbar::broker::Broker;
use std::time::{SystemTime, UNIX_EPOCH};

const BYTES: &str = "max.message.bytes";
const BEFORE: &str = "message.timestamp.before.max.ms";
const AFTER: &str = "message.timestamp.after.max.ms";
const HOUR_MS: i64 = 3_600_000;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// A change as it goes over the wire: setting, what is done to it, value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

pub(crate) fn a_topic_tells_its_settings(bootstrap: &str) {
    let name = create(bootstrap, &[(BYTES, "2000")]).unwrap();
    let told = describe(bootstrap, &name).unwrap();
    let bytes = told.get(BYTES).unwrap();
    assert_eq!(
        (bytes.value.as_deref(), &bytes.source),
        (Some("2000"), &ConfigSource::DynamicTopic)
    );
    assert!(
        !bytes.is_read_only && !bytes.is_default && !bytes.is_sensitive,
        "{bytes:?}"
    );
    for (setting, value) in [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        (BEFORE, "9223372036854775807"),
        (AFTER, "9223372036854775807"),
        ("message.timestamp.type", "CreateTime"),
        ("min.insync.replicas", "1"),
        ("retention.bytes", "-1"),
        ("retention.ms", "-1"),
    ] {
        let entry = told.get(setting).unwrap_or_else(|| panic!("{setting} is not told"));
        assert_eq!(entry.value.as_deref(), Some(value), "{setting}");
        assert_ne!(entry.source, ConfigSource::DynamicTopic, "{setting}");
    }
    let unknown = fresh("unknown");
    assert_eq!(names(bootstrap, &unknown, None), Err(3));
    assert_eq!(partition_count(bootstrap, &unknown), Err(Code::UnknownTopicOrPartition));
}

pub(crate) fn a_limit_on_bytes_counts_from_when_it_is_set(bootstrap: &str) {
    let name = create(bootstrap, &[(BYTES, "150")]).unwrap();
    // 61 bytes, and 8 a record.
    let of = |count| wire::produce(bootstrap, &name, 0, &wire::batch(-1, -1, -1, count)).0;
    assert_eq!((of(11), of(12)), (0, 10));
    assert_eq!(alter(bootstrap, &name, &[(BYTES, SET, Some("200"))]), 0);
    until("the higher limit is in force", || of(12) == 0);
    assert_eq!((of(17), of(18)), (0, 10));
    assert_eq!(alter(bootstrap, &name, &[(BYTES, DELETE, None)]), 0);
    until("there is no limit but the broker's", || of(18) == 0);
    until("that is told", || value(bootstrap, &name, BYTES) == "1048588");
}

pub(crate) fn a_time_outside_the_limits_is_refused(bootstrap: &str) {
    let hour = HOUR_MS.to_string();
    let name = create(bootstrap, &[(BEFORE, &hour), (AFTER, &hour)]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let record = |timestamp| Record {
        timestamp,
        value: Some(b"x".to_vec()),
        ..Record::default()
    };
    let outside = [now - 2 * HOUR_MS, now + 2 * HOUR_MS];
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let send = |times: &[i64]| -> Vec<Report> {
            let records: Vec<Record> = times.iter().copied().map(record).collect();
            produce(bootstrap, &name, 0, &records, &[("compression.codec", codec)])
        };
        assert!(
            send(&[now, now - HOUR_MS / 2, now + HOUR_MS / 2])
                .iter()
                .all(Result::is_ok),
            "{codec}"
        );
        for time in outside {
            // One record in the middle is enough, whatever the batch says of itself.
            let reports = send(&[now, time, now]);
            assert!(reports.contains(&Err(Code::InvalidTimestamp)), "{codec}: {reports:?}");
        }
    }
    let of_1970 = || wire::produce(bootstrap, &name, 0, &wire::batch(-1, -1, -1, 1)).0;
    assert_eq!(of_1970(), 32);
    assert_eq!(alter(bootstrap, &name, &[(BEFORE, DELETE, None)]), 0);
    until("any earlier time is taken", || of_1970() == 0);
}

pub(crate) fn what_is_not_named_stays(bootstrap: &str) {
    let name = create(bootstrap, &[(BYTES, "2000")]).unwrap();
    assert_eq!(alter(bootstrap, &name, &[(BEFORE, SET, Some("5000"))]), 0);
    until("it is set", || value(bootstrap, &name, BEFORE) == "5000");
    assert_eq!(value(bootstrap, &name, BYTES), "2000");
    // What is there already is not appended again.
    assert_eq!(
        alter(bootstrap, &name, &[("cleanup.policy", APPEND, Some("delete"))]),
        0
    );
    assert_eq!(value(bootstrap, &name, "cleanup.policy"), "delete");
}

pub(crate) fn what_is_not_named_to_the_elder_request_goes_back(bootstrap: &str) {
    let name = create(bootstrap, &[(BYTES, "2000")]).unwrap();
    assert_eq!(replace(bootstrap, (TOPIC, &name), &[(BEFORE, "5000")]), 0);
    until("one is set and the other is not", || {
        value(bootstrap, &name, BEFORE) == "5000" && value(bootstrap, &name, BYTES) == "1048588"
    });
    assert_eq!(replace(bootstrap, (TOPIC, &name), &[("nonsense", "1")]), 40);
    assert_eq!(value(bootstrap, &name, BEFORE), "5000");
}

pub(crate) fn what_cannot_be_set_is_refused_by_name(bootstrap: &str) {
    assert_eq!(create(bootstrap, &[("nonsense", "1")]), Err(Code::InvalidConfig));
    let name = topic(bootstrap, 1);
    let fine: Change<'_> = (BYTES, SET, Some("2000"));
    let refused: &[(&[Change<'_>], i16)] = &[
        (&[fine, ("nonsense", SET, Some("1"))], 40),
        (&[fine, (BEFORE, SET, Some("-5"))], 40),
        (&[fine, (BEFORE, SET, Some("many"))], 40),
        (&[fine, (BEFORE, APPEND, Some("1"))], 40),
        (&[fine, (BEFORE, SUBTRACT, Some("1"))], 40),
        (&[fine, (BEFORE, SET, None)], 42),
        (&[fine, fine], 42),
    ];
    for (changes, code) in refused {
        assert_eq!(alter(bootstrap, &name, changes), *code, "{changes:?}");
    }
    assert_eq!(alter(bootstrap, &fresh("unknown"), &[fine]), 3);
    let twice = [(name.as_str(), &[fine][..]), (name.as_str(), &[][..])];
    assert_eq!(
        alter_all(bootstrap, &twice, false)
            .iter()
            .map(|of| of.0)
            .collect::<Vec<_>>(),
        [42, 42]
    );
    let only_validated = alter_all(bootstrap, &[(&name, &[fine])], true);
    assert_eq!(only_validated[0].0, 0);
    let (_, why) = alter_all(bootstrap, &[(&name, &[("nonsense", SET, Some("1"))])], false).remove(0);
    assert!(why.contains("nonsense"), "{why}");

    // All that was refused was refused whole: a change that comes after it is the only one.
    assert_eq!(alter(bootstrap, &name, &[(AFTER, SET, Some("5000"))]), 0);
    until("it is set", || value(bootstrap, &name, AFTER) == "5000");
    assert_eq!(value(bootstrap, &name, BYTES), "1048588");
}

pub(crate) fn only_what_is_asked_for_is_told(bootstrap: &str) {
    let name = topic(bootstrap, 1);
    assert_eq!(
        names(bootstrap, &name, Some(&[BYTES, "nonsense", BYTES])).unwrap(),
        [BYTES]
    );
    assert_eq!(names(bootstrap, &name, Some(&["nonsense"])).unwrap(), [""; 0]);
    for all in [None, Some(&[][..])] {
        let names = names(bootstrap, &name, all).unwrap();
        assert!(
            names.iter().any(|name| name == "retention.ms") && names.len() > 8,
            "{names:?}"
        );
    }
}

pub(crate) fn the_broker_tells_of_itself(bootstrap: &str) {
    let of = |id| {
        let broker = ResourceSpecifier::Broker(id);
        wait(admin(bootstrap).describe_configs([&broker], &options()))
            .unwrap()
            .remove(0)
    };
    let told = of(1).unwrap();
    for (setting, value) in [
        ("node.id", "1"),
        ("auto.create.topics.enable", "false"),
        ("message.max.bytes", "1048588"),
        ("log.cleanup.policy", "delete"),
        ("log.retention.ms", "-1"),
        ("offset.metadata.max.bytes", "4096"),
        ("transaction.max.timeout.ms", "900000"),
    ] {
        let entry = told.get(setting).unwrap_or_else(|| panic!("{setting} is not told"));
        assert_eq!(entry.value.as_deref(), Some(value), "{setting}");
    }
    assert_eq!(replace(bootstrap, (BROKER, "1"), &[("node.id", "7")]), 42);
}

/// Not a case: what Apache Kafka can do and the embedded broker can't is refused, and not kept to be ignored.
pub(crate) fn what_the_embedded_broker_cannot_do_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(settings(folder.path())).unwrap();
    let bootstrap = broker.address().to_string();
    let name = topic(&bootstrap, 1);
    for (setting, value) in [
        ("cleanup.policy", "compact"),
        ("retention.ms", "1000"),
        ("retention.bytes", "1000"),
        ("compression.type", "zstd"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "2"),
        (BYTES, "1048589"),
        ("delete.retention.ms", "1000"),
    ] {
        assert_eq!(
            create(&bootstrap, &[(setting, value)]),
            Err(Code::InvalidConfig),
            "{setting}"
        );
        let (code, why) = alter_all(&bootstrap, &[(&name, &[(setting, SET, Some(value))])], false).remove(0);
        assert!(
            code == 40 && why.contains(&format!("{setting}={value}")),
            "{code}: {why}"
        );
    }
    let (code, why) = alter_all(
        &bootstrap,
        &[(&name, &[("cleanup.policy", SUBTRACT, Some("delete"))])],
        false,
    )
    .remove(0);
    assert!(code == 40 && why.contains("cleanup.policy"), "{code}: {why}");
    // How a log is cut into files is no business of a log of one file.
    let of_files = [("segment.bytes", "52428800"), ("retention.ms", "-1")];
    let made = create(&bootstrap, &of_files).unwrap();
    assert!(describe(&bootstrap, &made).unwrap().get("segment.bytes").is_none());
    assert_eq!(
        alter(&bootstrap, &name, &[("segment.bytes", SET, Some("52428800"))]),
        40
    );
}

pub(crate) fn settings_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let created = create(&process.address, &[(BYTES, "150")]).unwrap();
    let altered = create(&process.address, &[(BYTES, "1000")]).unwrap();
    assert_eq!(
        alter(
            &process.address,
            &altered,
            &[(BYTES, SET, Some("200")), (BEFORE, SET, Some("7"))]
        ),
        0
    );
    // Twice: the first start reads what was written, and the second one the summary that the first one wrote of it.
    for _ in 0..2 {
        process.kill();
        process = Process::start(folder.path());
        assert_eq!(value(&process.address, &created, BYTES), "150");
        assert_eq!(value(&process.address, &altered, BYTES), "200");
        assert_eq!(value(&process.address, &altered, BEFORE), "7");
        let refused = wire::produce(&process.address, &created, 0, &wire::batch(-1, -1, -1, 12));
        assert_eq!(refused.0, 10);
    }
}

fn create(bootstrap: &str, configs: &[(&str, &str)]) -> Result<String, Code> {
    let name = fresh("configured");
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    let new = configs
        .iter()
        .fold(new, |new, (setting, value)| new.set(setting, value));
    let made = wait(admin(bootstrap).create_topics([&new], &options())).unwrap();
    made.into_iter().next().unwrap().map_err(|(_, code)| code)?;
    until("the topic is known", || partition_count(bootstrap, &name) == Ok(1));
    Ok(name)
}

fn describe(bootstrap: &str, topic: &str) -> Result<ConfigResource, Code> {
    let topic = ResourceSpecifier::Topic(topic);
    wait(admin(bootstrap).describe_configs([&topic], &options()))
        .unwrap()
        .remove(0)
}

fn value(bootstrap: &str, topic: &str, setting: &str) -> String {
    let told = describe(bootstrap, topic).unwrap();
    let entry: &ConfigEntry = told.get(setting).unwrap();
    entry.value.clone().unwrap()
}

/// Changes a topic's settings: the error code.
fn alter(bootstrap: &str, topic: &str, changes: &[Change<'_>]) -> i16 {
    alter_all(bootstrap, &[(topic, changes)], false).remove(0).0
}

/// IncrementalAlterConfigs, which rdkafka has no words for: the error code and the message for each topic.
fn alter_all(bootstrap: &str, topics: &[(&str, &[Change<'_>])], only_validate: bool) -> Vec<(i16, String)> {
    let mut body = (topics.len() as i32).to_be_bytes().to_vec();
    for (topic, changes) in topics {
        body.push(TOPIC as u8);
        body.extend(string(topic));
        body.extend((changes.len() as i32).to_be_bytes());
        for (setting, operation, value) in *changes {
            body.extend(string(setting));
            body.push(*operation as u8);
            body.extend(value.map_or_else(|| (-1i16).to_be_bytes().to_vec(), string));
        }
    }
    body.push(u8::from(only_validate));
    let answer = wire::call(bootstrap, 44, 0, &body);
    let mut rest = &answer[8..];
    let answers = topics.iter().map(|(topic, _)| {
        let code = number(&mut rest);
        let why = text(&mut rest);
        rest = &rest[1..];
        assert_eq!(text(&mut rest), *topic);
        (code, why)
    });
    answers.collect()
}

/// AlterConfigs; rdkafka sends it and leaves out of its answer whether it was refused.
fn replace(bootstrap: &str, (kind, name): (i8, &str), settings: &[(&str, &str)]) -> i16 {
    let mut body = 1i32.to_be_bytes().to_vec();
    body.push(kind as u8);
    body.extend(string(name));
    body.extend((settings.len() as i32).to_be_bytes());
    for (setting, value) in settings {
        body.extend([string(setting), string(value)].concat());
    }
    body.push(0);
    number(&mut &wire::call(bootstrap, 33, 0, &body)[8..])
}

/// The names of the settings that DescribeConfigs tells of a topic, asked for by their names, or its error code.
fn names(bootstrap: &str, topic: &str, asked: Option<&[&str]>) -> Result<Vec<String>, i16> {
    let mut body = 1i32.to_be_bytes().to_vec();
    body.push(TOPIC as u8);
    body.extend(string(topic));
    body.extend(asked.map_or(-1, |names| names.len() as i32).to_be_bytes());
    body.extend(asked.unwrap_or_default().iter().flat_map(|name| string(name)));
    body.push(0);
    let answer = wire::call(bootstrap, 32, 1, &body);
    let mut rest = &answer[8..];
    let code = number(&mut rest);
    if code != 0 {
        return Err(code);
    }
    assert_eq!(text(&mut rest), "");
    rest = &rest[1..];
    assert_eq!(text(&mut rest), topic);
    let count = i32::from_be_bytes(rest[..4].try_into().unwrap());
    rest = &rest[4..];
    let names = (0..count).map(|_| {
        let name = text(&mut rest);
        let _value = text(&mut rest);
        // Read-only, source, sensitive, and no synonyms.
        assert_eq!(rest[3..7], [0; 4]);
        rest = &rest[7..];
        name
    });
    Ok(names.collect())
}

fn number(rest: &mut &[u8]) -> i16 {
    let (number, behind) = rest.split_first_chunk().unwrap();
    *rest = behind;
    i16::from_be_bytes(*number)
}

/// A string; nothing for null.
fn text(rest: &mut &[u8]) -> String {
    let length = usize::try_from(number(rest)).unwrap_or(0);
    let (text, behind) = rest.split_at(length);
    *rest = behind;
    String::from_utf8(text.to_vec()).unwrap()
}
