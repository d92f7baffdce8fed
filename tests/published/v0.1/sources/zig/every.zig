//! The plugin `every`, as far as the cases go: `{"do": "count"}` or `{"do": "timer"}` says what it does.
const c = @import("sandbar");

var count: c.sb_store = .{ .name = "count", .kind = c.SB_VALUE };
var later: c.sb_timer = .{ .name = "later", .clock = c.SB_EVENT_TIME, .fire = fire };
var events: c.sb_metric = .{ .name = "events", .kind = c.SB_COUNTER, .help = "events seen" };
var counts: bool = undefined;

fn open(config: [*c]const c.sb_json) callconv(.c) c.sb_result {
    const wanted = c.sb_text(config, "do");
    counts = c.sb_equal(wanted, "count");
    if (counts or c.sb_equal(wanted, "timer") or c.sb_has_problem() != null) return null;
    return c.sb_fail(c.sb_format("unknown: %s", wanted.data));
}

fn process(event: [*c]const c.sb_event) callconv(.c) c.sb_result {
    c.sb_measure(&events, 1);
    if (counts) c.sb_emit_int(event.*.key, next()) else c.sb_set_timer(&later, event.*.timestamp + 1000);
    return null;
}

fn fire(fired: [*c]const c.sb_fired) callconv(.c) c.sb_result {
    const n: c_longlong = next();
    const at: c_longlong = fired.*.at;
    c.sb_emit(fired.*.key, c.sb_str(c.sb_format("%lld %lld", at, n)));
    return null;
}

fn next() i64 {
    const n = c.sb_get_int(&count, 0) + 1;
    c.sb_put_int(&count, n);
    return n;
}

export const sandbar_plugin = plugin: {
    var plugin: c.sb_plugin = .{ .name = "every", .version = "0.1.0", .open = open, .process = process };
    plugin.headers = true;
    plugin.coordinates = true;
    plugin.stores[0] = &count;
    plugin.timers[0] = &later;
    plugin.metrics[0] = &events;
    break :plugin plugin;
};
