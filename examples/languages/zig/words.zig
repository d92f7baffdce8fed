//! Counts the words of each key, without an SDK: over the bindings in C that wit-bindgen makes of Sandbar's WIT.
const std = @import("std");
const c = @import("bindings");

const allocator = std.heap.c_allocator;
const Bytes = c.record_processor_list_u8_t;
const Text = c.record_processor_string_t;

/// A panic is a trap.
pub const panic = std.debug.no_panic;

/// What the plugin is, and what it keeps. The bindings free it.
export fn exports_record_processor_describe(description: *c.record_processor_description_t) void {
    const output = allocator.create(Text) catch @trap();
    output.* = text("out");
    const words = allocator.create(c.sandbar_plugin_types_store_t) catch @trap();
    words.* = .{
        .name = text("words"),
        .kind = c.SANDBAR_PLUGIN_TYPES_STORE_KIND_MAP_OF,
        .codec = text("json"),
        .schema_version = 1,
        .readable_from = 1,
    };
    description.* = .{
        .name = text("words"),
        .version = text("0.1.0"),
        .outputs = .{ .ptr = output, .len = 1 },
        .stores = .{ .ptr = words, .len = 1 },
        .needs = c.SANDBAR_PLUGIN_TYPES_NEEDS_KEEPS_KEY,
    };
}

/// There is no configuration, so nothing can be wrong with it.
export fn exports_record_processor_open(config: *Text, _: *Text) bool {
    c.record_processor_string_free(config);
    return true;
}

export fn exports_record_processor_process(
    event: *c.record_processor_event_t,
    verdict: *c.record_processor_verdict_t,
    _: *c.record_processor_failure_t,
) bool {
    defer c.record_processor_event_free(event);
    verdict.* = .{ .tag = c.RECORD_PROCESSOR_VERDICT_DONE };
    if (event.value.is_some) {
        var words = std.mem.tokenizeAny(u8, event.value.val.ptr[0..event.value.val.len], " \t\r\n");
        while (words.next()) |word| count(event.key, word);
    } else {
        verdict.tag = c.RECORD_PROCESSOR_VERDICT_REFUSE;
        const how = c.SANDBAR_PLUGIN_TYPES_REFUSAL_DEAD_LETTER;
        verdict.val.refuse = .{ .f0 = how, .f1 = text("the record has no value") };
    }
    return true;
}

/// There is no timer that could fire.
export fn exports_record_processor_fire(_: u8, key: *Bytes, _: i64, _: *c.record_processor_failure_t) bool {
    c.record_processor_list_u8_free(key);
    return true;
}

fn count(key: c.record_processor_option_list_u8_t, word: []const u8) void {
    const words = 0; // the number of the store
    var entry = borrowed(word);
    var found: Bytes = undefined;
    var number: u64 = 1;
    if (c.sandbar_plugin_state_get_entry(words, &entry, &found)) {
        defer c.record_processor_list_u8_free(&found);
        number += std.fmt.parseInt(u64, found.ptr[0..found.len], 10) catch @trap();
    }
    const line = std.fmt.allocPrint(allocator, "{s} {d}", .{ word, number }) catch @trap();
    defer allocator.free(line);
    var value = borrowed(line[word.len + 1 ..]);
    c.sandbar_plugin_state_put_entry(words, &entry, &value);
    var message: c.sandbar_plugin_output_message_t = .{
        .key = key,
        .value = .{ .is_some = true, .val = borrowed(line) },
    };
    c.sandbar_plugin_output_emit(&message);
}

fn borrowed(bytes: []const u8) Bytes {
    return .{ .ptr = @constCast(bytes.ptr), .len = bytes.len };
}

/// A copy for the host, which the bindings free.
fn text(copied: []const u8) Text {
    var copy: Text = undefined;
    c.record_processor_string_dup_n(&copy, copied.ptr, copied.len);
    return copy;
}
