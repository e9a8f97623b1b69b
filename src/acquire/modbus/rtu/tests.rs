//! A wire whose other end plays a script, in virtual time.

use super::super::framing::crc;
use super::*;
use crate::settings::Table;
use std::path::PathBuf;
use tokio::io::{DuplexStream, duplex};

const LIMIT: Duration = Duration::from_millis(500);

fn port(baud: u32) -> SerialPort {
    SerialPort {
        path: PathBuf::from("/dev/ttyS9"),
        baud,
        data_bits: 8,
        parity: Parity::Even,
        stop_bits: 1,
        rs485: None,
    }
}

fn request(count: u16) -> Request {
    Request {
        table: Table::HoldingRegisters,
        start: 100,
        count,
        fields: Vec::new(),
    }
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let mut frame = content.to_vec();
    frame.extend(crc(content).to_le_bytes());
    frame
}

/// The right answer of a unit to `request(1)`.
fn one(unit: u8, value: u8) -> Vec<u8> {
    sealed(&[unit, 3, 2, 0, value])
}

fn wire(baud: u32) -> (RtuWire, DuplexStream) {
    let (ours, theirs) = duplex(4_096);
    (RtuWire::over(ours, Line::of(&port(baud))), theirs)
}

async fn heard(theirs: &mut DuplexStream) -> [u8; 8] {
    let mut request = [0; 8];
    theirs.read_exact(&mut request).await.unwrap();
    request
}

fn code(result: &Result<Answer, NoAnswer>) -> &'static str {
    match result {
        Ok(_) => "answer",
        Err(NoAnswer::Exception(_)) => "exception",
        Err(NoAnswer::Silent(error)) => error.code,
        Err(NoAnswer::Broken(_)) => "broken",
    }
}

/// Asks once while the other end, after a request, sends pieces with these pauses before them.
async fn answered(pieces: &[(u64, &[u8])]) -> Result<Answer, NoAnswer> {
    let (mut wire, mut theirs) = wire(19_200);
    let ask = request(1);
    let play = async {
        heard(&mut theirs).await;
        for (pause_ms, piece) in pieces {
            tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
            theirs.write_all(piece).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = wire.ask(7, &ask, LIMIT) => answer,
        () = play => unreachable!(),
    }
}

#[test]
fn a_line_knows_its_times() {
    let slow = Line::of(&port(9_600));
    assert_eq!(slow.character.as_micros(), 1_145);
    assert_eq!(slow.silence.as_micros(), 4_010);
    assert_eq!(slow.time_of(256).as_millis(), 293);
    let fast = Line::of(&port(115_200));
    assert_eq!(fast.silence, FAST_SILENCE);
    let bare = SerialPort {
        parity: Parity::None,
        ..port(1_000)
    };
    assert_eq!(Line::of(&bare).character.as_millis(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_in_whatever_pieces() {
    let right = one(7, 42);
    let words = Ok(Answer::Words(vec![42]));
    assert_eq!(answered(&[(400, &right)]).await, words);
    let bytes: Vec<(u64, &[u8])> = right.chunks(1).map(|byte| (5, byte)).collect();
    assert_eq!(answered(&bytes).await, words);
    let drip: Vec<(u64, &[u8])> = right.chunks(1).map(|byte| (100, byte)).collect();
    assert_eq!(code(&answered(&drip).await), "timeout");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_is_told_from_silence() {
    let start = Instant::now();
    assert_eq!(code(&answered(&[]).await), "timeout");
    // Request, silences and answer take 13 ms on the wire.
    assert!((510..520).contains(&start.elapsed().as_millis()));
    for wrong in [one(8, 42), sealed(&[7, 3, 4, 0, 0, 0, 0]), vec![0x55; 20]] {
        assert_eq!(code(&answered(&[(1, &wrong)]).await), "protocol");
    }
    let mut damaged = one(7, 42);
    damaged[4] ^= 1;
    assert_eq!(code(&answered(&[(1, &damaged)]).await), "protocol");
    assert_eq!(
        code(&answered(&[(1, &sealed(&[7, 0x83, 2]))]).await),
        "exception"
    );
}

#[tokio::test(start_paused = true)]
async fn a_whole_frame_has_a_second_however_long_the_answer_may_be_waited_for() {
    let (mut wire, mut theirs) = wire(19_200);
    let start = Instant::now();
    let play = async {
        heard(&mut theirs).await;
        loop {
            theirs.write_all(&[7]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
    };
    let ask = request(1);
    tokio::select! {
        answer = wire.ask(7, &ask, Duration::from_secs(30)) => assert_eq!(code(&answer), "timeout"),
        () = play => unreachable!(),
    }
    assert!(start.elapsed() < Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_never_that_of_the_next_request() {
    for (late, unit, count) in [(one(7, 42), 7, 2), (one(7, 42), 8, 1)] {
        let (mut wire, mut theirs) = wire(19_200);
        assert_eq!(code(&wire.ask(7, &request(1), LIMIT).await), "timeout");
        heard(&mut theirs).await;
        let next = request(count);
        let play = async {
            // After the line was found silent: it meets the next request.
            heard(&mut theirs).await;
            theirs.write_all(&late).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            let values = vec![9; usize::from(count) * 2];
            let head = [unit, 3, u8::try_from(values.len()).unwrap()];
            let right = sealed(&[&head[..], &values].concat());
            theirs.write_all(&right).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = wire.ask(unit, &next, LIMIT) => {
                assert_eq!(answer, Ok(Answer::Words(vec![0x0909; usize::from(count)])));
            }
            () = play => unreachable!(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_time_out_the_line_is_left_alone_until_it_was_silent() {
    let (mut wire, mut theirs) = wire(9_600);
    assert_eq!(code(&wire.ask(7, &request(125), LIMIT).await), "timeout");
    heard(&mut theirs).await;
    let start = Instant::now();
    let next = request(1);
    let play = async {
        // The answer begins just after it was given up, and its second half comes a little later.
        theirs.write_all(&[7, 3, 250, 0, 0, 0]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        theirs.write_all(&[0; 250]).await.unwrap();
        heard(&mut theirs).await;
        let after = start.elapsed();
        theirs.write_all(&one(7, 1)).await.unwrap();
        after
    };
    let (answer, asked_after) = tokio::join!(wire.ask(7, &next, LIMIT), play);
    assert_eq!(answer, Ok(Answer::Words(vec![1])));
    // 255 characters, the silence and the adapter: 316 ms after the last byte.
    assert!(
        asked_after >= Duration::from_millis(150 + 292),
        "{asked_after:?}"
    );
    assert!(asked_after < Duration::from_millis(500), "{asked_after:?}");
}

#[tokio::test(start_paused = true)]
async fn noise_between_two_requests_spoils_neither() {
    let (mut wire, mut theirs) = wire(19_200);
    for value in 0..20 {
        let play = async {
            heard(&mut theirs).await;
            theirs.write_all(&one(7, value)).await.unwrap();
            theirs
                .write_all(&vec![value; usize::from(value)])
                .await
                .unwrap();
        };
        let ask = request(1);
        let (answer, ()) = tokio::join!(wire.ask(7, &ask, LIMIT), play);
        assert_eq!(answer, Ok(Answer::Words(vec![u16::from(value)])));
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_is_skipped() {
    let (mut wire, mut theirs) = wire(19_200);
    for value in 0..3 {
        let play = async {
            let request = heard(&mut theirs).await;
            theirs.write_all(&request).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            theirs.write_all(&one(7, value)).await.unwrap();
        };
        let ask = request(1);
        let (answer, ()) = tokio::join!(wire.ask(7, &ask, LIMIT), play);
        assert_eq!(answer, Ok(Answer::Words(vec![u16::from(value)])));
        assert!(wire.known.echoes);
    }
    let play = async {
        let request = heard(&mut theirs).await;
        theirs.write_all(&request).await.unwrap();
        std::future::pending::<()>().await;
    };
    let ask = request(1);
    tokio::select! {
        answer = wire.ask(7, &ask, LIMIT) => assert_eq!(code(&answer), "timeout"),
        () = play => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_falls_silent_is_given_up() {
    let (mut wire, mut theirs) = wire(19_200);
    let start = Instant::now();
    let babble = async {
        loop {
            theirs.write_all(&[0x55; 16]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(8)).await;
        }
    };
    let ask = request(1);
    let asked = async {
        loop {
            let answer = wire.ask(7, &ask, LIMIT).await;
            match &answer {
                Err(NoAnswer::Broken(error)) => {
                    assert!(error.detail.contains("never falls silent"), "{error}");
                    return;
                }
                _ => assert_eq!(code(&answer), "protocol"),
            }
        }
    };
    tokio::select! {
        () = asked => {}
        () = babble => unreachable!(),
    }
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_wire_whose_other_end_is_gone_is_broken() {
    let (mut wire, theirs) = wire(19_200);
    drop(theirs);
    assert_eq!(code(&wire.ask(7, &request(1), LIMIT).await), "broken");
    let (mut wire, mut theirs) = self::wire(19_200);
    let ask = request(1);
    let play = async move {
        heard(&mut theirs).await;
        theirs.write_all(&[7, 3]).await.unwrap();
    };
    let (answer, ()) = tokio::join!(wire.ask(7, &ask, LIMIT), play);
    assert_eq!(code(&answer), "broken");
}

#[tokio::test(start_paused = true)]
async fn frames_keep_their_distance() {
    let (mut wire, mut theirs) = wire(1_200);
    let mut last = None;
    for value in 0..5 {
        let play = async {
            heard(&mut theirs).await;
            let asked = Instant::now();
            theirs.write_all(&one(7, value)).await.unwrap();
            asked
        };
        let ask = request(1);
        let (answer, asked) = tokio::join!(wire.ask(7, &ask, LIMIT), play);
        assert!(answer.is_ok());
        if let Some(last) = last.replace(Instant::now()) {
            assert!(
                asked - last >= Duration::from_millis(32),
                "3.5 characters of 11 bits"
            );
        }
    }
}
