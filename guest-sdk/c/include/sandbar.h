// The C SDK of Sandbar: all that the author of a plugin includes. A whole plugin, which counts the records of each key:
//
//     #include <sandbar.h>
//     SANDBAR_STORE(total, SB_VALUE);
//     static sb_result process(const sb_event *event) {
//         int64_t count = sb_get_int(&total, 0) + 1;
//         sb_put_int(&total, count);
//         sb_emit_int(event->key, count);
//         return SB_DONE;
//     }
//     SANDBAR_PLUGIN(.name = "count", .version = "0.1.0", .stores = {&total}, .process = process);
#ifndef SANDBAR_H
#define SANDBAR_H

#include "sandbar_json.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- How a call ends ----

/// What a function of the plugin returns: `SB_DONE`, or one of the refusals. What a refused call emitted, wrote and set
/// is taken back; what it measured stays.
typedef const struct sb_refusal *sb_result;
#define SB_DONE ((sb_result)0)

/// The record is left out, and counted.
sb_result sb_skip(const char *reason);
/// The record goes to the dead letters.
sb_result sb_dead_letter(const char *reason);
/// The pipeline stops at the record. A timer's callback that skips or buries fails too: it has no record.
sb_result sb_fail(const char *reason);
/// The whole call comes again, after a pause.
sb_result sb_retry(const char *reason);

// ---- Records ----

typedef struct sb_header {
    sb_bytes name;
    /// May be null.
    sb_bytes value;
} sb_header;

/// A record that came in.
typedef struct sb_event {
    /// May be null; so may the value.
    sb_bytes key, value;
    /// Milliseconds since 1970.
    int64_t timestamp;
    /// None unless the plugin has `.headers = true`.
    const sb_header *headers;
    size_t header_count;
    /// The name of the input it came by; "in" if the plugin names none.
    const char *input;
    /// Where it lies in Kafka.
    uint32_t partition;
    int64_t offset;
} sb_event;

/// The value as UTF-8. If it is null or something else: a problem, and null.
sb_bytes sb_event_text(const sb_event *event);
/// The value as JSON. If it is null or something else: a problem, and NULL.
const sb_json *sb_event_json(const sb_event *event);
/// The value of the last header with this name; null if there is none.
sb_bytes sb_event_header(const sb_event *event, const char *name);

/// A record that goes out. What is not named is null, none, or the default.
typedef struct sb_message {
    sb_bytes key, value;
    const sb_header *headers;
    size_t header_count;
    /// One of the plugin's outputs; NULL: the first.
    const char *output;
    /// Counts if `timed` is set; else the record has the time of the event, or of the timer.
    int64_t timestamp;
    bool timed;
} sb_message;

/// Hands a record on as it is: key, value, time and headers.
void sb_pass(const sb_event *event);
/// The same, to one of the plugin's outputs.
void sb_pass_to(const sb_event *event, const char *output);
/// A new record: a key and bytes, a whole number in decimal, or JSON.
void sb_emit(sb_bytes key, sb_bytes value);
void sb_emit_int(sb_bytes key, int64_t number);
void sb_emit_json(sb_bytes key, sb_value value);
/// A new record of which you say all.
void sb_send(const sb_message *message);

// ---- State: what is kept for the key of the record, or of the timer ----

typedef enum sb_store_kind { SB_VALUE, SB_LIST, SB_MAP } sb_store_kind;

/// A store. Made by SANDBAR_STORE, and named in the plugin's `.stores`.
typedef struct sb_store {
    const char *name;
    sb_store_kind kind;
    /// What the stored bytes mean: 1 if it is not set; and the oldest version that this code reads too: `version`.
    uint32_t version, readable_from;
    /// Milliseconds of event time from the last write (with `refresh_on_read`, also read) on until an entry is gone.
    uint64_t ttl;
    bool refresh_on_read;
    /// "json" if it is not set. Only the bytes of a value store can have another one.
    const char *codec;
    /// Owned by the SDK.
    unsigned number;
} sb_store;
/// SANDBAR_STORE(total, SB_VALUE); SANDBAR_STORE(pages, SB_MAP, .version = 2, .readable_from = 1);
#define SANDBAR_STORE(variable, ...) static sb_store variable = {.name = #variable, .kind = __VA_ARGS__}

/// Of a value store. What is not there is NULL, or `otherwise`.
const sb_json *sb_get(const sb_store *store);
int64_t sb_get_int(const sb_store *store, int64_t otherwise);
void sb_put(const sb_store *store, sb_value value);
void sb_put_int(const sb_store *store, int64_t number);
void sb_delete(const sb_store *store);
/// The bytes as they are, for a value store with a codec of your own; null if nothing is there.
sb_bytes sb_get_bytes(const sb_store *store);
void sb_put_bytes(const sb_store *store, sb_bytes bytes);

/// Of a list store: an array of all items, and a new last item.
const sb_json *sb_items(const sb_store *store);
void sb_push(const sb_store *store, sb_value item);

/// Of a map store. Its own keys are UTF-8.
const sb_json *sb_get_entry(const sb_store *store, sb_bytes user_key);
void sb_put_entry(const sb_store *store, sb_bytes user_key, sb_value value);
void sb_delete_entry(const sb_store *store, sb_bytes user_key);
/// All entries whose keys begin so (null: all), as an object, in the order of the keys.
const sb_json *sb_scan(const sb_store *store, sb_bytes prefix);
/// The first of them behind `after` (null: from the first on), at most `limit`, or as many as the host gives at once.
const sb_json *sb_scan_from(const sb_store *store, sb_bytes prefix, sb_bytes after, uint32_t limit);

/// A user key for entries that shall lie in the order of their times, or of any other numbers, and the way back.
sb_bytes sb_time_key(int64_t time);
int64_t sb_key_time(sb_bytes user_key);

/// Takes all items of a list, or all entries of a map, away.
void sb_clear(const sb_store *store);

// ---- Timers, for the key of the record, or of the timer ----

struct sb_timer;

/// A timer that fired.
typedef struct sb_fired {
    const struct sb_timer *timer;
    sb_bytes key;
    /// The time that it was set to.
    int64_t at;
} sb_fired;

typedef enum sb_clock { SB_EVENT_TIME, SB_PROCESSING_TIME } sb_clock;

/// A timer. Made by SANDBAR_TIMER, and named in the plugin's `.timers`.
typedef struct sb_timer {
    const char *name;
    sb_clock clock;
    sb_result (*fire)(const sb_fired *fired);
    /// Owned by the SDK.
    unsigned number;
} sb_timer;
/// SANDBAR_TIMER(later, SB_EVENT_TIME, on_later); with `static sb_result on_later(const sb_fired *fired)` below it.
#define SANDBAR_TIMER(variable, clock, callback)       \
    static sb_result callback(const sb_fired *fired); \
    static sb_timer variable = {#variable, clock, callback, 0}

/// Sets the timer, or clears it, at a time in milliseconds since 1970. Several times may be set at once.
void sb_set_timer(const sb_timer *timer, int64_t at);
void sb_clear_timer(const sb_timer *timer, int64_t at);
/// Event time; INT64_MIN while nothing is known, and for a plugin without timers.
int64_t sb_watermark(void);
/// The host's clock.
int64_t sb_processing_time(void);
/// For what needs chance: the same in a replay of the record, or of the timer; another number for each.
uint64_t sb_seed(void);

// ---- What operators see ----

void sb_debug(const char *message);
void sb_info(const char *message);
void sb_warn(const char *message);
void sb_error(const char *message);

typedef enum sb_metric_kind { SB_COUNTER, SB_GAUGE } sb_metric_kind;

/// A metric. Made by SANDBAR_METRIC, and named in the plugin's `.metrics`.
typedef struct sb_metric {
    const char *name;
    sb_metric_kind kind;
    const char *help;
    /// Owned by the SDK.
    unsigned number;
} sb_metric;
/// SANDBAR_METRIC(words, SB_COUNTER, "words seen");
#define SANDBAR_METRIC(variable, kind, help) static sb_metric variable = {#variable, kind, help, 0}

/// Adds to a counter, or says what a gauge is now.
void sb_measure(const sb_metric *metric, double value);

// ---- The plugin ----

/// The most stores, timers, metrics, inputs or outputs of one plugin.
#define SB_MOST 32

typedef struct sb_plugin {
    const char *name, *version;
    /// None: one input.
    const char *inputs[SB_MOST];
    /// None: one output, "out".
    const char *outputs[SB_MOST];
    sb_store *stores[SB_MOST];
    sb_timer *timers[SB_MOST];
    sb_metric *metrics[SB_MOST];
    /// A JSON schema that the host checks the configuration by; NULL: any will do, and without `open` there is none.
    const char *config_schema;
    /// Send headers; send partitions and offsets; each output has the key of its record.
    bool headers, coordinates, keeps_key;
    /// Reads the configuration; it is NULL if there is none. May be absent.
    sb_result (*open)(const sb_json *config);
    /// Called with each record.
    sb_result (*process)(const sb_event *event);
} sb_plugin;

extern const sb_plugin sandbar_plugin;
/// Once a plugin, at its end. In C++ the fields stand in the order of `sb_plugin`.
#define SANDBAR_PLUGIN(...) const sb_plugin sandbar_plugin = {__VA_ARGS__}

#ifdef __cplusplus
}
#endif

#include "sandbar_windows.h"
#endif
