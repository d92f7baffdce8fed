const std = @import("std");
const c = @import("sandbar");
const expect = std.testing.expect;

comptime {
    _ = @import("plugin.zig");
}

test "a window is put out when it is over" {
    try expect(c.sbt_open("{\"size\": \"10s\"}"));
    for ([_]i64{ 1000, 9999, 10000 }) |time| try expect(c.sbt_push("a", "x", time));
    try expect(c.sbt_advance(9999));
    try expectOutput("out a={\"start\":0,\"end\":10000,\"count\":2} @9999");
    try expect(c.sbt_push("a", "x", 2000));
    try expectOutput("late a=x @2000");
}

fn expectOutput(output: []const u8) !void {
    const got = c.sbt_output();
    try std.testing.expectEqualStrings(output, if (got == null) "no output" else std.mem.span(got));
}
