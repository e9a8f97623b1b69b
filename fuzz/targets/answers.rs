//! What an HTTP server answers: whatever it is, there is one verdict for each event, bounded and fit for a log, and no other
//! server is asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::deliver::anything;

fuzz_target!(|bytes: &[u8]| anything::answer(bytes));
