//! The driver over a wire in memory, in virtual time: what it hears, and what it does when it hears nothing.

use super::*;
use crate::model::Value;
use crate::settings::{self, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const SCANNER: &str = "serial: /dev/ttyS1";
const POLLED: &str = "serial: /dev/ttyS1, poll: \"P\\r\\n\", every: 1s, timeout: 200ms";

/// A connected device with one tag that is the line, and the other end of its wire.
fn connected(lines: &str) -> (LinesDevice, DuplexStream) {
    let text = format!(
        "gateway: {{ id: gw-1, path: [acme] }}\nmachine: CELL\ndevices:\n  device:\n    lines: {{ {lines} }}\n    tags: {{ code: {{ group: code }} }}\n"
    );
    let plant = settings::load(&text)
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
        .plant;
    let Protocol::Lines(settings) = &plant.devices[0].protocol else {
        panic!("not lines")
    };
    let clock = Clock::manual(Stamp::default());
    let mut device = LinesDevice::new(
        &plant.devices[0],
        settings,
        &plant.tags,
        clock,
        Arc::default(),
    );
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    device.begin(Wire::over(ours));
    (device, theirs)
}

fn with_pattern(lines: &str) -> String {
    format!("{lines}, pattern: '^(?<code>[A-Z0-9.]+)$'")
}

/// What the device says next: its code, `there`, a silence, or the end.
async fn next(device: &mut LinesDevice) -> String {
    match device.next().await {
        Err(failure) => format!("broken: {}", failure.error.code),
        Ok(heard) => match heard.content {
            Said::Silent(error) => format!("silent: {}", error.code),
            Said::Readings(readings) => match readings.first().map(|reading| &reading.raw) {
                None => "there".into(),
                Some(Ok(Value::Text(text))) => text.to_string(),
                Some(other) => format!("{other:?}"),
            },
        },
    }
}

#[tokio::test(start_paused = true)]
async fn each_line_is_an_instant_even_in_one_read() {
    let (mut device, mut theirs) = connected(&with_pattern(SCANNER));
    assert_eq!(next(&mut device).await, "there");
    theirs.write_all(b"A7\r\nB8\r\n").await.unwrap();
    let first = device.next().await.unwrap();
    let second = device.next().await.unwrap();
    assert!(first.stamp.boot < second.stamp.boot);
    for heard in [first, second] {
        let Said::Readings(readings) = heard.content else {
            panic!("silent")
        };
        assert_eq!(readings.len(), 1);
        assert_eq!(readings[0].stamp, heard.stamp);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_line_is_counted_and_the_next_line_is_read() {
    let (mut device, mut theirs) = connected(&with_pattern(&format!("{SCANNER}, max_length: 16")));
    assert_eq!(next(&mut device).await, "there");
    theirs.write_all(b"noise \xff\x00\r").await.unwrap();
    theirs.write_all(&[b'x'; 10_000]).await.unwrap();
    theirs.write_all(b"\rhello, world\rA7\r").await.unwrap();
    // Bytes that mean no characters make the tag bad; a line that does not match says nothing of it.
    assert_eq!(next(&mut device).await, "Err(Malformed)");
    assert_eq!(next(&mut device).await, "A7");
    assert_eq!(device.health.refused_lines.get(), 1);
    assert_eq!(device.health.dropped_lines.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn half_a_scan_does_not_stick_to_the_next_one() {
    let (mut device, mut theirs) = connected(&with_pattern(SCANNER));
    assert_eq!(next(&mut device).await, "there");
    let other = async {
        theirs.write_all(b"HALF").await.unwrap();
        tokio::time::sleep(HALF_LINE).await;
        for byte in b"A7\r" {
            theirs.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    assert_eq!(tokio::join!(next(&mut device), other).0, "A7");
    assert_eq!(device.health.dropped_lines.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_end_is_read() {
    let (mut device, mut theirs) = connected(&with_pattern(SCANNER));
    theirs.write_all(b"A7\rB8\rhalf").await.unwrap();
    drop(theirs);
    assert_eq!(next(&mut device).await, "there");
    assert_eq!(next(&mut device).await, "A7");
    assert_eq!(next(&mut device).await, "B8");
    assert_eq!(next(&mut device).await, "broken: closed");
    assert_eq!(next(&mut device).await, "broken: closed");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_at_once_is_none() {
    let tcp = with_pattern("tcp: \"192.0.2.1:2001\"");
    let (mut device, theirs) = connected(&tcp);
    let other = async {
        tokio::time::sleep(SETTLED / 2).await;
        drop(theirs);
    };
    assert_eq!(tokio::join!(next(&mut device), other).0, "broken: closed");
    let (mut device, _theirs) = connected(&tcp);
    let start = Instant::now();
    assert_eq!(next(&mut device).await, "there");
    assert_eq!(start.elapsed(), SETTLED);
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_a_telegram_in_the_driver_too() {
    let (mut device, mut theirs) = connected(&with_pattern(&format!("{SCANNER}, idle: 50ms")));
    assert_eq!(next(&mut device).await, "there");
    let start = Instant::now();
    theirs.write_all(b"A7\r\n").await.unwrap();
    assert_eq!(next(&mut device).await, "A7");
    assert_eq!(start.elapsed(), Duration::from_millis(50));
}

/// Takes one request, and says when it came.
async fn asked(theirs: &mut DuplexStream) -> Instant {
    let mut request = [0; 3];
    theirs.read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"P\r\n");
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_scale_is_asked_on_a_grid_and_answers_once() {
    let (mut device, mut theirs) = connected(&with_pattern(POLLED));
    let start = Instant::now();
    for cycle in 0..3u32 {
        let other = async {
            let at = asked(&mut theirs).await;
            assert_eq!(at - start, Duration::from_secs(1) * cycle);
            tokio::time::sleep(Duration::from_millis(30)).await;
            // The second line is the answer of a scale that is set to answer twice.
            theirs
                .write_all(format!("{cycle}.5\r\nTWICE\r\n").as_bytes())
                .await
                .unwrap();
        };
        let (said, ()) = tokio::join!(next(&mut device), other);
        assert_eq!(said, format!("{cycle}.5"));
    }
    assert_eq!(device.health.answers.get(), 3);
    assert_eq!(device.health.stale_answers.get(), 2);
    assert_eq!(device.health.overruns.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_back_is_no_answer_unless_it_is_the_only_one() {
    let (mut device, mut theirs) = connected(&with_pattern(POLLED));
    for (sent, read) in [
        ("P\r\n1.5\r\n", "1.5"),
        ("P\r\nP\r\n", "P"),
        ("P\r\n", "P"),
        ("2.5\r\n", "2.5"),
    ] {
        let other = async {
            asked(&mut theirs).await;
            theirs.write_all(sent.as_bytes()).await.unwrap();
        };
        let (said, ()) = tokio::join!(next(&mut device), other);
        assert_eq!(said, read, "{sent:?}");
    }
    assert_eq!(device.health.stale_answers.get(), 0);
    assert_eq!(device.health.failures.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_never_that_of_the_next_request() {
    let (mut device, mut theirs) = connected(&with_pattern(POLLED));
    let scale = async {
        for (answer, late_ms) in [("LATE1\r", 390), ("GOOD2\r", 20), ("LATE3\r", 201)] {
            asked(&mut theirs).await;
            tokio::time::sleep(Duration::from_millis(late_ms)).await;
            theirs.write_all(answer.as_bytes()).await.unwrap();
        }
        asked(&mut theirs).await;
        theirs.write_all(b"GOOD4\r").await.unwrap();
    };
    let gateway = async {
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(next(&mut device).await);
        }
        said
    };
    let (said, ()) = tokio::join!(gateway, scale);
    assert_eq!(
        said,
        ["silent: timeout", "GOOD2", "silent: timeout", "GOOD4"]
    );
    assert_eq!(device.health.failures.get(), 2);
    assert_eq!(device.health.stale_answers.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_scale_is_asked_when_the_link_says_so() {
    let (mut device, mut theirs) = connected(&with_pattern(POLLED));
    let start = Instant::now();
    assert_eq!(next(&mut device).await, "silent: timeout");
    assert_eq!(start.elapsed(), Duration::from_millis(200));
    let rest = start + Duration::from_millis(7_300);
    device.rest(device.id, rest);
    device.rest(device.id, start);
    asked(&mut theirs).await;
    let (said, at) = tokio::join!(next(&mut device), asked(&mut theirs));
    assert_eq!((said.as_str(), at), ("silent: timeout", rest));
    assert_eq!(device.health.overruns.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_byte_a_second_is_none() {
    let slow = with_pattern(
        &POLLED
            .replace("200ms", "10s")
            .replace("every: 1s", "every: 20s"),
    );
    let (mut device, mut theirs) = connected(&slow);
    let start = Instant::now();
    let other = async {
        asked(&mut theirs).await;
        loop {
            theirs.write_all(b"A").await.unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
    };
    let said = tokio::select! {
        said = next(&mut device) => said,
        () = other => unreachable!(),
    };
    assert_eq!(said, "silent: timeout");
    // A second, and what 1,024 bytes take at 9,600 bit/s.
    let took = start.elapsed();
    assert!(took > WHOLE_ANSWER && took < WHOLE_ANSWER * 3, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_scale_that_says_something_else_has_no_weight() {
    let (mut device, mut theirs) = connected(&with_pattern(POLLED));
    theirs.write_all(b"hello from before\r").await.unwrap();
    let other = async {
        asked(&mut theirs).await;
        theirs.write_all(b"over load\r").await.unwrap();
    };
    assert_eq!(tokio::join!(next(&mut device), other).0, "Err(Malformed)");
    assert_eq!(device.health.refused_lines.get(), 1);
    assert_eq!(device.health.stale_answers.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_cycle_is_counted_and_not_made_up_for() {
    let quick = with_pattern(&POLLED.replace("every: 1s", "every: 200ms"));
    let (mut device, mut theirs) = connected(&quick);
    // Nobody took what was read for a while.
    let start = Instant::now();
    tokio::time::sleep(Duration::from_millis(990)).await;
    for due_ms in [990, 1_000] {
        let other = async {
            let at = asked(&mut theirs).await;
            theirs.write_all(b"A7\r").await.unwrap();
            at
        };
        let (said, at) = tokio::join!(next(&mut device), other);
        assert_eq!(
            (said.as_str(), at - start),
            ("A7", Duration::from_millis(due_ms))
        );
    }
    assert_eq!(device.health.overruns.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn who_never_stops_sending_is_cut_off() {
    let (mut device, mut theirs) = connected(&with_pattern(POLLED));
    theirs.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
    assert_eq!(next(&mut device).await, "broken: protocol");
}

#[test]
fn a_refused_line_is_shown_escaped_and_cut() {
    assert_eq!(shown(b"A7\r\x02\xff"), "A7\\r\\x02\\xff");
    let long = shown(&[b'x'; 500]);
    assert_eq!(long.len(), SHOWN_CHARACTERS + 3);
}
