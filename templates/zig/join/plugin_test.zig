const std = @import("std");
const c = @import("sandbar");
const expect = std.testing.expect;

comptime {
    _ = @import("plugin.zig");
}

test "records near each other in time come out as a pair" {
    try expect(!c.sbt_open("{\"kind\": \"left\", \"within\": {}}"));
    try expect(c.sbt_open("{\"kind\": \"inner\", \"within\": {\"before\": \"1s\", \"after\": \"5s\"}}"));
    try expect(push("left", "{\"order\":1}", 10000));
    try expect(push("right", "{\"paid\":1}", 15000));
    try expect(push("right", "{\"paid\":2}", 15001));
    try expectOutput("out a={\"left\":{\"order\":1},\"right\":{\"paid\":1}} @15000");
    try expect(c.sbt_output() == null);
    try expect(c.sbt_advance(16001));
    try expect(c.sbt_state("left", "a") == null and c.sbt_state("right", "a") == null);
    try expect(push("left", "{\"order\":2}", 16001));
    try expectOutput("late a={\"order\":2} @16001");
}

fn push(input: [*c]const u8, value: [*c]const u8, timestamp: i64) bool {
    const key = c.sb_str("a");
    const event: c.sb_event = .{ .key = key, .value = c.sb_str(value), .timestamp = timestamp, .input = input };
    return c.sbt_push_event(&event);
}

fn expectOutput(output: []const u8) !void {
    const got = c.sbt_output();
    try std.testing.expectEqualStrings(output, if (got == null) "no output" else std.mem.span(got));
}
