//! A backlog of 2.6 million events of 300 B, some 72 hours of ten a second: filling it, opening it in a process that does
//! nothing else, reading and settling it, and what is left on the disk. `cargo bench --bench backlog`; some 1.1 GB under
//! `target/` while it runs. `MILLGATE_BACKLOG` is another number of events.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints its table and may panic"
)]

mod stores;

use millgate::buffer::disk::{Disk, Files};
use millgate::buffer::engine::Medium;
use millgate::buffer::{Settled, Store};
use millgate::model::Position;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use stores::{Filler, MES, number, options, realistic};

const EVENTS: u64 = 2_600_000;
const EVENT_BYTES: usize = 300;
/// Events of a commit: the most that the commit rule allows.
const BATCH: u64 = 256;
/// Events that are read and settled against the clock.
const DRAINED: u64 = 1_000_000;
/// In one reading, as the task allows it, and its bytes.
const READING: (usize, usize) = (1_024, 1 << 20);
/// How often progress becomes durable, as the commit rule has it for cursors.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Names the store to the child that only opens it.
const CHILD: &str = "MILLGATE_BACKLOG_STORE";

fn main() {
    if let Some(home) = std::env::var_os(CHILD) {
        return open_only(Path::new(&home));
    }
    let events = std::env::var("MILLGATE_BACKLOG").map_or(EVENTS, |text| text.parse().unwrap());
    let home = tempfile::tempdir_in("target").unwrap();
    let root = home.path().join("store");
    let start = Instant::now();
    let mut filler = Filler::open(home.path(), Medium::sled(), realistic, EVENT_BYTES);
    let mut time = Duration::ZERO;
    while filler.store.last().seq < events {
        time += filler.commit(64, BATCH, None);
    }
    let stored = filler.store.last().seq;
    drop(filler);
    println!(
        "A backlog of {stored} events of 300 B (filled in {:.0?})",
        start.elapsed()
    );
    println!("{:<46}{:>12}{:>16}", "", "measured", "goal");
    let rate = stored as f64 / time.as_secs_f64();
    row(
        "events/s accepted, in commits of 256",
        format!("{rate:.0}"),
        "",
    );
    let payload = stored as f64 * EVENT_BYTES as f64;
    let used = Files.used(&root).unwrap() as f64 / payload;
    row("bytes on disk per payload byte", format!("{used:.2}"), "");
    let mut child = Command::new(std::env::current_exe().unwrap());
    let status = child.env(CHILD, home.path()).status();
    assert!(status.unwrap().success());
    drain(home.path(), &root);
}

fn row(what: &str, measured: String, goal: &str) {
    println!("{what:<46}{measured:>12}{goal:>16}");
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

/// The child: its memory is that of an open store and of nothing else.
fn open_only(home: &Path) {
    const STATUS: &str = "/proc/self/status";
    let before = number(STATUS, "VmRSS:");
    let start = Instant::now();
    let (store, _) = Store::open(&options(home, Medium::sled())).unwrap();
    let opened = start.elapsed();
    row("open", format!("{opened:.0?}"), "<= 3 s");
    let (now, most) = (number(STATUS, "VmRSS:"), number(STATUS, "VmHWM:"));
    row(
        "memory (RSS) of the process that opened it",
        mib(now),
        "<= 64 MB",
    );
    row("    the most it had while it opened", mib(most), "<= 64 MB");
    row("    before it opened", mib(before), "");
    drop(store);
}

/// Reads and settles all of it; the rate counts for the first million.
fn drain(home: &Path, root: &Path) {
    let (mut store, _) = Store::open(&options(home, Medium::sled())).unwrap();
    let last = store.last();
    let mut after = Position { seq: 0, ..last };
    let start = Instant::now();
    let (mut progressed, mut counted) = (start, None);
    while after < last {
        let records = store.read_for(MES, after, READING.0, READING.1).unwrap();
        let up_to = records.last().unwrap().position;
        assert_eq!(records[0].position.seq, after.seq + 1);
        assert_eq!(up_to.seq, after.seq + records.len() as u64);
        store
            .settle(MES, &Settled::delivered(after, up_to))
            .unwrap();
        after = up_to;
        if progressed.elapsed() >= PROGRESS_EVERY {
            store.commit_progress().unwrap();
            progressed = Instant::now();
        }
        if counted.is_none() && (after.seq >= DRAINED || after == last) {
            store.commit_progress().unwrap();
            counted = Some((after.seq, start.elapsed()));
        }
    }
    store.commit_progress().unwrap();
    let (events, time) = counted.unwrap();
    let rate = events as f64 / time.as_secs_f64();
    row(
        "events/s read and settled, of a million",
        format!("{rate:.0}"),
        ">= 200000",
    );
    row(
        "memory (RSS) after reading all of it",
        mib(number("/proc/self/status", "VmRSS:")),
        "",
    );
    let used = |path: &Path| Files.used(path).unwrap();
    let ballast = used(&root.join("ballast"));
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    row("disk after the drain", megabytes(used(root)), "<= 16 MB");
    row(
        "    of it the ballast for a full disk",
        megabytes(ballast),
        "",
    );
    assert_eq!(store.account(MES).stored(), 0);
}
