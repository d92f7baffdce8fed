// The conformance plugin `every` in C++: each thing that a plugin can do, picked by its configuration {"do": "..."}.
#include <chrono>
#include <cstdio>
#include <string>
#include <unistd.h>

#include <sandbar.hpp>

namespace {

using sandbar::emit;
using sandbar::view;

sandbar::value<int64_t> count{"count"};
sandbar::list<std::string_view> seen{"seen"};
sandbar::map<int64_t> by{"by"};
SANDBAR_TIMER(later, SB_EVENT_TIME, on_later);
sb_result on_clock(const sb_fired *fired);
sb_timer at_clock{.name = "clock", .clock = SB_PROCESSING_TIME, .fire = on_clock, .number = 0};
SANDBAR_METRIC(events, SB_COUNTER, "events seen");

using action = sb_result (*)(const sb_event *event);
action chosen;
int64_t number;

int64_t counted() {
    int64_t n = count.get().value_or(0) + 1;
    count.set(n);
    return n;
}

bool is_bad(const sb_event *event) { return view(event->value) == "bad"; }

sb_result pass(const sb_event *event) { return sb_pass(event), SB_DONE; }

sb_result list(const sb_event *event) {
    if (sb_is_null(event->value)) {
        seen.clear();
        emit(event->key, "cleared");
    } else {
        seen.push(view(sb_event_text(event)));
        sb_emit_json(event->key, seen.items().as_json());
    }
    return SB_DONE;
}

sb_result map(const sb_event *event) {
    if (sb_is_null(event->value)) {
        by.clear();
        emit(event->key, "{}");
        return SB_DONE;
    }
    std::string_view text = view(sb_event_text(event));
    if (text.starts_with('-')) by.remove(text.substr(1));
    else by.put(text, by.get(text).value_or(0) + 1);
    sb_emit_json(event->key, by.scan().as_json());
    return SB_DONE;
}

sb_result remove(const sb_event *event) {
    count.remove();
    return emit(event->key, "deleted"), SB_DONE;
}

sb_result timer(const sb_event *event) { return sb_set_timer(&later, event->timestamp + 1000), SB_DONE; }
sb_result rearm(const sb_event *event) { return timer(event); }

sb_result on_later(const sb_fired *fired) {
    int64_t n = counted();
    emit(fired->key, sb_format("%lld %lld", static_cast<long long>(fired->at), static_cast<long long>(n)));
    if (chosen == rearm && n < 3) sb_set_timer(&later, fired->at + 500);
    return SB_DONE;
}

sb_result cancel(const sb_event *event) {
    sb_set_timer(&later, event->timestamp + 1000);
    sb_set_timer(&later, event->timestamp + 2000);
    return sb_clear_timer(&later, event->timestamp + 1000), SB_DONE;
}

sb_result on_clock(const sb_fired *fired) {
    return emit(fired->key, sb_format("clock %lld", static_cast<long long>(fired->at))), SB_DONE;
}

int64_t tally(int64_t before, const sb_event *) { return before + 1; }
int64_t sum(int64_t one, int64_t other) { return one + other; }
void put_window(const sandbar::window<int64_t> &window) {
    emit(window.key, std::to_string(window.start) + " " + std::to_string(window.value));
}
void put_session(const sandbar::window<int64_t> &session) {
    std::string bounds = std::to_string(session.start) + " " + std::to_string(session.end);
    emit(session.key, bounds + " " + std::to_string(session.value));
}
sandbar::windows<int64_t, tally, put_window> windows{"windows"};
sandbar::windows<int64_t, tally, put_session, sum> sessions{"sessions"};

sb_result window(const sb_event *event) {
    if (!windows.add(event)) emit(event->key, "late");
    return SB_DONE;
}

sb_result session(const sb_event *event) {
    if (!sessions.add(event)) emit(event->key, "late");
    return SB_DONE;
}

sb_result refuse(const sb_event *event) {
    constexpr std::pair<std::string_view, sb_result (*)(const char *)> ways[] = {
        {"skip", sb_skip}, {"dead-letter", sb_dead_letter}, {"fail", sb_fail}, {"retry", sb_retry}};
    for (auto [name, way] : ways) {
        if (view(event->value) != name) continue;
        emit(event->key, "never");
        count.set(99);
        return way("told to");
    }
    return pass(event);
}

sb_result panic(const sb_event *event) {
    if (is_bad(event)) __builtin_trap();
    return pass(event);
}

sb_result loop(const sb_event *event) {
    for (volatile bool bad = is_bad(event); bad;) {}
    return pass(event);
}

sb_result memory(const sb_event *event) {
    while (is_bad(event)) sb_alloc(1 << 20);
    return pass(event);
}

sb_result log(const sb_event *event) {
    for (int i = 0; i < 2000; i++) sb_info(sb_format("line %d", i));
    return pass(event);
}

sb_result print(const sb_event *event) {
    std::puts("hello");
    std::fflush(stdout);
    return pass(event);
}

sb_result clock_now(const sb_event *event) {
    using namespace std::chrono;
    emit(event->key, duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
    return SB_DONE;
}

sb_result chance(const sb_event *event) {
    unsigned char bytes[8]; // all at once, as in other languages; std::random_device draws four
    char hex[17];
    if (getentropy(bytes, sizeof bytes) != 0) return sb_fail("no randomness");
    for (int i = 0; i < 8; i++) std::snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return emit(event->key, hex), SB_DONE;
}

sb_result files(const sb_event *event) {
    std::FILE *file = std::fopen("/etc/passwd", "r");
    emit(event->key, file ? "yes" : "no");
    if (file) std::fclose(file);
    return SB_DONE;
}

constexpr std::pair<std::string_view, action> known[] = {
    {"echo", pass},
    {"count", [](const sb_event *event) { return emit(event->key, counted()), SB_DONE; }},
    {"list", list},
    {"map", map},
    {"delete", remove},
    {"timer", timer},
    {"rearm", rearm},
    {"cancel", cancel},
    {"clock-timer", [](const sb_event *) { return sb_set_timer(&at_clock, 0), SB_DONE; }},
    {"refuse", refuse},
    {"error", [](const sb_event *event) { return is_bad(event) ? sb_dead_letter("no good") : pass(event); }},
    {"panic", panic},
    {"loop", loop},
    {"memory", memory},
    {"log", log},
    {"print", print},
    {"clock", clock_now},
    {"random", chance},
    {"files", files},
    {"config", [](const sb_event *event) { return emit(event->key, number), SB_DONE; }},
    {"window", window},
    {"session", session},
};

sb_result open_by(const sb_json *config) {
    windows.tumbling(1000, 500);
    sessions.sessions(1000);
    auto wanted = sandbar::get<std::string_view>(config, "do");
    chosen = nullptr;
    for (auto [name, does] : known)
        if (name == wanted) chosen = does;
    if (wanted == "config") number = sandbar::get<int64_t>(config, "number");
    return chosen || sb_has_problem() ? SB_DONE : sb_fail(sb_format("unknown: %s", wanted.data()));
}

sb_result process(const sb_event *event) {
    sb_measure(&events, 1);
    return chosen(event);
}

}  // namespace

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
