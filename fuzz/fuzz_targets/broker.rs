//! What a connection to the embedded broker sends: requests one behind the other, to a broker with a topic.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use sandbar::broker::fuzzing::Wire;
use sandbar_fuzz as _;

thread_local! {
    static WIRE: OnceCell<Wire> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| WIRE.with(|wire| wire.get_or_init(Wire::new).talk(bytes)));
