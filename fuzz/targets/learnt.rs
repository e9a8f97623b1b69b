//! The file of what was learnt of a device: what is believed of it is bounded, and is written back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::acquire::modbus::learnt;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // Most inputs fail at the sum; with a right one the rest is reached too.
    let sealed = [bytes, &check_sum(bytes)].concat();
    check(&sealed);
});

fn check(bytes: &[u8]) {
    if let Some(spans) = learnt::decode(bytes) {
        assert!(spans.len() <= learnt::MAX_SPANS && bytes.len() <= learnt::MAX_BYTES);
        let again = learnt::decode(&learnt::encode(spans.iter().copied()));
        assert_eq!(again, Some(spans));
    }
}

/// CRC-32C, by the definition.
fn check_sum(bytes: &[u8]) -> [u8; 4] {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0x82F6_3B78 } else { 0 }
        })
    });
    (!sum).to_be_bytes()
}
