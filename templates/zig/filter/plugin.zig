//! This plugin passes the records whose number at a JSON pointer is high enough, unchanged.
const c = @import("sandbar");

var field: c.sb_bytes = undefined;
var at_least: f64 = undefined;

fn open(config: [*c]const c.sb_json) callconv(.c) c.sb_result {
    field = c.sb_pointer(config, "field");
    at_least = c.sb_double(config, "at-least");
    return null;
}

fn process(event: [*c]const c.sb_event) callconv(.c) c.sb_result {
    const number = c.sb_find(c.sb_event_json(event), field);
    if (number != null and number.*.kind == c.SB_JSON_NUMBER and c.sb_as_double(number) >= at_least) c.sb_pass(event);
    return null;
}

export const sandbar_plugin: c.sb_plugin = .{
    .name = "{{name}}",
    .version = "0.1.0",
    .headers = true,
    .keeps_key = true,
    .open = open,
    .process = process,
};
