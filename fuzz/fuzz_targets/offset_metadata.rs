//! What rides with a committed offset, which anybody who may commit for the group can write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar::offset_metadata::{KeptStop, LIMIT, Metadata, PartitionTime, Pointer};
use sandbar_fuzz as _;

fuzz_target!(|bytes: &[u8]| {
    let read = Metadata::read(Some(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert_eq!(read, Ok(Metadata::Foreign));
        return;
    };
    let (stop, time) = (KeptStop::read(text), PartitionTime::read(text));
    let Ok(Metadata::Ours(pointer)) = read else {
        assert_eq!(time, None, "a time stands behind a pointer only");
        return;
    };
    same_again(&pointer, stop, time);
});

/// What was read is read again of what is written of it.
fn same_again(pointer: &Pointer, stop: Option<KeptStop>, time: Option<PartitionTime>) {
    let mut written = pointer.with_stop(stop);
    assert_eq!(written.parse::<Pointer>().as_ref(), Ok(pointer));
    assert_eq!(KeptStop::read(&written), stop);
    if let Some(time) = time {
        written = time.behind(written);
        assert!(written.len() <= LIMIT, "{written}");
        assert_eq!(written.parse::<Pointer>().as_ref(), Ok(pointer));
        assert_eq!(KeptStop::read(&written), stop);
    }
}
