// The host in memory: the imports but state, and the calls. Always: a call's outputs, changes and timers count only if
// it succeeds.
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

typedef struct timer {
    uint8_t number;
    bool set;
    int64_t at;
    sb_bytes key;
} timer;

sbt_call sbt_now;
static sbt_list outputs, lines, timers, wanted; // `wanted`: the timers that the call sets and clears
static const sb_message *told;
static int64_t watermark, now;
static uint64_t calls;
static double metrics[SB_MOST];
static const char *why;

static void *take(sbt_list *from) { return from->taken < from->count ? from->all[from->taken++] : NULL; }

// ---- Imports ----

static void want(uint8_t number, bool set, int64_t at) {
    if (number >= SB_MOST || !sandbar_plugin.timers[number]) abort();
    sbt_now.keyless |= sb_is_null(sbt_now.key);
    timer it = {number, set, at, sbt_now.key};
    sbt_add(&wanted, sbt_own(&it, sizeof it));
}
void sandbar_plugin_timers_set(uint8_t timer, int64_t at) { want(timer, true, at); }
void sandbar_plugin_timers_clear(uint8_t timer, int64_t at) { want(timer, false, at); }
int64_t sandbar_plugin_timers_watermark(void) { return sandbar_plugin.timers[0] ? watermark : INT64_MIN; }
int64_t sandbar_plugin_timers_processing_time(void) { return now; }
uint64_t sandbar_plugin_chance_seed(void) { return sbt_now.number; }

static sb_bytes of_list(record_processor_list_u8_t list) {
    return sbt_own_bytes((sb_bytes){(const char *)list.ptr, list.len});
}
static sb_bytes of_option(record_processor_option_list_u8_t list) {
    return list.is_some ? of_list(list.val) : sb_null();
}

void sandbar_plugin_output_emit(sandbar_plugin_output_message_t *message) {
    size_t count = message->headers.len;
    sb_header *headers = sbt_own(message->headers.ptr, count * sizeof *headers); // room; what is in it follows
    for (size_t i = 0; i < count; i++) {
        record_processor_string_t name = message->headers.ptr[i].name;
        headers[i].name = of_list((record_processor_list_u8_t){name.ptr, name.len});
        headers[i].value = of_option(message->headers.ptr[i].value);
    }
    const char *output = sandbar_plugin.outputs[message->output];
    sb_message it = {
        .key = of_option(message->key),
        .value = of_option(message->value),
        .headers = headers,
        .header_count = count,
        .output = output ? output : "out",
        .timestamp = message->timestamp.is_some ? message->timestamp.val : sbt_now.timestamp,
        .timed = true,
    };
    sbt_add(&outputs, sbt_own(&it, sizeof it));
}

void sandbar_plugin_output_measure(uint8_t metric, double value) {
    if (metric >= SB_MOST || !sandbar_plugin.metrics[metric]) abort();
    metrics[metric] = value + (sandbar_plugin.metrics[metric]->kind == SB_COUNTER ? metrics[metric] : 0);
}

void sandbar_plugin_log_write(uint8_t level, record_processor_string_t *message) {
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const char *line = sb_format("%s: %.*s", levels[level], (int)message->len, (char *)message->ptr);
    if (level == SANDBAR_PLUGIN_LOG_LEVEL_ERROR) fprintf(stderr, "%s\n", line);
    sbt_add(&lines, sbt_own(line, strlen(line)));
}

// ---- Calls ----

static size_t find(const timer *it) {
    for (size_t i = 0; i < timers.count; i++) {
        const timer *other = timers.all[i];
        if (other->number == it->number && other->at == it->at && sbt_compare(other->key, it->key) == 0) return i;
    }
    return timers.count;
}

static void set_timer(timer *it, bool set) {
    size_t at = find(it);
    if (set && at == timers.count) sbt_add(&timers, it);
    if (!set && at < timers.count) timers.all[at] = timers.all[--timers.count];
}

/// Ends a call: what it did counts, or is taken back for a reason.
static bool end(const char *kind, record_processor_string_t reason, size_t outputs_before, size_t changes_before) {
    if (sbt_now.keyless) kind = "dead-letter", reason = sbi_text(sb_str("the record has no key"));
    why = NULL;
    if (kind) {
        const char *text = sb_format("%s: %.*s", kind, (int)reason.len, (char *)reason.ptr);
        why = sbt_own(text, strlen(text));
        outputs.count = outputs_before, sbt_changes.count = changes_before;
    }
    for (size_t i = 0; !kind && i < wanted.count; i++) set_timer(wanted.all[i], ((timer *)wanted.all[i])->set);
    wanted.count = 0;
    sbi_end_call(false);
    return !kind;
}

/// Fires what is due on a clock; the first that fails ends it.
static bool fire(sb_clock clock, int64_t until) {
    for (;;) {
        timer *first = NULL;
        for (size_t i = 0; i < timers.count; i++) {
            timer *it = timers.all[i];
            const sb_timer *declared = sandbar_plugin.timers[it->number];
            if (declared->clock != clock || it->at > until) continue;
            int order = first ? (it->at > first->at) - (it->at < first->at) : -1;
            if (!order) order = strcmp(declared->name, sandbar_plugin.timers[first->number]->name);
            if (!order) order = sbt_compare(it->key, first->key);
            if (order < 0) first = it;
        }
        if (!first) return true;
        sbt_now = (sbt_call){.number = ++calls, .key = first->key, .timestamp = first->at};
        size_t outputs_before = outputs.count, changes_before = sbt_changes.count;
        sb_bytes key = sb_copy(first->key);
        record_processor_list_u8_t sent = {(uint8_t *)key.data, key.size};
        record_processor_failure_t failure;
        set_timer(first, false);
        bool good = exports_record_processor_fire(first->number, &sent, first->at, &failure);
        const char *kind = good ? NULL : failure.tag == SANDBAR_PLUGIN_TYPES_FAILURE_RETRY ? "retry" : "fail";
        if (!good) set_timer(first, true);
        if (!end(kind, failure.val.fail, outputs_before, changes_before)) return false;
    }
}

static uint8_t input(const char *name) {
    const char *const *inputs = sandbar_plugin.inputs;
    if (!name || (!inputs[0] && strcmp(name, "in") == 0)) return 0;
    for (uint8_t i = 0; i < SB_MOST && inputs[i]; i++)
        if (strcmp(inputs[i], name) == 0) return i;
    fprintf(stderr, "there is no input %s\n", name);
    exit(1);
}

bool sbt_push_event(const sb_event *event) {
    static const char *const kinds[] = {"skip", "dead-letter", "fail"};
    size_t outputs_before = outputs.count, changes_before = sbt_changes.count;
    sbt_now = (sbt_call){.number = ++calls, .key = sbt_own_bytes(event->key), .timestamp = event->timestamp};
    sb_bytes key = sb_copy(event->key), value = sb_copy(event->value);
    size_t count = sandbar_plugin.headers ? event->header_count : 0;
    record_processor_header_t *headers = sb_alloc(count * sizeof *headers);
    for (size_t i = 0; i < count; i++) {
        sb_bytes name = sb_copy(event->headers[i].name), content = sb_copy(event->headers[i].value);
        headers[i].name = (record_processor_string_t){(uint8_t *)name.data, name.size};
        headers[i].value = (record_processor_option_list_u8_t){content.data, {(uint8_t *)content.data, content.size}};
    }
    record_processor_event_t sent = {
        .input = input(event->input),
        .key = {key.data, {(uint8_t *)key.data, key.size}},
        .value = {value.data, {(uint8_t *)value.data, value.size}},
        .timestamp = event->timestamp,
        .partition = event->partition,
        .offset = event->offset,
        .headers = {headers, count},
    };
    record_processor_verdict_t verdict;
    record_processor_failure_t failure;
    bool called = exports_record_processor_process(&sent, &verdict, &failure);
    bool refused = called && verdict.tag == RECORD_PROCESSOR_VERDICT_REFUSE;
    const char *kind = !called ? "retry" : refused ? kinds[verdict.val.refuse.f0] : NULL;
    bool good = end(kind, called ? verdict.val.refuse.f1 : failure.val.retry, outputs_before, changes_before);
    const char *refusal = why;
    bool fired = fire(SB_EVENT_TIME, watermark);
    if (fired) why = refusal;
    return good && fired;
}

bool sbt_push(const char *key, const char *value, int64_t timestamp) {
    return sbt_push_event(&(sb_event){.key = sb_str(key), .value = sb_str(value), .timestamp = timestamp});
}

bool sbt_advance(int64_t to) {
    if (to > watermark) watermark = to;
    why = NULL;
    return fire(SB_EVENT_TIME, watermark);
}

bool sbt_clock(int64_t to) {
    now = to;
    why = NULL;
    return fire(SB_PROCESSING_TIME, now) && fire(SB_EVENT_TIME, watermark);
}

bool sbt_open(const char *config) {
    sb_bytes text = sb_copy(sb_str(config ? config : ""));
    for (size_t i = 0; i < sbt_owned.count; i++) free(sbt_owned.all[i]);
    sbt_list *const lists[] = {&sbt_owned, &outputs, &lines, &timers, &wanted, &sbt_changes};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) lists[i]->count = lists[i]->taken = 0;
    memset(metrics, 0, sizeof metrics);
    watermark = INT64_MIN, now = 0, calls = 0, told = NULL;
    record_processor_description_t description;
    exports_record_processor_describe(&description);
    record_processor_string_t sent = {(uint8_t *)text.data, text.size}, error;
    bool good = exports_record_processor_open(&sent, &error);
    why = good ? NULL : sbt_own(error.ptr, error.len);
    sbi_end_call(true);
    return good;
}

// ---- What came of it ----

const char *sbt_why(void) { return why; }
size_t sbt_timers(void) { return timers.count; }
const char *sbt_log(void) { return take(&lines); }
const sb_message *sbt_message(void) { return told; }

const char *sbt_output(void) {
    told = take(&outputs);
    if (!told) return NULL;
    sb_bytes key = told->key.data ? told->key : sb_str("null"), value = told->value.data ? told->value : sb_str("null");
    const char *line = sb_format("%s %.*s=%.*s @%lld", told->output, (int)key.size, key.data, (int)value.size,
                                 value.data, (long long)told->timestamp);
    for (size_t i = 0; i < told->header_count; i++) {
        sb_bytes content = told->headers[i].value;
        line = sb_format("%s %s=%s", line, told->headers[i].name.data, content.data ? content.data : "null");
    }
    line = sbt_own(line, strlen(line));
    sbi_end_call(false);
    return line;
}

double sbt_metric(const char *name) {
    for (size_t i = 0; i < SB_MOST && sandbar_plugin.metrics[i]; i++)
        if (strcmp(sandbar_plugin.metrics[i]->name, name) == 0) return metrics[i];
    abort();
}

void sbt_expect(const char *got, const char *wanted, const char *file, int line) {
    if (got == wanted || (got && wanted && strcmp(got, wanted) == 0)) return;
    fprintf(stderr, "%s:%d: expected: %s\n%s:%d: but got:  %s\n", file, line, wanted ? wanted : "(nothing)", file, line,
            got ? got : "(nothing)");
    exit(1);
}
