//! `millgate demo` without a terminal: three ways in, and books that agree when Ctrl-C ends it.

use super::interrupt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// What a visitor sees: a part scanned, an operation with its curve and verdict, a limit, a stop with its reason, a device
/// that is lost and regained, a shift's figures.
const STORY: [&str; 11] = [
    "part SN-0000001 read by scan",
    "form #1 ",
    "deburr #1 completed",
    "\u{2588}",
    "verdict pass",
    "verdict fail",
    "forming_pressure too high",
    "stop of ",
    "reason SLUG Slug in the die",
    "PRESS-04.hydraulics answers again",
    "  shift ",
];

#[test]
fn within_a_minute_the_story_is_told_and_the_mes_knows_what_was_done() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["demo", "--for", "80s", "--seed", "7"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut ended = false;
    for line in BufReader::new(demo.stdout.take().unwrap()).lines() {
        seen += &line.unwrap();
        seen.push('\n');
        if !ended && STORY.iter().all(|part| seen.contains(part)) {
            ended = true;
            interrupt(&demo);
        }
    }
    assert_eq!(demo.wait().unwrap().code(), Some(0), "{seen}");
    for part in STORY {
        assert!(seen.contains(part), "{part} is missing:\n{seen}");
    }
    for part in [
        "Modbus TCP",
        "serial line",
        "OPC UA",
        "part SN-0000001",
        "none is missing",
        "The MES knows exactly what press and cell did.",
    ] {
        assert!(seen.contains(part), "{part} is missing:\n{seen}");
    }
    assert!(!seen.contains('\u{1b}'), "colours are for terminals");
}
