//! The file of what was learnt of a device: what is believed of it is bounded, and is written back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::acquire::modbus::learnt;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // Most inputs fail at the sum; with a right one the rest is reached too.
    let sealed = [bytes, &crc32c::crc32c(bytes).to_be_bytes()].concat();
    check(&sealed);
});

fn check(bytes: &[u8]) {
    if let Some(spans) = learnt::decode(bytes) {
        assert!(spans.len() <= learnt::MAX_SPANS && bytes.len() <= learnt::MAX_BYTES);
        let again = learnt::decode(&learnt::encode(spans.iter().copied()));
        assert_eq!(again, Some(spans));
    }
}
