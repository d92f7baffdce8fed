//! Files that are wrong, or too much, as files: made here, for nobody wants to keep them.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, Encode, Function, FunctionSection, Instruction, MemorySection,
    MemoryType, Module, TypeSection,
};

use super::text::PLAIN;

/// Ids of sections of a component.
const MODULE: u8 = 1;
const COMPONENT: u8 = 4;
/// How a component begins.
const COMPONENT_HEAD: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// What is made here.
pub(super) const NAMES: &[&str] = &[
    "million-functions",
    "largest-function",
    "large-br-tables",
    "largest-br-table",
    "nested-blocks",
    "million-data-segments",
    "nested-components",
    "deeply-nested-components",
    "nested-types",
    "cut-short",
    "section-that-lies",
    "junk",
    "core-module",
    "compiled-before",
];

/// The file of this name.
pub(super) fn made(name: &str) -> Option<Vec<u8>> {
    let plain = PLAIN.assembled();
    Some(match name {
        "million-functions" => with(&module(1_000_000, &empty())),
        "largest-function" => with(&module(1, &long())),
        "large-br-tables" => with(&module(64, &branches(60_000))),
        "largest-br-table" => with(&module(1, &branches(1_000_000))),
        "nested-blocks" => with(&module(1, &nested(10_000))),
        "million-data-segments" => with(&data_segments(1_000_000)),
        "nested-components" => within(100),
        "deeply-nested-components" => within(5_000),
        "nested-types" => nested_types(10_000),
        "cut-short" => plain[..plain.len() / 2].to_vec(),
        "section-that-lies" => [&plain[..], &[MODULE, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat(),
        "junk" => junk(),
        "core-module" => module(1, &empty()),
        "compiled-before" => [b"\x7fELF\x02\x01\x01\0", &junk()[8..]].concat(),
        _ => return None,
    })
}

/// A plugin with this module in it, which is compiled and never made an instance of.
fn with(module: &[u8]) -> Vec<u8> {
    let mut bytes = PLAIN.assembled();
    section(MODULE, module, &mut bytes);
    bytes
}

fn section(id: u8, content: &[u8], into: &mut Vec<u8>) {
    into.push(id);
    content.encode(into);
}

/// A module of so many functions that take and give a number.
fn module(functions: u32, body: &Function) -> Vec<u8> {
    let mut types = TypeSection::new();
    types
        .ty()
        .function([wasm_encoder::ValType::I32], [wasm_encoder::ValType::I32]);
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    for _ in 0..functions {
        declared.function(0);
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    module.finish()
}

fn empty() -> Function {
    let mut body = Function::new([]);
    body.instruction(&Instruction::LocalGet(0))
        .instruction(&Instruction::End);
    body
}

/// Five mebibytes of one function, each step of which needs the one before.
fn long() -> Function {
    let mut body = Function::new([]);
    body.instruction(&Instruction::LocalGet(0));
    for step in 0..(5 << 20) / 4 {
        body.instruction(&Instruction::I32Const(step % 64))
            .instruction(&match step % 3 {
                0 => Instruction::I32Add,
                1 => Instruction::I32Mul,
                _ => Instruction::I32Xor,
            });
        if step % 4 == 0 {
            body.instruction(&Instruction::LocalTee(0));
        }
    }
    body.instruction(&Instruction::End);
    body
}

fn branches(targets: usize) -> Function {
    let mut body = Function::new([]);
    for _ in 0..8 {
        body.instruction(&Instruction::Block(BlockType::Empty));
    }
    let to: Vec<u32> = (0..8).cycle().take(targets).collect();
    body.instruction(&Instruction::LocalGet(0))
        .instruction(&Instruction::BrTable(to.into(), 0));
    for _ in 0..8 {
        body.instruction(&Instruction::End);
    }
    body.instruction(&Instruction::LocalGet(0))
        .instruction(&Instruction::End);
    body
}

fn nested(depth: usize) -> Function {
    let mut body = Function::new([]);
    for _ in 0..depth {
        body.instruction(&Instruction::Block(BlockType::Empty));
        body.instruction(&Instruction::LocalGet(0))
            .instruction(&Instruction::BrIf(0));
    }
    for _ in 0..depth {
        body.instruction(&Instruction::End);
    }
    body.instruction(&Instruction::LocalGet(0))
        .instruction(&Instruction::End);
    body
}

fn data_segments(count: u32) -> Vec<u8> {
    let (mut memories, mut data) = (MemorySection::new(), DataSection::new());
    memories.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    for at in 0..count {
        data.active(0, &ConstExpr::i32_const((at % 60_000) as i32), *b"x");
    }
    let mut module = Module::new();
    module.section(&memories).section(&data);
    module.finish()
}

/// A plugin with so many components in it, each in the one before.
fn within(depth: usize) -> Vec<u8> {
    let mut inner = COMPONENT_HEAD.to_vec();
    for _ in 1..depth {
        let mut outer = COMPONENT_HEAD.to_vec();
        section(COMPONENT, &inner, &mut outer);
        inner = outer;
    }
    let mut bytes = PLAIN.assembled();
    section(COMPONENT, &inner, &mut bytes);
    bytes
}

/// A plugin with a list of a list of … so many.
fn nested_types(depth: u32) -> Vec<u8> {
    let mut inner = COMPONENT_HEAD.to_vec();
    let mut types = Vec::new();
    depth.encode(&mut types);
    for number in 0..depth {
        // A list; of a character, or of the type before.
        types.push(0x70);
        match number {
            0 => types.push(0x74),
            _ => i64::from(number - 1).encode(&mut types),
        }
    }
    let mut content = Vec::new();
    types.iter().for_each(|byte| content.push(*byte));
    section(7, &content, &mut inner);
    let mut bytes = PLAIN.assembled();
    section(COMPONENT, &inner, &mut bytes);
    bytes
}

/// The head of a component, and behind it what looks packed.
fn junk() -> Vec<u8> {
    let mut number = 7_u64;
    let noise = (0..1 << 20).map(|_| {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (number >> 56) as u8
    });
    COMPONENT_HEAD.into_iter().chain(noise).collect()
}
