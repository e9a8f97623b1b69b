//! Scales and gauges that are asked: on time, late, never, twice, and with other words than expected.

use super::device::{Socket, device, lost, next_value, serial};
use crate::modbus::cell::Cell;
use millgate::model::{BadReason, Content, Quality};

const SCALE: &str = r#", decimal: comma, pattern: '^[SD] (?<weight>[-+ 0-9,]+) kg$', poll: "P\r\n", every: 1s, timeout: 1s"#;
const ASKED: &[u8] = b"P\r\n";
const WEIGHT: &str = "weight: { group: weight, type: f64, scale: 1000, unit: g }";

#[tokio::test]
async fn a_scale_answers_twice_with_other_words_or_not_at_all() {
    let socket = Socket::new();
    let mut scale = socket.plug();
    let mut cell = Cell::start(&device(&serial(&socket.port()), SCALE, WEIGHT));
    let twice: &[&[u8]] = &[b"S +  12,500 kg\r\nS 99,000 kg\r\n"];
    let value = next_value(&mut cell);
    assert_eq!(scale.answer(ASKED, twice, value).await, "12500");
    let in_pieces: &[&[u8]] = &[b"S -0,", b"3 kg\r"];
    let value = next_value(&mut cell);
    assert_eq!(scale.answer(ASKED, in_pieces, value).await, "-300");
    assert!(cell.health("d").stale_answers.get() > 0);
    let bad = cell.until("d", "a bad weight", |_, _| {}, |content| {
        matches!(content, Content::Samples(samples)
            if samples.iter().all(|one| one.quality == Quality::Bad(BadReason::Malformed)) && samples.len() == 1)
    });
    scale.answer(ASKED, &[b"overload\r\n"], bad).await;
    // It is switched off.
    let (word, said) = lost(&mut cell).await;
    assert_eq!(word, "timeout");
    assert!(
        said.contains("no whole answer to `poll` within 1000 ms"),
        "{said}"
    );
    // And on again.
    let value = next_value(&mut cell);
    assert_eq!(
        scale.answer(ASKED, &[b"S 7,000 kg\r\n"], value).await,
        "7000"
    );
    assert!(cell.health("d").failures.get() > 0);
    cell.stop().await;
}
