// This plugin counts the records of each key in windows of one size, one behind the other.
#include <sandbar.hpp>

static int64_t count(int64_t before, const sb_event *) { return before + 1; }

static void put(const sandbar::window<int64_t> &window) {
    auto row = sandbar::object({{"start", window.start}, {"end", window.end}, {"count", window.value}});
    sandbar::emit(window.key, row);
}

static sandbar::windows<int64_t, count, put> windows{"windows"};

static sb_result open_by(const sb_json *config) {
    windows.tumbling(sb_duration(config, "size"), sb_duration_or(config, "allowed-lateness", 0));
    return SB_DONE;
}

static sb_result process(const sb_event *event) {
    if (!windows.add(event)) sb_pass_to(event, "late");
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "{{name}}", .version = "0.1.0", .outputs = {"out", "late"}, .stores = {&windows.store},
               .timers = {&windows.timer}, .headers = true, .keeps_key = true, .open = open_by, .process = process);
