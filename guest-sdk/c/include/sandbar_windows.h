// Windows: records of a key that belong together by their times, and what is made of them. Part of sandbar.h.
//
//     static sb_value count(const sb_json *before, const sb_event *event) {
//         return sb_of_int((before ? sb_as_int(before) : 0) + 1);
//     }
//     static void put(const sb_window *window) { sb_emit_json(window->key, sb_of_json(window->value)); }
//     SANDBAR_WINDOWS(windows, count, put);
//
// It is a store and a timer of event time, which the plugin names: `.stores = {&windows.store}` and
// `.timers = {&windows.timer}`. Its `open` says which windows there are, and `process` adds the records to them.
#ifndef SANDBAR_WINDOWS_H
#define SANDBAR_WINDOWS_H

#include "sandbar.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A window of a key, in milliseconds since 1970.
typedef struct sb_window {
    sb_bytes key;
    /// Its first moment, and the moment behind its last one. A session ends a gap after its last record.
    int64_t start, end;
    /// What was made of its records.
    const sb_json *value;
} sb_window;

/// Windows. Made by SANDBAR_WINDOWS.
typedef struct sb_windows {
    sb_store store;
    sb_timer timer;
    /// What is made of a record and those before it in the window; `before` is NULL for the first one.
    sb_value (*fold)(const sb_json *before, const sb_event *event);
    /// Called when event time has come to the window's last moment, and again for each record that comes within the
    /// allowed lateness. What it emits has the time of that moment unless it says another one.
    void (*over)(const sb_window *window);
    /// For sessions: what is made of two of them that become one.
    sb_value (*merge)(const sb_json *one, const sb_json *other);
    /// Owned by the SDK.
    int64_t size, every, gap, lateness;
} sb_windows;
/// SANDBAR_WINDOWS(windows, count, put); SANDBAR_WINDOWS(sessions, count, put, .merge = sum); behind the functions.
#define SANDBAR_WINDOWS(variable, folded, ...)                           \
    static sb_windows variable = {                                       \
        .store = {.name = #variable, .kind = SB_VALUE},                  \
        .timer = {#variable, SB_EVENT_TIME, sb_fire_windows, 0},         \
        .fold = folded,                                                  \
        .over = __VA_ARGS__,                                             \
    }

// In the plugin's `open`, which windows there are. All lengths are milliseconds; what cannot be is a problem. A window
// takes records for `lateness` after event time has passed it.

/// One behind the other, from multiples of their size since 1970 on.
void sb_tumbling(sb_windows *windows, int64_t size, int64_t lateness);
/// A new one at each multiple of `every`: they overlap.
void sb_hopping(sb_windows *windows, int64_t size, int64_t every, int64_t lateness);
/// Records between any two of which, in the order of their times, there is this gap at most.
void sb_sessions(sb_windows *windows, int64_t gap, int64_t lateness);

/// Adds a record to its windows. False: it is too late for all of them.
bool sb_add_to_windows(const sb_windows *windows, const sb_event *event);
/// What the timer of windows calls.
sb_result sb_fire_windows(const sb_fired *fired);

#ifdef __cplusplus
}
#endif
#endif
