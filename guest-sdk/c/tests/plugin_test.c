// What a plugin does reaches the host, what is refused is taken back, and time moves as the host moves it. The record's
// value tells the plugin what to do.
#include <stdlib.h>

#include "../src/internal.h"
#include "sandbar_testing.h"

SANDBAR_STORE(total, SB_VALUE, .version = 3, .readable_from = 2, .ttl = 60000);
SANDBAR_STORE(raw, SB_VALUE, .codec = "raw");
SANDBAR_STORE(items, SB_LIST);
SANDBAR_STORE(by, SB_MAP);
SANDBAR_TIMER(b, SB_EVENT_TIME, on_timer);
SANDBAR_TIMER(a, SB_EVENT_TIME, on_timer);
SANDBAR_TIMER(wall, SB_PROCESSING_TIME, on_timer);
SANDBAR_METRIC(seen, SB_COUNTER, "records");
SANDBAR_METRIC(level, SB_GAUGE, "level");

static const char *on_fire = "";

static sb_result on_timer(const sb_fired *fired) {
    if (!strcmp(on_fire, "read")) sb_get_int(&total, 0);
    sb_put_int(&total, sb_get_int(&total, 0) + 1);
    sb_emit(fired->key, sb_str(sb_format("%s %lld", fired->timer->name, (long long)fired->at)));
    if (!strcmp(on_fire, "skip")) return sb_skip("no");
    if (!strcmp(on_fire, "retry")) return sb_retry("down");
    if (!strcmp(on_fire, "again") && fired->at < 50) sb_set_timer(fired->timer, fired->at + 10);
    if (!strcmp(on_fire, "problem")) sb_problem("wrong");
    return SB_DONE;
}

static sb_result open_by(const sb_json *config) {
    on_fire = config ? sb_text(config, "fire").data : "";
    return SB_DONE;
}

static void timers(const sb_json *event) {
    for (const sb_json *at = event->first; at; at = at->next) {
        const sb_timer *timer = sb_equal(at->name, "a") ? &a : sb_equal(at->name, "b") ? &b : &wall;
        sb_set_timer(timer, sb_as_int(at));
    }
}

static sb_result process(const sb_event *event) {
    sb_measure(&seen, 1);
    sb_measure(&level, (double)event->timestamp);
    sb_bytes value = event->value;
    if (sb_equal(value, "write")) {
        sb_put_int(&total, sb_get_int(&total, 10) + 1);
        sb_put_bytes(&raw, (sb_bytes){"\0\xff", 2});
        sb_push(&items, sb_of_int(event->timestamp));
        sb_put_entry(&by, sb_str(sb_format("k%lld", (long long)event->timestamp)), sb_of_text(event->key));
    } else if (sb_equal(value, "read")) {
        SBT_CHECK(sb_get_bytes(&raw).size == 2);
        sb_emit_json(event->key, sb_of_json(sb_items(&items)));
        sb_emit_json(event->key, sb_of_json(sb_scan(&by, sb_str("k1"))));
        sb_emit_json(event->key, sb_of_json(sb_scan_from(&by, sb_null(), sb_str("k1"), 1)));
        sb_emit_json(event->key, sb_of_json(sb_get_entry(&by, sb_str("k9"))));
    } else if (sb_equal(value, "refuse")) {
        sb_put_int(&total, 99), sb_delete(&raw), sb_clear(&items), sb_clear(&by), sb_set_timer(&a, 5);
        sb_push(&items, sb_of_int(9));
        SBT_CHECK(sb_items(&items)->count == 1 && sb_scan(&by, sb_null())->count == 0 && sb_get_int(&total, 0) == 99);
        sb_emit(event->key, sb_str("never"));
        return sb_dead_letter("told \xff to");
    } else if (sb_equal(value, "retry")) {
        return sb_retry("down");
    } else if (sb_equal(value, "long")) {
        sb_bytes large = {sb_alloc(2 << 20), 2 << 20};
        sb_put_bytes(&raw, large);
        SBT_CHECK(sb_has_problem());
        sb_put_entry(&by, (sb_bytes){large.data, 4097}, sb_of_int(1));
        sb_put_entry(&by, sb_str("\xff"), sb_of_int(1));
    } else if (sb_equal(value, "by-time")) {
        sb_put_entry(&by, sb_time_key(event->timestamp), sb_of_int(event->timestamp));
        const sb_json *entries = sb_scan(&by, sb_null());
        for (const sb_json *one = entries->first; one; one = one->next)
            SBT_CHECK(sb_key_time(one->name) == sb_as_int(one));
        sb_emit_json(event->key, sb_of_json(entries->first));
    } else if (sb_equal(value, "deep")) {
        char deep[321] = {0}; // what is kept may be deeper than a record
        memset(deep, '[', 160), memset(deep + 160, ']', 160);
        sb_put(&total, (sb_value){sb_str(deep)});
        SBT_CHECK(sb_get(&total)->count == 1);
        sb_key_time(sb_str("1"));
    } else if (sb_equal(value, "bad-state")) {
        sb_put_bytes(&total, sb_str("{\"a\":"));
        SBT_CHECK(sb_get_int(&total, 5) == 0);
    } else if (sb_equal(value, "send")) {
        sb_header headers[] = {{sb_str("h\xff"), sb_null()}, {sb_str("g"), sb_event_header(event, "x")}};
        sb_send(&(sb_message){.output = "late", .headers = headers, .header_count = 2, .timestamp = -1, .timed = true});
        long long offset = event->offset;
        sb_emit(sb_null(), sb_str(sb_format("%s %u %lld %llu", event->input, event->partition, offset,
                                            (unsigned long long)sb_seed())));
        sb_pass(event);
    } else if (!sb_is_null(value) && value.size && value.data[0] == '{') {
        const sb_json *read = sb_event_json(event);
        if (read) timers(read);
    } else {
        sb_emit(event->key, sb_event_text(event));
    }
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "test", .version = "0.1.0", .inputs = {"left", "right"}, .outputs = {"main", "late"},
               .stores = {&total, &raw, &items, &by}, .timers = {&b, &a, &wall}, .metrics = {&seen, &level},
               .headers = true, .open = open_by, .process = process);

static void described(void) {
    record_processor_description_t is;
    exports_record_processor_describe(&is);
    SBT_CHECK(is.stores.len == 4 && is.timers.len == 3 && is.metrics.len == 2);
    SBT_CHECK(is.inputs.len == 2 && is.outputs.len == 2);
    sandbar_plugin_types_store_t *stores = is.stores.ptr;
    SBT_CHECK(stores[0].schema_version == 3 && stores[0].readable_from == 2 && stores[0].ttl == 60000);
    SBT_CHECK(stores[3].schema_version == 1 && stores[3].readable_from == 1 && stores[3].kind == SB_MAP);
    SBT_CHECK(stores[1].codec.len == 3 && stores[2].codec.len == 4 && is.config_schema.len == 2);
    SBT_CHECK(is.needs == SANDBAR_PLUGIN_TYPES_NEEDS_HEADERS);
    sbi_end_call(false);
}

static void state(void) {
    SBT_CHECK(sbt_open(NULL));
    for (int i = 0; i < 3; i++) SBT_CHECK(sbt_push("x", "write", i * 9 + 1));
    SBT_CHECK(!sbt_push("x", "refuse", 30));
    SBT_EXPECT(sbt_why(), "dead-letter: told ? to");
    SBT_CHECK(sbt_push("x", "read", 40) && !sbt_why());
    SBT_EXPECT(sbt_output(), "main x=[1,10,19] @40");
    SBT_EXPECT(sbt_output(), "main x={\"k1\":\"x\",\"k10\":\"x\",\"k19\":\"x\"} @40");
    SBT_EXPECT(sbt_output(), "main x={\"k10\":\"x\"} @40");
    SBT_EXPECT(sbt_output(), "main x=null @40");
    SBT_EXPECT(sbt_output(), NULL);
    SBT_EXPECT(sbt_state("total", "x"), "13");
    SBT_EXPECT(sbt_state("items", "x"), "[1,10,19]");
    SBT_EXPECT(sbt_state("by", "x"), "{\"k1\":\"x\",\"k10\":\"x\",\"k19\":\"x\"}");
    SBT_EXPECT(sbt_state("by", "y"), NULL);
    SBT_CHECK(sbt_timers() == 0 && sbt_metric("seen") == 5 && sbt_metric("level") == 40);
    for (int i = 0; i < 300; i++) SBT_CHECK(sbt_push(i % 2 ? "y" : "z", "write", 7));
    SBT_EXPECT(sbt_state("total", "y"), "160");
    SBT_EXPECT(sbt_state("by", "z"), "{\"k7\":\"z\"}");
    SBT_EXPECT(sbt_state("total", "x"), "13");
    static const int64_t times[] = {INT64_MAX, 10000, 9, 0, -9, -10000, INT64_MIN};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        SBT_CHECK(sbt_push("t", "by-time", times[i]));
        sbt_output();
        SBT_EXPECT(sbt_message()->value.data, sb_of_int(times[i]).json.data);
    }
    SBT_CHECK(!sbt_push("t", "deep", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: a key of the map was not made by sb_time_key");
}

static void refused(void) {
    SBT_CHECK(sbt_open(NULL));
    SBT_CHECK(!sbt_push(NULL, "write", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: the record has no key");
    SBT_CHECK(!sbt_push("x", "retry", 1));
    SBT_EXPECT(sbt_why(), "retry: down");
    SBT_CHECK(!sbt_push("x", NULL, 1));
    SBT_EXPECT(sbt_why(), "dead-letter: the value is null");
    SBT_CHECK(!sbt_push("x", "\xff", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: the value is not UTF-8");
    SBT_CHECK(!sbt_push("x", "{\"a\":}", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: not JSON: expected a value at byte 5");
    SBT_CHECK(!sbt_push("x", "{\"a\":\"soon\"}", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: a whole number of 64 bits was expected");
    SBT_CHECK(!sbt_push("x", "long", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: a value for the store \"raw\" is longer than 1 MiB");
    SBT_CHECK(!sbt_push("x", "bad-state", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: the store \"total\": not JSON: expected a value at byte 5");
    char key[5000];
    memset(key, 'k', 4999), key[4999] = 0;
    SBT_CHECK(!sbt_push(key, "write", 1));
    SBT_EXPECT(sbt_why(), "dead-letter: the key is longer than 4 KiB");
    SBT_EXPECT(sbt_output(), NULL);
    SBT_EXPECT(sbt_state("total", "x"), NULL);
    SBT_CHECK(sbt_push("", "", 1));
    SBT_EXPECT(sbt_output(), "main = @1");
    SBT_CHECK(!sbt_open("{\"fire\":") && !sbt_open("[]") && !sbt_open("{\"fire\":1}"));
    SBT_EXPECT(sbt_why(), "\"fire\": a text was expected");
}

static void records(void) {
    SBT_CHECK(sbt_open(NULL));
    sb_header headers[] = {{sb_str("x"), sb_str("1")}, {sb_str("x"), sb_str("2")}};
    SBT_CHECK(sbt_push_event(&(sb_event){.key = sb_str("k"), .value = sb_str("send"), .timestamp = 4, .input = "right",
                                      .headers = headers, .header_count = 2, .partition = 3, .offset = 7}));
    SBT_EXPECT(sbt_output(), "late null=null @-1 h?=null g=2");
    SBT_CHECK(sbt_message()->header_count == 2 && sb_is_null(sbt_message()->key));
    SBT_EXPECT(sbt_output(), "main null=right 3 7 1 @4");
    SBT_EXPECT(sbt_output(), "main k=send @4 x=1 x=2");
}

static void time_moves(void) {
    SBT_CHECK(sbt_open(NULL));
    SBT_CHECK(sbt_push("y", "{\"a\":20,\"b\":20}", 1) && sbt_push("x", "{\"b\":20,\"a\":30,\"b\":10,\"b\":20}", 1));
    SBT_CHECK(sbt_timers() == 5 && sbt_advance(25));
    static const char *const fired[] = {"main x=b 10 @10", "main y=a 20 @20", "main x=b 20 @20", "main y=b 20 @20"};
    for (int i = 0; i < 4; i++) SBT_EXPECT(sbt_output(), fired[i]);
    SBT_EXPECT(sbt_output(), NULL);
    SBT_CHECK(sbt_push("x", "{\"a\":24}", 26)); // due already: fires right behind
    SBT_EXPECT(sbt_output(), "main x=a 24 @24");
    SBT_CHECK(sbt_push("x", "{\"wall\":0}", 27) && sbt_advance(1000));
    SBT_EXPECT(sbt_output(), "main x=a 30 @30");
    SBT_EXPECT(sbt_output(), NULL);
    SBT_CHECK(sbt_clock(5));
    SBT_EXPECT(sbt_output(), "main x=wall 0 @0");
    SBT_CHECK(sbt_open("{\"fire\":\"again\"}") && sbt_push("x", "{\"a\":20}", 1) && sbt_advance(45));
    SBT_EXPECT(sbt_state("total", "x"), "3");
    SBT_CHECK(sbt_timers() == 1);
    static const char *const ends[][2] = {{"skip", "fail: no"}, {"retry", "retry: down"}, {"problem", "fail: wrong"}};
    for (int i = 0; i < 3; i++) {
        SBT_CHECK(sbt_open(sb_format("{\"fire\":\"%s\"}", ends[i][0])));
        SBT_CHECK(sbt_push("x", "{\"a\":20}", 1) && !sbt_advance(45));
        SBT_EXPECT(sbt_why(), ends[i][1]);
        SBT_EXPECT(sbt_state("total", "x"), NULL);
        SBT_EXPECT(sbt_output(), NULL);
        SBT_CHECK(sbt_timers() == 1);
    }
}

int main(void) {
    described();
    state();
    refused();
    records();
    time_moves();
    return 0;
}
