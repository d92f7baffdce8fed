//! This plugin counts the records of each key in windows of one size, one behind the other.
const c = @import("sandbar");

var windows: c.sb_windows = .{
    .store = .{ .name = "windows", .kind = c.SB_VALUE },
    .timer = .{ .name = "windows", .clock = c.SB_EVENT_TIME, .fire = c.sb_fire_windows },
    .fold = count,
    .over = put,
};

fn count(before: [*c]const c.sb_json, _: [*c]const c.sb_event) callconv(.c) c.sb_value {
    return c.sb_of_int(if (before != null) c.sb_as_int(before) + 1 else 1);
}

fn put(window: [*c]const c.sb_window) callconv(.c) void {
    var row: c.sb_writer = .{};
    c.sb_begin_object(&row);
    c.sb_field(&row, "start", c.sb_of_int(window.*.start));
    c.sb_field(&row, "end", c.sb_of_int(window.*.end));
    c.sb_field(&row, "count", c.sb_of_json(window.*.value));
    c.sb_end(&row);
    c.sb_emit_json(window.*.key, c.sb_written(&row));
}

fn open(config: [*c]const c.sb_json) callconv(.c) c.sb_result {
    c.sb_tumbling(&windows, c.sb_duration(config, "size"), c.sb_duration_or(config, "allowed-lateness", 0));
    return null;
}

fn process(event: [*c]const c.sb_event) callconv(.c) c.sb_result {
    if (!c.sb_add_to_windows(&windows, event)) c.sb_pass_to(event, "late");
    return null;
}

export const sandbar_plugin = plugin: {
    var plugin: c.sb_plugin = .{ .name = "{{name}}", .version = "0.1.0", .open = open, .process = process };
    plugin.headers = true;
    plugin.keeps_key = true;
    plugin.outputs[0..2].* = .{ "out", "late" };
    plugin.stores[0] = &windows.store;
    plugin.timers[0] = &windows.timer;
    break :plugin plugin;
};
