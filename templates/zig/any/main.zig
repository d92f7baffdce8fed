//! What the Wasm module is made of: the plugin, and what becomes of a panic: a line in the log, and a trap.
const c = @import("sandbar");

comptime {
    _ = @import("plugin.zig");
}

pub const panic = @import("std").debug.FullPanic(logAndTrap);

fn logAndTrap(message: []const u8, _: ?usize) noreturn {
    c.sb_error(c.sb_copy(.{ .data = message.ptr, .size = message.len }).data);
    @trap();
}
