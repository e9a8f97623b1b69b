//! What comes back on a serial line: an answer has as many values as were asked for, and what was judged garbage stays so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::acquire::modbus::answer::Answer;
use millgate::acquire::modbus::framing::{Ask, Known, Verdict, crc};
use millgate::acquire::modbus::plan::Request;
use millgate::settings::Table;

const TABLES: [Table; 4] = [
    Table::Coils,
    Table::DiscreteInputs,
    Table::HoldingRegisters,
    Table::InputRegisters,
];

fuzz_target!(|input: ((u8, u8, u16, u8), Option<u8>, bool, Vec<u8>)| {
    let ((unit, table, start, count), abandoned, echoes, bytes) = input;
    let table = TABLES[usize::from(table) % TABLES.len()];
    let request = |count: u8| Request {
        table,
        start,
        count: u16::from(count % 125) + 1,
        fields: Vec::new(),
    };
    let asked = request(count);
    let ask = Ask::new(unit, &asked);
    let abandoned = abandoned.map(|count| Ask::new(unit, &request(count)));
    let known = Known { echoes, abandoned };
    // As it came, and with a right check sum behind it, so that what is behind the sum is reached.
    let sealed = [&bytes[..], &crc(&bytes).to_le_bytes()].concat();
    for bytes in [&bytes, &sealed] {
        match ask.judge(bytes, known).verdict {
            Verdict::Answer(Answer::Words(words)) => {
                assert_eq!(words.len(), usize::from(asked.count))
            }
            Verdict::Answer(Answer::Bits(bits)) => assert_eq!(bits.len(), usize::from(asked.count)),
            Verdict::Exception(_) | Verdict::Wait | Verdict::Garbage(_) => {}
        }
    }
});
