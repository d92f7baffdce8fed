const std = @import("std");
const c = @import("sandbar");
const expect = std.testing.expect;

comptime {
    _ = @import("plugin.zig");
}

test "a number that is high enough passes" {
    try expect(!c.sbt_open("{\"field\": \"ms\", \"at-least\": 5}"));
    try expect(c.sbt_open("{\"field\": \"/ms\", \"at-least\": 5}"));
    try expect(c.sbt_push("a", "{\"ms\":5}", 1000));
    try expect(c.sbt_push("a", "{\"ms\":4}", 2000));
    try expectOutput("out a={\"ms\":5} @1000");
    try expect(c.sbt_output() == null);
    try expect(!c.sbt_push("a", "not JSON", 3000));
}

fn expectOutput(output: []const u8) !void {
    const got = c.sbt_output();
    try std.testing.expectEqualStrings(output, if (got == null) "no output" else std.mem.span(got));
}
