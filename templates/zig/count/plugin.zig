//! This plugin counts the records of each key: for every record it emits the number of those that its key has had.
const c = @import("sandbar");

var total: c.sb_store = .{ .name = "total", .kind = c.SB_VALUE };

fn process(event: [*c]const c.sb_event) callconv(.c) c.sb_result {
    const count = c.sb_get_int(&total, 0) + 1;
    c.sb_put_int(&total, count);
    c.sb_emit_int(event.*.key, count);
    return null;
}

export const sandbar_plugin = plugin: {
    var plugin: c.sb_plugin = .{ .name = "{{name}}", .version = "0.1.0", .keeps_key = true, .process = process };
    plugin.stores[0] = &total;
    break :plugin plugin;
};
