// This plugin counts the records of each key in windows of one size, one behind the other.
#include <sandbar.h>

static sb_value count(const sb_json *before, const sb_event *event) {
    (void)event;
    return sb_of_int((before ? sb_as_int(before) : 0) + 1);
}

static void put(const sb_window *window) {
    sb_writer row = {0};
    sb_begin_object(&row);
    sb_field(&row, "start", sb_of_int(window->start));
    sb_field(&row, "end", sb_of_int(window->end));
    sb_field(&row, "count", sb_of_json(window->value));
    sb_end(&row);
    sb_emit_json(window->key, sb_written(&row));
}

SANDBAR_WINDOWS(windows, count, put);

static sb_result open_by(const sb_json *config) {
    sb_tumbling(&windows, sb_duration(config, "size"), sb_duration_or(config, "allowed-lateness", 0));
    return SB_DONE;
}

static sb_result process(const sb_event *event) {
    if (!sb_add_to_windows(&windows, event)) sb_pass_to(event, "late");
    return SB_DONE;
}

SANDBAR_PLUGIN(.name = "{{name}}", .version = "0.1.0", .outputs = {"out", "late"}, .stores = {&windows.store},
               .timers = {&windows.timer}, .headers = true, .keeps_key = true, .open = open_by, .process = process);
