//! `millgate demo` without a terminal: three ways in, and books that agree when Ctrl-C ends it.

use super::interrupt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn all_three_ways_in_are_seen_and_the_mes_knows_what_was_done() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["demo", "--for", "10min", "--seed", "7"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut ended = false;
    for line in BufReader::new(demo.stdout.take().unwrap()).lines() {
        seen += &line.unwrap();
        seen.push('\n');
        let whole = seen.contains("form #1 completed") && seen.contains("deburr #1 completed");
        if whole && !ended {
            ended = true;
            interrupt(&demo);
        }
    }
    assert_eq!(demo.wait().unwrap().code(), Some(0), "{seen}");
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
