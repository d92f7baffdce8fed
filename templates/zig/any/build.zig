//! `zig build` makes build/core.wasm, with `-Drelease` without checks and names; `zig build test` runs plugin_test.zig.
const std = @import("std");

pub fn build(b: *std.Build) void {
    const release = b.option(bool, "release", "without checks and names") orelse false;
    const optimize: std.builtin.Optimize = if (release) .ReleaseSmall else .ReleaseSafe;
    const wasm = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .wasi });
    const plugin = b.addExecutable(.{ .name = "core", .root_module = module(b, "main.zig", wasm, optimize) });
    plugin.root_module.addCSourceFile(.{ .file = b.path("sdk/generated/record_processor.c") });
    plugin.root_module.addObjectFile(b.path("sdk/generated/record_processor_component_type.o"));
    plugin.root_module.strip = release;
    plugin.wasi_exec_model = .reactor;
    plugin.entry = .disabled;
    plugin.rdynamic = true;
    plugin.stack_size = 128 * 1024;
    b.installArtifact(plugin);

    const tests = b.addTest(.{ .root_module = module(b, "plugin_test.zig", b.graph.host, .Debug) });
    tests.root_module.addCSourceFiles(.{ .root = b.path("sdk/testing"), .files = &.{ "host.c", "state.c" } });
    b.step("test", "run plugin_test.zig").dependOn(&b.addRunArtifact(tests).step);
}

/// A file of this folder, with the SDK, which is in C: its header is what `@import("sandbar")` is.
fn module(
    b: *std.Build,
    file: []const u8,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.Optimize,
) *std.Build.Module {
    const header = b.addTranslateC(.{
        .root_source_file = b.path("sdk/testing/sandbar_testing.h"), // it includes sandbar.h
        .target = target,
        .optimize = optimize,
    });
    header.addIncludePath(b.path("sdk/include"));
    const root = b.createModule(.{
        .root_source_file = b.path(file),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
        .stack_protector = false, // it would ask WASI for a random number
    });
    root.addImport("sandbar", header.createModule());
    root.addIncludePath(b.path("sdk/include"));
    root.addCSourceFiles(.{ .root = b.path("sdk/src"), .files = &.{
        "sandbar.c", "outward.c", "windows.c", "memory.c", "json_read.c", "json_parts.c", "json_write.c",
    } });
    return root;
}
