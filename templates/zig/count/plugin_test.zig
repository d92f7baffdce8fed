const std = @import("std");
const c = @import("sandbar");
const expect = std.testing.expect;

comptime {
    _ = @import("plugin.zig");
}

test "each key has a count of its own" {
    try expect(c.sbt_open(null));
    for ([_][*c]const u8{ "a", "b", "a" }) |key| try expect(c.sbt_push(key, "x", 1000));
    for ([_][]const u8{ "out a=1 @1000", "out b=1 @1000", "out a=2 @1000" }) |output| try expectOutput(output);
}

fn expectOutput(output: []const u8) !void {
    const got = c.sbt_output();
    try std.testing.expectEqualStrings(output, if (got == null) "no output" else std.mem.span(got));
}
