//! Scales and gauges that are asked: on time, late, never, twice, and with other words than expected.

use super::device::{Socket, device, lost, next_value, serial};
use crate::modbus::cell::Cell;
use millgate::model::{BadReason, Content, Quality};

const SCALE: &str = r#", decimal: comma, pattern: '^[SD] (?<weight>[-+ 0-9,]+) kg$', poll: "P\r\n", every: 1s, timeout: 1s"#;
const WEIGHT: &str = "weight: { group: weight, type: f64, scale: 1000, unit: g }";

#[tokio::test]
async fn a_scale_answers_twice_with_other_words_or_not_at_all() {
    let socket = Socket::new();
    let mut scale = socket.plug();
    let mut cell = Cell::start(&device(&serial(&socket.port()), SCALE, WEIGHT));
    scale.expect(b"P\r\n").await;
    scale.send(b"S +  12,500 kg\r\nS 99,000 kg\r\n").await;
    assert_eq!(next_value(&mut cell).await, "12500");
    scale.expect(b"P\r\n").await;
    scale.send(b"S -0,").await;
    scale.send(b"3 kg\r").await;
    assert_eq!(next_value(&mut cell).await, "-300");
    assert_eq!(cell.health("d").stale_answers.get(), 1);
    scale.expect(b"P\r\n").await;
    scale.send(b"overload\r\n").await;
    cell.until("d", "a bad weight", |_, _| {}, |content| {
        matches!(content, Content::Samples(samples)
            if samples.iter().all(|one| one.quality == Quality::Bad(BadReason::Malformed)) && samples.len() == 1)
    })
    .await;
    // It is switched off.
    let (word, said) = lost(&mut cell).await;
    assert_eq!(word, "timeout");
    assert!(
        said.contains("no whole answer to `poll` within 1000 ms"),
        "{said}"
    );
    // And on again: what it said before it was asked is no answer.
    let answering = async {
        loop {
            scale.expect(b"P\r\n").await;
            scale.send(b"S 7,000 kg\r\n").await;
        }
    };
    tokio::select! {
        value = next_value(&mut cell) => assert_eq!(value, "7000"),
        () = answering => unreachable!(),
    }
    assert!(cell.health("d").failures.get() > 0);
    cell.stop().await;
}
