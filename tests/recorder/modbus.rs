//! Modbus requests, from the bytes of a stream: TCP frames by their header, RTU frames by their length and check sum. Pure.

use super::Verdict;

/// Bytes before the unit in a TCP frame.
const HEADER: usize = 6;
/// A read request on a serial line: unit, function, address, quantity, check sum.
const RTU_READ: usize = 8;

/// Requests of Modbus TCP.
#[derive(Default)]
pub(super) struct Tcp {
    waiting: Vec<u8>,
}

impl Tcp {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Verdict> {
        self.waiting.extend_from_slice(bytes);
        let mut verdicts = Vec::new();
        while self.waiting.len() >= HEADER {
            let length = usize::from(u16::from_be_bytes([self.waiting[4], self.waiting[5]]));
            if self.waiting[2..4] != [0, 0] || !(2..=254).contains(&length) {
                verdicts.push(Verdict::Forbidden(format!(
                    "no frame: {:02x?}",
                    self.waiting
                )));
                self.waiting.clear();
            } else if self.waiting.len() < HEADER + length {
                break;
            } else {
                let frame: Vec<u8> = self.waiting.drain(..HEADER + length).collect();
                verdicts.push(request(&frame[HEADER + 1..]));
            }
        }
        verdicts
    }
}

/// Requests of Modbus RTU. A request of a read has eight bytes, so anything that is no read is found at once.
#[derive(Default)]
pub(super) struct Rtu {
    waiting: Vec<u8>,
}

impl Rtu {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Verdict> {
        self.waiting.extend_from_slice(bytes);
        let mut verdicts = Vec::new();
        while self.waiting.len() >= RTU_READ {
            let frame: Vec<u8> = self.waiting.drain(..RTU_READ).collect();
            let (said, sum) = frame.split_at(RTU_READ - 2);
            verdicts.push(if sum == check_sum(said) {
                request(&said[1..])
            } else {
                Verdict::Forbidden(format!("no request of a read: {frame:02x?}"))
            });
        }
        // A request of another function may be shorter than that of a read, and would never be seen.
        if let Some(function) = self.waiting.get(1)
            && !(1..=4).contains(function)
        {
            verdicts.push(request(&self.waiting[1..]));
            self.waiting.clear();
        }
        verdicts
    }
}

/// Function, address and quantity.
fn request(pdu: &[u8]) -> Verdict {
    let (name, most) = match pdu.first() {
        Some(1) => ("coils", 2_000),
        Some(2) => ("discrete inputs", 2_000),
        Some(3) => ("holding registers", 125),
        Some(4) => ("input registers", 125),
        _ => return Verdict::Forbidden(format!("Modbus function in {pdu:02x?}")),
    };
    match pdu {
        [_, _, _, high, low] if (1..=most).contains(&u16::from_be_bytes([*high, *low])) => {
            Verdict::Reads(name.into())
        }
        _ => Verdict::Forbidden(format!("a read of {name} that is none: {pdu:02x?}")),
    }
}

/// CRC-16/MODBUS, low byte first, as it stands behind the frame.
fn check_sum(bytes: &[u8]) -> [u8; 2] {
    let sum = bytes.iter().fold(0xFFFFu16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| {
            let out = sum & 1 == 1;
            (sum >> 1) ^ if out { 0xA001 } else { 0 }
        })
    });
    sum.to_le_bytes()
}

#[test]
fn frames_are_found_however_they_are_cut() {
    let read = [0, 1, 0, 0, 0, 6, 7, 3, 0, 100, 0, 10];
    let stream = [read, read].concat();
    for cut in 0..stream.len() {
        let mut frames = Tcp::default();
        let verdicts = [frames.take(&stream[..cut]), frames.take(&stream[cut..])].concat();
        assert_eq!(
            verdicts,
            vec![Verdict::Reads("holding registers".into()); 2],
            "cut at {cut}"
        );
    }
    // The example of the Modbus serial line guide: unit 2, function 7, check sum 0x1241.
    assert_eq!(check_sum(&[0x02, 0x07]), [0x41, 0x12]);
    let mut read = vec![17, 4, 0, 8, 0, 1];
    read.extend(check_sum(&read));
    for cut in 0..read.len() {
        let mut frames = Rtu::default();
        let verdicts = [frames.take(&read[..cut]), frames.take(&read[cut..])].concat();
        assert_eq!(
            verdicts,
            [Verdict::Reads("input registers".into())],
            "cut at {cut}"
        );
    }
}

#[test]
fn whatever_is_no_read_is_forbidden() {
    for function in (0..=255u8).filter(|function| !(1..=4).contains(function)) {
        let mut tcp = Tcp::default();
        let tcp = tcp.take(&[0, 1, 0, 0, 0, 6, 7, function, 0, 1, 0, 1]);
        let mut rtu = Rtu::default();
        let rtu = rtu.take(&[7, function]);
        for verdicts in [tcp, rtu] {
            assert!(
                matches!(verdicts[..], [Verdict::Forbidden(_)]),
                "{function}: {verdicts:?}"
            );
        }
    }
    for bytes in [
        &[0, 1, 0, 1, 0, 6, 7, 3, 0, 1, 0, 1][..],
        &[0, 1, 0, 0, 0, 0, 7, 3, 0, 1, 0, 1],
        &[0, 1, 0, 0, 0, 6, 7, 3, 0, 1, 0, 126],
        &[0, 1, 0, 0, 0, 6, 7, 3, 0, 1, 0, 0],
        &[0, 1, 0, 0, 0, 7, 7, 3, 0, 1, 0, 1, 0],
    ] {
        let verdicts = Tcp::default().take(bytes);
        assert!(
            matches!(verdicts[0], Verdict::Forbidden(_)),
            "{bytes:02x?}: {verdicts:?}"
        );
    }
    let noise = Rtu::default().take(&[7, 3, 0, 1, 0, 1, 0, 0]);
    assert!(matches!(noise[..], [Verdict::Forbidden(_)]), "{noise:?}");
}
