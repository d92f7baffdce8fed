//! This plugin pairs the records of two inputs that have the same key and lie near each other in time.
const c = @import("sandbar");

// Under each time the values of the records that came with it.
var left: c.sb_store = .{ .name = "left", .kind = c.SB_MAP };
var right: c.sb_store = .{ .name = "right", .kind = c.SB_MAP };
var join: c.sb_timer = .{ .name = "join", .clock = c.SB_EVENT_TIME, .fire = giveUp };

var before: i64 = undefined;
var after: i64 = undefined;

fn open(config: [*c]const c.sb_json) callconv(.c) c.sb_result {
    const within = c.sb_member(config, "within");
    if (!c.sb_equal(c.sb_text(config, "kind"), "inner") or within == null or config.*.count != 2)
        return c.sb_fail("this join can do kind = \"inner\" with within = { before, after } only");
    before = c.sb_duration_or(within, "before", 0);
    after = c.sb_duration_or(within, "after", 0);
    return if (before + after < 0) c.sb_fail("before and after together are less than 0s") else null;
}

fn putPair(key: c.sb_bytes, left_value: [*c]const c.sb_json, right_value: [*c]const c.sb_json, time: i64) void {
    var pair: c.sb_writer = .{};
    c.sb_begin_object(&pair);
    c.sb_field(&pair, "left", c.sb_of_json(left_value));
    c.sb_field(&pair, "right", c.sb_of_json(right_value));
    c.sb_end(&pair);
    c.sb_send(&.{ .key = key, .value = c.sb_written(&pair).json, .timestamp = time, .timed = true });
}

fn keep(mine: *c.sb_store, time: i64, value: [*c]const c.sb_json) void {
    var values: c.sb_writer = .{};
    c.sb_begin_array(&values);
    const same = c.sb_get_entry(mine, c.sb_time_key(time));
    var one = if (same != null) same.*.first else null;
    while (one != null) : (one = one.*.next) c.sb_add(&values, c.sb_of_json(one));
    c.sb_add(&values, c.sb_of_json(value));
    c.sb_end(&values);
    c.sb_put_entry(mine, c.sb_time_key(time), c.sb_written(&values));
}

fn process(event: [*c]const c.sb_event) callconv(.c) c.sb_result {
    const value = c.sb_event_json(event);
    const is_left = c.sb_equal(c.sb_str(event.*.input), "left");
    const time = event.*.timestamp;
    const first = time - (if (is_left) before else after);
    const last = time + (if (is_left) after else before);
    const theirs = c.sb_scan(if (is_left) &right else &left, c.sb_null());
    if (time <= c.sb_watermark()) {
        c.sb_pass_to(event, "late");
        return null;
    }
    var row = theirs.*.first;
    while (row != null) : (row = row.*.next) {
        const other = c.sb_key_time(row.*.name);
        if (other < first or other > last) continue;
        var partner: [*c]const c.sb_json = row.*.first;
        while (partner != null) : (partner = partner.*.next) {
            const pair = if (is_left) .{ value, partner } else .{ partner, value };
            putPair(event.*.key, pair[0], pair[1], @max(time, other));
        }
    }
    if (last > c.sb_watermark()) {
        keep(if (is_left) &left else &right, time, value);
        c.sb_set_timer(&join, last);
    }
    return null;
}

fn giveUp(fired: [*c]const c.sb_fired) callconv(.c) c.sb_result {
    c.sb_delete_entry(&left, c.sb_time_key(fired.*.at - after));
    c.sb_delete_entry(&right, c.sb_time_key(fired.*.at - before));
    return null;
}

export const sandbar_plugin = plugin: {
    var plugin: c.sb_plugin = .{ .name = "{{name}}", .version = "0.1.0", .open = open, .process = process };
    plugin.headers = true;
    plugin.keeps_key = true;
    plugin.inputs[0..2].* = .{ "left", "right" };
    plugin.outputs[0..2].* = .{ "out", "late" };
    plugin.stores[0..2].* = .{ &left, &right };
    plugin.timers[0] = &join;
    break :plugin plugin;
};
