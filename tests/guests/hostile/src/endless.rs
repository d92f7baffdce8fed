//! What does not come to an end by itself, or only by the end of what there is.

use std::hint::black_box;

use sandbar_sdk::prelude::*;

const MIB: usize = 1 << 20;

/// Without end, and without a call of the host.
pub(crate) fn spin() -> ! {
    loop {
        black_box(());
    }
}

/// Without end, nearly all of the time in the host.
pub(crate) fn call(by: &mut Map<Vec<u8>, Vec<u8>, Raw>, event: &Event) -> Result<(), Refusal> {
    loop {
        log::debug("");
        black_box(by.scan(event, b"nothing")?.count());
    }
}

/// All memory that there is.
pub(crate) fn hoard() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; MIB]));
    }
}

/// Nearly all memory, over and over: one instruction for the engine, which looks at the time before it only.
pub(crate) fn fill() -> ! {
    let mut field = vec![0_u8; 48 * MIB];
    for byte in (0..=u8::MAX).cycle() {
        black_box(&mut field).fill(byte);
    }
    spin()
}

/// Until the stack ends.
#[expect(unconditional_recursion, reason = "this is its sin")]
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[1]
}
