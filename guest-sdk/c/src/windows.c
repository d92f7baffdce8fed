// Windows: which of them a record belongs to, when they are over, and when they are given up. Always: all windows of a
// key are one value, {"timer": 9999, "windows": [[0, 10000, 3]]}, in the order of their ends; a key has one timer at
// most, and it is no later than the next moment at which something becomes of one of them.
#include "internal.h"

/// A record belongs to no more windows than this.
#define WINDOWS_MOST 10000

/// The windows of a key while a record or a timer is at work on them.
typedef struct turn {
    const sb_windows *windows;
    sb_bytes key;
    /// Event time.
    int64_t now;
    /// The timer that is set, if one is.
    bool has_timer, was_kept;
    int64_t timer;
    sb_window *all;
    size_t count, room;
} turn;

// ---- Which windows there are ----

static void opened(sb_windows *windows, int64_t size, int64_t every, int64_t gap, int64_t lateness) {
    if (lateness < 0) sb_problem("the allowed lateness is negative");
    windows->size = size, windows->every = every, windows->gap = gap, windows->lateness = lateness;
}

void sb_tumbling(sb_windows *windows, int64_t size, int64_t lateness) { sb_hopping(windows, size, size, lateness); }

void sb_hopping(sb_windows *windows, int64_t size, int64_t every, int64_t lateness) {
    if (size < 1 || every < 1) sb_problem("the size of windows and `every` are 1 ms at least");
    else if (every > size) sb_problem("`every` is more than the windows' size: what lies between would be in none");
    else if (size / every > WINDOWS_MOST)
        sb_problem(sb_format("a record would be in %lld windows, %d at most", (long long)(size / every), WINDOWS_MOST));
    opened(windows, size, every, 0, lateness);
}

void sb_sessions(sb_windows *windows, int64_t gap, int64_t lateness) {
    if (!windows->merge) sbi_broken(sb_format("the sessions \"%s\" have no .merge", windows->store.name));
    if (gap < 1) sb_problem("the gap of sessions is less than 1 ms");
    opened(windows, 0, 0, gap, lateness);
}

// ---- When something becomes of a window ----

static int64_t closed_at(const sb_window *window) { return window->end - 1; }

/// When it is given up.
static int64_t gone_at(const turn *of, const sb_window *window) {
    int64_t closed = closed_at(window), lateness = of->windows->lateness;
    return closed > INT64_MAX - lateness ? INT64_MAX : closed + lateness;
}

static bool is_late(const turn *of, const sb_window *window) { return gone_at(of, window) <= of->now; }

static void show(const turn *of, const sb_window *window) {
    int64_t time = closed_at(window);
    sbi_now.time = &time;
    of->windows->over(window);
    sbi_now.time = NULL;
}

// ---- What is kept ----

static turn begin(const sb_windows *windows, sb_bytes key, int64_t now) {
    turn of = {.windows = windows, .key = key, .now = now};
    if (!windows->size && !windows->gap)
        sbi_broken(sb_format("the windows \"%s\" were not opened by sb_tumbling or the like", windows->store.name));
    const sb_json *kept = sb_get(&windows->store), *timer = sb_member(kept, "timer");
    const sb_json *list = sb_member(kept, "windows");
    of.was_kept = kept, of.has_timer = timer, of.timer = timer ? sb_as_int(timer) : 0;
    of.room = list ? list->count : 0;
    of.all = sb_alloc(of.room * sizeof *of.all);
    for (const sb_json *part = list ? list->first : NULL; part; part = part->next) {
        if (part->count != 3) return sb_problem(sb_format("\"%s\" keeps no windows", windows->store.name)), of;
        const sb_json *start = part->first, *end = start->next;
        of.all[of.count++] = (sb_window){key, sb_as_int(start), sb_as_int(end), end->next};
    }
    return of;
}

/// Sets the timer to the next moment that matters, and writes what is kept.
static void end(turn *of) {
    const sb_store *store = &of->windows->store;
    if (!of->count) {
        if (of->was_kept) sb_delete(store);
        return;
    }
    int64_t next = INT64_MAX;
    sb_writer out = {0}, list = {0};
    sb_begin_array(&list);
    for (const sb_window *window = of->all; window < of->all + of->count; window++) {
        int64_t moment = closed_at(window) > of->now ? closed_at(window) : gone_at(of, window);
        if (moment < next) next = moment;
        sb_begin_array(&list);
        sb_add(&list, sb_of_int(window->start));
        sb_add(&list, sb_of_int(window->end));
        sb_add(&list, sb_of_json(window->value));
        sb_end(&list);
    }
    sb_end(&list);
    if (!of->has_timer || of->timer > next) {
        if (of->has_timer) sb_clear_timer(&of->windows->timer, of->timer);
        sb_set_timer(&of->windows->timer, next);
        of->timer = next;
    }
    sb_begin_object(&out);
    sb_field(&out, "timer", sb_of_int(of->timer));
    sb_field(&out, "windows", sb_written(&list));
    sb_end(&out);
    sb_put(store, sb_written(&out));
}

static void remove_windows(turn *of, size_t from, size_t to) {
    memmove(of->all + from, of->all + to, (of->count - to) * sizeof *of->all);
    of->count -= to - from;
}

static void insert(turn *of, size_t at, sb_window window) {
    if (of->count == of->room) {
        of->room = of->room * 2 + 4;
        sb_window *wider = sb_alloc(of->room * sizeof *wider);
        if (of->count) memcpy(wider, of->all, of->count * sizeof *wider);
        of->all = wider;
    }
    memmove(of->all + at + 1, of->all + at, (of->count++ - at) * sizeof *of->all);
    of->all[at] = window;
}

// ---- A record comes ----

/// What a function of the plugin made of a window's records, as its value.
static const sb_json *made(sb_value value) {
    const char *error;
    const sb_json *part = sbi_read_kept(value.json, &error);
    if (!part) sb_problem(sb_format("a value was not made by an sb_of function: %s", error));
    return part;
}

static void add_to(turn *of, size_t at, const sb_event *event) {
    sb_window *window = &of->all[at];
    window->value = made(of->windows->fold(window->value, event));
    if (closed_at(window) <= of->now) show(of, window);
}

static void beyond(int64_t time) {
    sb_problem(sb_format("the record's time, %lld, is beyond all windows", (long long)time));
}

static bool add_to_each(turn *of, const sb_event *event) {
    int64_t size = of->windows->size, every = of->windows->every, time = event->timestamp, last, behind, first;
    int64_t passed = (time % every + every) % every, before = (size - 1 - passed) / every;
    if (__builtin_sub_overflow(time, passed, &last) || __builtin_add_overflow(last, size, &behind) ||
        __builtin_sub_overflow(last, before * every, &first))
        return beyond(time), true;
    bool counts = false;
    size_t at = 0;
    for (; before >= 0; before--, first += every) {
        sb_window window = {of->key, first, first + size, NULL};
        if (is_late(of, &window)) continue;
        while (at < of->count && of->all[at].end < window.end) at++;
        if (at == of->count || of->all[at].end > window.end) insert(of, at, window);
        add_to(of, at, event);
        counts = true;
    }
    return counts;
}

/// Sessions that the record touches become one.
static bool add_to_session(turn *of, const sb_event *event) {
    sb_window session = {of->key, event->timestamp, 0, NULL};
    if (__builtin_add_overflow(event->timestamp, of->windows->gap, &session.end)) return beyond(event->timestamp), true;
    size_t from = 0;
    while (from < of->count && of->all[from].end < session.start) from++;
    size_t to = from;
    int64_t behind = session.end;
    for (; to < of->count && of->all[to].start <= behind; to++) {
        const sb_window *touched = &of->all[to];
        if (touched->start < session.start) session.start = touched->start;
        if (touched->end > session.end) session.end = touched->end;
        const sb_json *value = session.value;
        session.value = value ? made(of->windows->merge(value, touched->value)) : touched->value;
    }
    if (is_late(of, &session)) return false;
    remove_windows(of, from, to);
    insert(of, from, session);
    add_to(of, from, event);
    return true;
}

bool sb_add_to_windows(const sb_windows *windows, const sb_event *event) {
    turn of = begin(windows, event->key, sb_watermark());
    bool counts = windows->gap ? add_to_session(&of, event) : add_to_each(&of, event);
    if (counts) end(&of);
    return counts;
}

// ---- Time moves ----

sb_result sb_fire_windows(const sb_fired *fired) {
    const sb_windows *windows = (const sb_windows *)((const char *)fired->timer - offsetof(sb_windows, timer));
    turn of = begin(windows, fired->key, fired->at);
    if (of.timer == fired->at) of.has_timer = false;
    for (size_t at = 0; at < of.count;) {
        if (closed_at(&of.all[at]) == of.now) show(&of, &of.all[at]);
        if (is_late(&of, &of.all[at])) remove_windows(&of, at, at + 1);
        else at++;
    }
    end(&of);
    return SB_DONE;
}
