"""kafka-python against a broker: `exercise.py BOOTSTRAP TOPIC`. What is not as expected ends it with an assertion."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

LIMIT_S = 60
PARTITIONS = 3
RECORDS = 30

bootstrap, topic = sys.argv[1:]
group = topic + "-group"


def until(what, condition):
    end = time.monotonic() + LIMIT_S
    while True:
        if (got := condition()) is not None:
            return got
        assert time.monotonic() < end, f"waited {LIMIT_S} s until {what}"
        time.sleep(0.05)


def create(admin):
    made = {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": {"max.message.bytes": "2000"}}
    admin.create_topics({topic: made}, wait_for_metadata=True)
    [described] = admin.describe_topics([topic])
    assert len(described["partitions"]) == PARTITIONS, described


def produce():
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type="gzip")
    sent = [
        producer.send(topic, key=b"k%d" % n, value=b"v%d" % n, headers=[("n", b"%d" % n)], timestamp_ms=1_000_000 + n)
        for n in range(RECORDS)
    ]
    places = {(at.partition, at.offset) for at in (future.get(LIMIT_S) for future in sent)}
    assert len(places) == RECORDS, places
    producer.close()


def member(**more):
    return KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **more,
    )


def consume(admin):
    consumer, seen = member(), {}

    def read():
        for records in consumer.poll(timeout_ms=500).values():
            seen.update({record.key: record for record in records})
        return len(seen) == RECORDS or None

    until("every record is there", read)
    assert sorted(seen) == sorted(b"k%d" % n for n in range(RECORDS)), seen
    one = seen[b"k7"]
    assert (one.value, one.timestamp, list(one.headers)) == (b"v7", 1_000_007, [("n", b"7")]), one
    consumer.commit()
    described = admin.describe_groups([group])[group]
    assert described["error"] is None and len(described["members"]) == 1, described
    consumer.close()
    committed = admin.list_group_offsets([group])[group]
    assert sum(at.offset for at in committed.values()) == RECORDS, committed
    assert sorted(committed) == [TopicPartition(topic, p) for p in range(PARTITIONS)], committed


def goes_on():
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(topic, value=b"later").get(LIMIT_S)
    producer.close()
    consumer = member()
    values = until("the later record is there", lambda: [
        record.value for records in consumer.poll(timeout_ms=500).values() for record in records
    ] or None)
    assert values == [b"later"], values
    consumer.close()


def configs(admin):
    def of_topic(names=None):
        return ConfigResource(ConfigResourceType.TOPIC, topic, names)

    def value(name):
        found = admin.describe_configs([of_topic([name])], config_filter="all")["topic"][topic]
        assert list(found) == [name], found
        return found[name]["value"], found[name]["config_source"]

    assert value("max.message.bytes") == ("2000", "DYNAMIC_TOPIC_CONFIG")
    assert value("cleanup.policy")[0] == "delete"
    altered = admin.alter_configs([of_topic({"max.message.bytes": "3000"})])
    assert altered == {"topic": {topic: "OK"}}, altered
    until("it is altered", lambda: value("max.message.bytes")[0] == "3000" or None)
    altered = admin.alter_configs([of_topic({"max.message.bytes": (AlterConfigOp.DELETE, None)})])
    assert altered == {"topic": {topic: "OK"}}, altered
    until("it is as for all", lambda: value("max.message.bytes")[1] != "DYNAMIC_TOPIC_CONFIG" or None)
    refused = admin.alter_configs([of_topic({"nonsense": "1"})], raise_on_unknown=False)
    assert "nonsense" in refused["topic"][topic], refused
    of_broker = admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")], config_filter="all")
    assert of_broker["broker"]["1"]["message.max.bytes"]["value"] == "1048588", of_broker


admin = KafkaAdminClient(bootstrap_servers=bootstrap)
create(admin)
produce()
consume(admin)
goes_on()
configs(admin)
admin.delete_groups([group])
admin.delete_topics([topic])
admin.close()
print("done")
