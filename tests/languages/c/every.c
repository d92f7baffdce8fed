// The conformance plugin `every`: each thing that a plugin can do, picked by its configuration {"do": "..."}.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sandbar.h>

SANDBAR_STORE(count, SB_VALUE);
SANDBAR_STORE(seen, SB_LIST);
SANDBAR_STORE(by, SB_MAP);
SANDBAR_TIMER(later, SB_EVENT_TIME, on_later);
static sb_result on_clock(const sb_fired *fired);
// By hand, since `clock` is a function of C.
static sb_timer at_clock = {.name = "clock", .clock = SB_PROCESSING_TIME, .fire = on_clock};
SANDBAR_METRIC(events, SB_COUNTER, "events seen");

static int64_t number;
static sb_result (*chosen)(const sb_event *event);

static int64_t counted(void) {
    int64_t n = sb_get_int(&count, 0) + 1;
    sb_put_int(&count, n);
    return n;
}

static bool is_bad(const sb_event *event) { return sb_equal(event->value, "bad"); }

static sb_result echo(const sb_event *event) {
    sb_pass(event);
    return SB_DONE;
}

static sb_result count_up(const sb_event *event) {
    sb_emit_int(event->key, counted());
    return SB_DONE;
}

static sb_result list(const sb_event *event) {
    if (sb_is_null(event->value)) {
        sb_clear(&seen);
        sb_emit(event->key, sb_str("cleared"));
        return SB_DONE;
    }
    sb_push(&seen, sb_of_text(sb_event_text(event)));
    sb_emit_json(event->key, sb_of_json(sb_items(&seen)));
    return SB_DONE;
}

static sb_result map(const sb_event *event) {
    if (sb_is_null(event->value)) {
        sb_clear(&by);
        sb_emit(event->key, sb_str("{}"));
        return SB_DONE;
    }
    sb_bytes text = sb_event_text(event);
    if (text.size && text.data[0] == '-') {
        sb_delete_entry(&by, (sb_bytes){text.data + 1, text.size - 1});
    } else {
        const sb_json *before = sb_get_entry(&by, text);
        sb_put_entry(&by, text, sb_of_int((before ? sb_as_int(before) : 0) + 1));
    }
    sb_emit_json(event->key, sb_of_json(sb_scan(&by, sb_null())));
    return SB_DONE;
}

static sb_result delete(const sb_event *event) {
    sb_delete(&count);
    sb_emit(event->key, sb_str("deleted"));
    return SB_DONE;
}

static sb_result timer(const sb_event *event) {
    sb_set_timer(&later, event->timestamp + 1000);
    return SB_DONE;
}
static sb_result rearm(const sb_event *event) { return timer(event); }

static sb_result on_later(const sb_fired *fired) {
    int64_t n = counted();
    sb_emit(fired->key, sb_str(sb_format("%lld %lld", (long long)fired->at, (long long)n)));
    if (chosen == rearm && n < 3) sb_set_timer(&later, fired->at + 500);
    return SB_DONE;
}

static sb_result cancel(const sb_event *event) {
    sb_set_timer(&later, event->timestamp + 1000);
    sb_set_timer(&later, event->timestamp + 2000);
    sb_clear_timer(&later, event->timestamp + 1000);
    return SB_DONE;
}

static sb_result clock_due(const sb_event *event) {
    (void)event;
    sb_set_timer(&at_clock, 0);
    return SB_DONE;
}

static sb_result on_clock(const sb_fired *fired) {
    sb_emit(fired->key, sb_str(sb_format("clock %lld", (long long)fired->at)));
    return SB_DONE;
}

static sb_value tally(const sb_json *before, const sb_event *event) {
    (void)event;
    return sb_of_int((before ? sb_as_int(before) : 0) + 1);
}

static sb_value sum(const sb_json *one, const sb_json *other) { return sb_of_int(sb_as_int(one) + sb_as_int(other)); }

static void put_window(const sb_window *window) {
    sb_emit(window->key, sb_str(sb_format("%lld %lld", (long long)window->start, (long long)sb_as_int(window->value))));
}

static void put_session(const sb_window *session) {
    long long start = session->start, end = session->end, records = sb_as_int(session->value);
    sb_emit(session->key, sb_str(sb_format("%lld %lld %lld", start, end, records)));
}

SANDBAR_WINDOWS(windows, tally, put_window);
SANDBAR_WINDOWS(sessions, tally, put_session, .merge = sum);

static sb_result window(const sb_event *event) {
    if (!sb_add_to_windows(&windows, event)) sb_emit(event->key, sb_str("late"));
    return SB_DONE;
}

static sb_result session(const sb_event *event) {
    if (!sb_add_to_windows(&sessions, event)) sb_emit(event->key, sb_str("late"));
    return SB_DONE;
}

static sb_result refuse(const sb_event *event) {
    static const struct {
        const char *name;
        sb_result (*refuse)(const char *reason);
    } ways[] = {{"skip", sb_skip}, {"dead-letter", sb_dead_letter}, {"fail", sb_fail}, {"retry", sb_retry}};
    for (int i = 0; i < 4; i++) {
        if (!sb_equal(event->value, ways[i].name)) continue;
        sb_emit(event->key, sb_str("never"));
        sb_put_int(&count, 99);
        return ways[i].refuse("told to");
    }
    return echo(event);
}

static sb_result error(const sb_event *event) { return is_bad(event) ? sb_dead_letter("no good") : echo(event); }

static sb_result panic(const sb_event *event) {
    if (is_bad(event)) __builtin_trap();
    return echo(event);
}

static sb_result loop(const sb_event *event) {
    for (volatile bool bad = is_bad(event); bad;) {}
    return echo(event);
}

static sb_result memory(const sb_event *event) {
    while (is_bad(event)) sb_alloc(1 << 20);
    return echo(event);
}

static sb_result write_log(const sb_event *event) {
    for (int i = 0; i < 2000; i++) sb_info(sb_format("line %d", i));
    return echo(event);
}

static sb_result print(const sb_event *event) {
    printf("hello\n");
    fflush(stdout);
    return echo(event);
}

static sb_result clock_now(const sb_event *event) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    sb_emit_int(event->key, now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000);
    return SB_DONE;
}

static sb_result chance(const sb_event *event) {
    unsigned char bytes[8];
    char hex[17];
    if (getentropy(bytes, sizeof bytes) != 0) return sb_fail("no randomness");
    for (int i = 0; i < 8; i++) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    sb_emit(event->key, sb_str(hex));
    return SB_DONE;
}

static sb_result files(const sb_event *event) {
    FILE *file = fopen("/etc/passwd", "r");
    sb_emit(event->key, sb_str(file ? "yes" : "no"));
    if (file) fclose(file);
    return SB_DONE;
}

static sb_result config(const sb_event *event) {
    sb_emit_int(event->key, number);
    return SB_DONE;
}

static sb_result open_by(const sb_json *config_json) {
    static const struct {
        const char *name;
        sb_result (*process)(const sb_event *event);
    } known[] = {
        {"echo", echo},       {"count", count_up}, {"list", list},       {"map", map},     {"delete", delete},
        {"timer", timer},     {"rearm", rearm},    {"cancel", cancel},   {"clock-timer", clock_due},
        {"refuse", refuse},   {"error", error},    {"panic", panic},     {"loop", loop},   {"memory", memory},
        {"log", write_log},   {"print", print},    {"clock", clock_now}, {"random", chance},
        {"files", files},     {"config", config},  {"window", window}, {"session", session},
    };
    sb_tumbling(&windows, 1000, 500);
    sb_sessions(&sessions, 1000, 0);
    sb_bytes wanted = sb_text(config_json, "do");
    chosen = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (sb_equal(wanted, known[i].name)) chosen = known[i].process;
    if (chosen == config) number = sb_int(config_json, "number");
    return chosen || sb_has_problem() ? SB_DONE : sb_fail(sb_format("unknown: %s", wanted.data));
}

static sb_result process(const sb_event *event) {
    sb_measure(&events, 1);
    return chosen(event);
}

SANDBAR_PLUGIN(
    .name = "every",
    .version = "0.1.0",
    .stores = {&count, &seen, &by, &windows.store, &sessions.store},
    .timers = {&later, &at_clock, &windows.timer, &sessions.timer},
    .metrics = {&events},
    .headers = true,
    .coordinates = true,
    .open = open_by,
    .process = process,
);
