//! `zig build` makes build/bin/core.wasm.
const std = @import("std");

pub fn build(b: *std.Build) void {
    const generated = b.path("../../../guest-sdk/c/generated");
    const target = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .wasi });
    const bindings = b.addTranslateC(.{
        .root_source_file = generated.path(b, "record_processor.h"),
        .target = target,
        .optimize = .ReleaseSafe,
    });
    const module = b.createModule(.{
        .root_source_file = b.path("words.zig"),
        .target = target,
        .optimize = .ReleaseSafe,
        .link_libc = true,
        .stack_protector = false, // it would ask WASI for a random number
    });
    module.addImport("bindings", bindings.createModule());
    module.addCSourceFile(.{ .file = generated.path(b, "record_processor.c") });
    module.addObjectFile(generated.path(b, "record_processor_component_type.o"));
    const words = b.addExecutable(.{ .name = "core", .root_module = module });
    words.wasi_exec_model = .reactor;
    words.entry = .disabled;
    words.rdynamic = true;
    words.stack_size = 128 * 1024;
    b.installArtifact(words);
}
