//! Lines of JSON that become records, and dead letters, whose headers anybody can write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar::json_lines;
use sandbar::record::Records;
use sandbar::sink::dead_letter;
use sandbar_fuzz as _;

fuzz_target!(|bytes: &[u8]| {
    let mut records = Records::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let before = records.clone();
        if json_lines::read(line, 7, &mut records).is_err() {
            assert_eq!(records, before, "what is refused leaves nothing");
        }
    }
    for index in 0..records.len() {
        let (mut written, mut again) = (Vec::new(), Records::default());
        json_lines::write(&records, index, None, &mut written);
        json_lines::read(&written, 8, &mut again).expect("what was written is read");
        let mut alone = Records::default();
        alone.push_from(&records, index);
        assert_eq!(again, alone, "{}", String::from_utf8_lossy(&written));
        // What it says is looked at, whatever it is.
        let _letter = dead_letter::read(&records, index);
        let _own = dead_letter::own_headers(&records, index).count();
    }
});
