// What a call does to the world outside: records, state, timers, metrics, the log. Always: a length that the host would
// trap at is a problem of the record, and what the plugin does not name traps here, with a word about it.
#include "internal.h"

/// The most bytes of a key or a user key, and of a stored value.
#define KEY_MOST (4u << 10)
#define VALUE_MOST (1u << 20)

static record_processor_list_u8_t list(sb_bytes bytes) {
    return (record_processor_list_u8_t){(uint8_t *)(bytes.data ? bytes.data : ""), bytes.size};
}

static record_processor_option_list_u8_t optional(sb_bytes bytes) {
    return (record_processor_option_list_u8_t){!sb_is_null(bytes), list(bytes)};
}

// ---- Records ----

sb_bytes sb_event_text(const sb_event *event) {
    if (sb_is_text(event->value)) return event->value;
    sb_problem(sb_is_null(event->value) ? "the value is null" : "the value is not UTF-8");
    return sb_null();
}

const sb_json *sb_event_json(const sb_event *event) {
    if (!sb_is_null(event->value)) return sb_read_json(event->value, NULL);
    sb_problem("the value is null");
    return NULL;
}

sb_bytes sb_event_header(const sb_event *event, const char *name) {
    for (size_t i = event->header_count; i-- > 0;)
        if (sb_equal(event->headers[i].name, name)) return event->headers[i].value;
    return sb_null();
}

static uint8_t output(const char *name) {
    const char *const *outputs = sandbar_plugin.outputs;
    if (!name || (!outputs[0] && strcmp(name, "out") == 0)) return 0;
    for (uint8_t i = 0; i < SB_MOST && outputs[i]; i++)
        if (strcmp(outputs[i], name) == 0) return i;
    sbi_broken(sb_format("\"%s\" is not in the plugin's .outputs", name));
}

void sb_send(const sb_message *message) {
    sandbar_plugin_output_header_t *headers = sb_alloc(message->header_count * sizeof *headers);
    for (size_t i = 0; i < message->header_count; i++) {
        headers[i].name = sbi_text(message->headers[i].name);
        headers[i].value = optional(message->headers[i].value);
    }
    int64_t time = message->timed || !sbi_now.time ? message->timestamp : *sbi_now.time;
    sandbar_plugin_output_message_t out = {
        .output = output(message->output),
        .key = optional(message->key),
        .value = optional(message->value),
        .timestamp = {message->timed || sbi_now.time, time},
        .headers = {headers, message->header_count},
    };
    sandbar_plugin_output_emit(&out);
}

void sb_pass(const sb_event *event) { sb_pass_to(event, NULL); }
void sb_pass_to(const sb_event *event, const char *output) {
    sb_send(&(sb_message){.key = event->key, .value = event->value, .headers = event->headers,
                          .header_count = event->header_count, .output = output, .timestamp = event->timestamp,
                          .timed = true});
}

void sb_emit(sb_bytes key, sb_bytes value) { sb_send(&(sb_message){.key = key, .value = value}); }
void sb_emit_int(sb_bytes key, int64_t number) { sb_emit(key, sb_of_int(number).json); }
void sb_emit_json(sb_bytes key, sb_value value) { sb_emit(key, value.json); }

// ---- State ----

/// The number of a store in the description.
static uint8_t number(const sb_store *store, sb_store_kind kind) {
    if (!store->number) sbi_broken(sb_format("\"%s\" is not in the plugin's .stores", store->name));
    if (store->kind != kind) sbi_broken(sb_format("the store \"%s\" is of another kind", store->name));
    return (uint8_t)(store->number - 1);
}

/// Whether the state may be used: with keys and values that are not too long.
static bool usable(const sb_store *store, sb_bytes user_key, sb_bytes value) {
    if (!sbi_now.has_state) sbi_broken("state is there in process and in a timer's callback only");
    const char *too_long = sbi_now.key_size > KEY_MOST ? "the key is longer than 4 KiB"
                           : user_key.size > KEY_MOST  ? "a key for the map \"%s\" is longer than 4 KiB"
                           : value.size > VALUE_MOST   ? "a value for the store \"%s\" is longer than 1 MiB"
                                                           : NULL;
    if (too_long) sb_problem(sb_format(too_long, store->name));
    return !too_long;
}

/// A stored value.
static sb_json *stored(const sb_store *store, sb_bytes bytes) {
    const char *error;
    const sb_json *read = sbi_read_kept(bytes, &error);
    if (read) return (sb_json *)read;
    sb_problem(sb_format("the store \"%s\": %s", store->name, error));
    return sbi_part(SB_JSON_NULL, sb_str("null"));
}

sb_bytes sb_get_bytes(const sb_store *store) {
    record_processor_list_u8_t found;
    if (!usable(store, sb_null(), sb_null())) return sb_null();
    return sandbar_plugin_state_get(number(store, SB_VALUE), &found) ? sbi_given(found) : sb_null();
}

void sb_put_bytes(const sb_store *store, sb_bytes bytes) {
    record_processor_list_u8_t value = list(bytes);
    if (usable(store, sb_null(), bytes)) sandbar_plugin_state_put(number(store, SB_VALUE), &value);
}

const sb_json *sb_get(const sb_store *store) {
    sb_bytes found = sb_get_bytes(store);
    return sb_is_null(found) ? NULL : stored(store, found);
}

int64_t sb_get_int(const sb_store *store, int64_t otherwise) {
    const sb_json *found = sb_get(store);
    return found ? sb_as_int(found) : otherwise;
}

/// The bytes of a value, which one of the sb_of functions has to have made.
static sb_bytes json(sb_value value) {
    if (!value.json.size) sbi_broken("a value was not made by an sb_of function");
    return value.json;
}

void sb_put(const sb_store *store, sb_value value) { sb_put_bytes(store, json(value)); }
void sb_put_int(const sb_store *store, int64_t number) { sb_put(store, sb_of_int(number)); }

void sb_delete(const sb_store *store) {
    if (usable(store, sb_null(), sb_null())) sandbar_plugin_state_delete(number(store, SB_VALUE));
}

const sb_json *sb_items(const sb_store *store) {
    sb_json *items = sbi_part(SB_JSON_ARRAY, sb_null()), *last = NULL;
    record_processor_list_list_u8_t found;
    if (!usable(store, sb_null(), sb_null())) return items;
    sandbar_plugin_state_items(number(store, SB_LIST), &found);
    for (size_t i = 0; i < found.len; i++) sbi_append(items, &last, stored(store, sbi_given(found.ptr[i])));
    return items;
}

void sb_push(const sb_store *store, sb_value item) {
    record_processor_list_u8_t bytes = list(json(item));
    if (usable(store, sb_null(), item.json)) sandbar_plugin_state_append(number(store, SB_LIST), &bytes);
}

const sb_json *sb_get_entry(const sb_store *store, sb_bytes user_key) {
    record_processor_list_u8_t key = list(user_key), found;
    if (!usable(store, user_key, sb_null())) return NULL;
    return sandbar_plugin_state_get_entry(number(store, SB_MAP), &key, &found) ? stored(store, sbi_given(found)) : NULL;
}

void sb_put_entry(const sb_store *store, sb_bytes user_key, sb_value value) {
    record_processor_list_u8_t key = list(user_key), bytes = list(json(value));
    if (!sb_is_text(user_key)) sb_problem(sb_format("a key for the map \"%s\" is not UTF-8", store->name));
    else if (usable(store, user_key, value.json)) sandbar_plugin_state_put_entry(number(store, SB_MAP), &key, &bytes);
}

void sb_delete_entry(const sb_store *store, sb_bytes user_key) {
    record_processor_list_u8_t key = list(user_key);
    if (usable(store, user_key, sb_null())) sandbar_plugin_state_delete_entry(number(store, SB_MAP), &key);
}

/// Puts a page of a map's entries behind the others, and says whether there was one.
static bool scan(const sb_store *store, sb_bytes prefix, sb_bytes after, uint32_t limit, sb_json *into,
                 sb_json **last) {
    record_processor_list_u8_t begin = list(prefix), behind = list(after);
    record_processor_list_tuple2_list_u8_list_u8_t found;
    if (!usable(store, prefix.size > after.size ? prefix : after, sb_null())) return false;
    sandbar_plugin_state_scan(number(store, SB_MAP), &begin, sb_is_null(after) ? NULL : &behind, limit, &found);
    for (size_t i = 0; i < found.len; i++) {
        sb_json *entry = stored(store, sbi_given(found.ptr[i].f1));
        entry->name = sbi_given(found.ptr[i].f0);
        sbi_append(into, last, entry);
    }
    return found.len;
}

const sb_json *sb_scan(const sb_store *store, sb_bytes prefix) {
    sb_json *entries = sbi_part(SB_JSON_OBJECT, sb_null()), *last = NULL;
    while (scan(store, prefix, last ? last->name : sb_null(), UINT32_MAX, entries, &last)) {}
    return entries;
}

const sb_json *sb_scan_from(const sb_store *store, sb_bytes prefix, sb_bytes after, uint32_t limit) {
    sb_json *entries = sbi_part(SB_JSON_OBJECT, sb_null()), *last = NULL;
    scan(store, prefix, after, limit, entries, &last);
    return entries;
}

void sb_clear(const sb_store *store) {
    sb_store_kind kind = store->kind == SB_MAP ? SB_MAP : SB_LIST;
    if (usable(store, sb_null(), sb_null())) sandbar_plugin_state_clear(number(store, kind));
}

static const char hex[] = "0123456789abcdef";

sb_bytes sb_time_key(int64_t time) {
    char *digits = sbi_alloc(17);
    uint64_t number = (uint64_t)time ^ UINT64_C(1) << 63; // so that what is below zero comes first
    for (int i = 16; i-- > 0; number >>= 4) digits[i] = hex[number & 15];
    digits[16] = 0;
    return (sb_bytes){digits, 16};
}

int64_t sb_key_time(sb_bytes user_key) {
    uint64_t number = 0;
    bool good = user_key.size == 16;
    for (size_t i = 0; good && i < 16; i++) {
        const char *digit = memchr(hex, user_key.data[i], 16);
        good = digit;
        number = number << 4 | (uint64_t)(good ? digit - hex : 0);
    }
    if (!good) return sb_problem("a key of the map was not made by sb_time_key"), 0;
    return (int64_t)(number ^ UINT64_C(1) << 63);
}

// ---- Timers, time, chance, metrics, the log ----

static uint8_t declared(unsigned number, const char *name, const char *where) {
    if (!number) sbi_broken(sb_format("\"%s\" is not in the plugin's .%s", name, where));
    return (uint8_t)(number - 1);
}

static void change_timer(const sb_timer *timer, int64_t at, void change(uint8_t, int64_t)) {
    uint8_t number = declared(timer->number, timer->name, "timers");
    if (sbi_now.key_size > KEY_MOST) sb_problem("the key is longer than 4 KiB");
    else change(number, at);
}
void sb_set_timer(const sb_timer *timer, int64_t at) { change_timer(timer, at, sandbar_plugin_timers_set); }
void sb_clear_timer(const sb_timer *timer, int64_t at) { change_timer(timer, at, sandbar_plugin_timers_clear); }
int64_t sb_watermark(void) { return sandbar_plugin_timers_watermark(); }
int64_t sb_processing_time(void) { return sandbar_plugin_timers_processing_time(); }
uint64_t sb_seed(void) { return sandbar_plugin_chance_seed(); }

void sb_measure(const sb_metric *metric, double value) {
    sandbar_plugin_output_measure(declared(metric->number, metric->name, "metrics"), value);
}

static void write_log(uint8_t level, const char *message) {
    record_processor_string_t text = sbi_text(sb_str(message));
    sandbar_plugin_log_write(level, &text);
}
void sb_debug(const char *message) { write_log(SANDBAR_PLUGIN_LOG_LEVEL_DEBUG, message); }
void sb_info(const char *message) { write_log(SANDBAR_PLUGIN_LOG_LEVEL_INFO, message); }
void sb_warn(const char *message) { write_log(SANDBAR_PLUGIN_LOG_LEVEL_WARN, message); }
void sb_error(const char *message) { write_log(SANDBAR_PLUGIN_LOG_LEVEL_ERROR, message); }
