//! What the store makes a device write: bytes per payload byte at batch 10, bytes per day at one event a second with one open
//! operation, of the same payload with and without compression. `cargo bench --bench wear`
//!
//! Counted by `/sys/block/loopN/stat` of a loop device with ext4 (4 KiB blocks) whose file is in memory: journal, inodes and
//! rotation included, nothing of other programs. That needs root; elsewhere nothing is measured. `/proc/self/io` is no
//! measure here: it counts whole folios of the page cache for each page that is written.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints its table and may panic"
)]

mod stores;

use millgate::buffer::engine::Medium;
use millgate::buffer::record::encode;
use std::path::PathBuf;
use std::process::Command;
use stores::{Filler, Payload, noise, realistic};
use tempfile::TempDir;

const EVENT_BYTES: usize = 2_048;
const BATCH: u64 = 10;
/// Two generations of noise and some: rotation counts.
const COMMITS: u64 = 1_000;
/// Commits of a shortened day: one event a second, a checkpoint every five.
const DAY_COMMITS: u64 = 7_200;
const CHECKPOINT_EVERY: u64 = 5;
const DAY: f64 = 86_400.0;
const IMAGE_BYTES: u64 = 1 << 30;

/// A file system on a loop device, unmounted and let go when it is dropped.
struct Device {
    home: TempDir,
    name: String,
}

impl Device {
    fn new() -> Option<Device> {
        let home = tempfile::tempdir_in("/dev/shm").ok()?;
        let image = home.path().join("image");
        std::fs::File::create(&image)
            .ok()?
            .set_len(IMAGE_BYTES)
            .ok()?;
        std::fs::create_dir(home.path().join("mnt")).ok()?;
        let file = image.to_str()?;
        run(
            "mkfs.ext4",
            &[
                "-q",
                "-b",
                "4096",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0",
                file,
            ],
        )?;
        let path = run("losetup", &["--find", "--show", file])?;
        let name = path.trim().strip_prefix("/dev/")?.to_owned();
        let device = Device { home, name };
        run("mount", &[path.trim(), device.path().to_str()?])?;
        Some(device)
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("mnt")
    }

    /// Bytes that were written to it, once all is.
    fn written(&self) -> u64 {
        let directory = std::fs::File::open(self.path()).unwrap();
        nix::unistd::syncfs(directory).unwrap();
        let stat = std::fs::read_to_string(format!("/sys/block/{}/stat", self.name)).unwrap();
        let sectors: u64 = stat.split_whitespace().nth(6).unwrap().parse().unwrap();
        sectors * 512
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let path = format!("/dev/{}", self.name);
        run("umount", &[&path]);
        run("losetup", &["--detach", &path]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// Commits, settles at once, and counts.
fn wear(
    device: &Device,
    (payload, packs): (Payload, bool),
    commits: u64,
    batch: u64,
    checkpoint: bool,
) -> u64 {
    let home = tempfile::tempdir_in(device.path()).unwrap();
    let medium = Medium {
        packs,
        ..Medium::sled()
    };
    let mut filler = Filler::open(home.path(), medium, payload, EVENT_BYTES);
    let before = device.written();
    for number in 0..commits {
        let length = usize::try_from(3_000 + number * 37 % 7_000).unwrap();
        let entry = payload(number, length);
        let due = checkpoint && number % CHECKPOINT_EVERY == 0;
        filler.commit(1, batch, due.then_some(&entry));
        filler.settle();
    }
    device.written() - before
}

/// How many bytes a record takes beside what its payload would without compression.
fn compression() {
    println!(
        "LZ4 of each payload by itself (a record stays readable by itself), bytes of a record"
    );
    println!("payload     bytes   plain   stored   gain");
    for (name, payload) in [("realistic", realistic as Payload), ("noise", noise)] {
        for bytes in [300, EVENT_BYTES] {
            let made = (1..=200).map(|seq| stores::record(seq, payload(seq, bytes)));
            let stored: usize = made.map(|record| encode(&record).unwrap().len()).sum();
            let bare = encode(&stores::record(1, Vec::new())).unwrap().len();
            let (plain, stored) = (bare + bytes, stored / 200);
            let gain = 100.0 * (1.0 - stored as f64 / plain as f64);
            println!("{name:<10} {bytes:>6} {plain:>7} {stored:>8} {gain:>5.0} %");
        }
    }
}

fn main() {
    compression();
    println!();
    let Some(device) = Device::new() else {
        println!(
            "Not measured: no loop device may be mounted here (root, mkfs.ext4, losetup, mount)."
        );
        return;
    };
    println!("Bytes to the device, by /sys/block/{}/stat", device.name);
    println!(
        "payload     LZ4  batch 10, per payload byte (goal <= 4)     one event/s, per day (goal <= 4 GiB)"
    );
    for (name, payload, packs) in [
        ("realistic", realistic as Payload, true),
        ("realistic", realistic, false),
        ("noise", noise, true),
    ] {
        let payload = (payload, packs);
        let ten = wear(&device, payload, COMMITS, BATCH, false);
        let per_byte = ten as f64 / (COMMITS * BATCH) as f64 / EVENT_BYTES as f64;
        let day = wear(&device, payload, DAY_COMMITS, 1, true);
        let per_day = day as f64 / DAY_COMMITS as f64 * DAY / f64::from(1 << 30);
        let lz4 = if packs { "yes" } else { "no" };
        println!("{name:<10}  {lz4:<3} {per_byte:>38.2} {per_day:>34.2} GiB");
    }
}
